"""Submits that are in flight at the same time go up together.

A call of its own costs the broker ten to fifty times what a job in a batch does. So the first few submits
go as single calls, at once; while those are under way the rest gathers, and goes up as one SubmitBatch as
soon as one has returned. Nobody waits for a timer, and nobody sees it: each submit has its own answer and
its own error.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from drover.v1 import job_pb2, job_service_pb2

from .batches import MAX_BYTES, MAX_JOBS
from .errors import BrokerError, InvalidArgument, error_of_item

SINGLE_CALLS = 4
"""Submits in flight as calls of their own; beyond that they gather."""
BATCHES = 2
"""Batches in flight."""

Send = Callable[[str, Any], Awaitable[Any]]
"""Sends one request of a method once; raises BrokerError."""


@dataclass
class _Waiting:
    spec: job_pb2.JobSpec
    policy: job_service_pb2.ConflictPolicy
    answer: asyncio.Future[Any]


class Submits:
    def __init__(self, send: Send) -> None:
        self._send = send
        self._singles = 0
        self._waiting: deque[_Waiting] = deque()
        self._pumps: set[asyncio.Task[None]] = set()

    async def submit(self, spec: job_pb2.JobSpec, policy: job_service_pb2.ConflictPolicy) -> Any:
        """A SubmitResponse, or a SubmitResult that says the same. Raises BrokerError."""
        if self._singles < SINGLE_CALLS and not self._waiting:
            self._singles += 1
            try:
                return await self._single(spec, policy)
            finally:
                self._singles -= 1
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(spec, policy, answer))
        if len(self._pumps) < BATCHES:
            pump = asyncio.create_task(self._pump())
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)
        try:
            return await answer
        except InvalidArgument:
            # A batch has no room for the names of the fields that are wrong: alone it is told them.
            return await self._single(spec, policy)

    def _single(self, spec: job_pb2.JobSpec, policy: job_service_pb2.ConflictPolicy) -> Awaitable[Any]:
        return self._send("Submit", job_service_pb2.SubmitRequest(job=spec, on_conflict=policy))

    async def _pump(self) -> None:
        while self._waiting:
            group = self._take()
            request = job_service_pb2.SubmitBatchRequest(
                jobs=[entry.spec for entry in group], on_conflict=group[0].policy
            )
            try:
                results = (await self._send("SubmitBatch", request)).results
            except BrokerError as error:
                for entry in group:
                    _fail(entry, error)
                continue
            for entry, result in zip(group, results, strict=True):
                if result.HasField("error"):
                    _fail(entry, error_of_item(result.error))
                elif not entry.answer.done():
                    entry.answer.set_result(result)

    def _take(self) -> list[_Waiting]:
        """The next batch: of one policy, within the limits of a call."""
        group = [self._waiting.popleft()]
        size = group[0].spec.ByteSize()
        while self._waiting and len(group) < MAX_JOBS and size < MAX_BYTES:
            if self._waiting[0].policy != group[0].policy:
                break
            entry = self._waiting.popleft()
            size += entry.spec.ByteSize() + 8
            group.append(entry)
        return group


def _fail(entry: _Waiting, error: BrokerError) -> None:
    if not entry.answer.done():  # its caller may have gone
        entry.answer.set_exception(error)
