"""Requests that are in flight at the same time go up together.

A call of its own costs the broker ten to fifty times what an item of a batch does. So the first few requests
go as single calls, at once; while those are under way the rest gathers, and goes up as one batch as soon as
there is room for one. Nobody waits for a timer, and nobody sees it: each request has its own answer and its
own error.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from .errors import BrokerError, InvalidArgument, no_answer

SINGLE_CALLS = 4
"""Requests in flight as calls of their own; beyond that they gather."""
BATCHES = 2
"""Batches in flight."""

Asked = TypeVar("Asked")
Told = TypeVar("Told")


@dataclass
class _Waiting(Generic[Asked, Told]):
    asked: Asked
    answer: asyncio.Future[Told]


class Gather(Generic[Asked, Told]):
    """Belongs to one event loop."""

    def __init__(
        self,
        alone: Callable[[Asked], Awaitable[Told]],
        together: Callable[[Sequence[Asked]], Awaitable[Collection[Told | BrokerError]]],
        fits: Callable[[Iterable[Asked]], int],
        patience: float,
    ) -> None:
        """`alone` and `together` send one call each, once, and raise BrokerError; `together` answers in
        order. `fits`: how many of the first go in one call, at least one. `patience`: seconds until a request
        that gathers has to be answered."""
        self._alone = alone
        self._together = together
        self._fits = fits
        self._patience = patience
        self._singles = 0
        self._waiting: deque[_Waiting[Asked, Told]] = deque()
        self._pumps: set[asyncio.Task[None]] = set()

    async def ask(self, asked: Asked) -> Told:
        """Raises BrokerError; Unavailable once its patience is over."""
        if self._singles < SINGLE_CALLS and not self._waiting:
            self._singles += 1
            try:
                return await self._alone(asked)
            finally:
                self._singles -= 1
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Told] = loop.create_future()
        self._waiting.append(_Waiting(asked, answer))
        late = loop.call_later(self._patience, _give_up, answer, self._patience)
        if len(self._pumps) < BATCHES:
            pump = asyncio.create_task(self._pump())
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)
        try:
            return await answer
        except InvalidArgument:
            # It may be another's fault, and a batch has no room for the names of the fields that are wrong:
            # alone it is told them.
            return await self._alone(asked)
        finally:
            late.cancel()

    def close(self) -> None:
        """Cancels what waits and what is under way."""
        for pump in self._pumps:
            pump.cancel()
        while self._waiting:
            self._waiting.popleft().answer.cancel()

    async def _pump(self) -> None:
        while self._waiting:
            count = self._fits(entry.asked for entry in self._waiting)
            batch = [self._waiting.popleft() for _ in range(count)]
            # Those whose callers have gone are not worth a place.
            batch = [entry for entry in batch if not entry.answer.done()]
            if batch:
                await self._carry_out(batch)

    async def _carry_out(self, batch: Sequence[_Waiting[Asked, Told]]) -> None:
        answers: Collection[Told | Exception]
        try:
            answers = await self._together([entry.asked for entry in batch])
            check_all_answered(batch, answers)
        except asyncio.CancelledError:  # the client is closed: nobody is to wait for ever
            for entry in batch:
                entry.answer.cancel()
            raise
        except Exception as error:
            answers = [error] * len(batch)
        for entry, answer in zip(batch, answers, strict=True):
            if entry.answer.done():  # its caller has gone meanwhile
                continue
            if isinstance(answer, Exception):
                entry.answer.set_exception(answer)
            else:
                entry.answer.set_result(answer)


def _give_up(answer: asyncio.Future[Any], patience: float) -> None:
    if not answer.done():
        answer.set_exception(no_answer(patience))


def check_all_answered(asked: Collection[object], answers: Collection[object]) -> None:
    """Raises BrokerError."""
    if len(answers) != len(asked):
        said = f"the broker gave {len(answers):,} answers for {len(asked):,} jobs"
        raise BrokerError(said, code="INTERNAL", reason="UNANSWERED")
