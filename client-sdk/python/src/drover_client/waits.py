"""Waiting for the end of jobs. Thousands of waits share a few long polls, each of which is answered as soon
as one of its jobs has ended. An answer tells of all its jobs, so the more are waited for, the longer a round
rests before it asks again: what the broker reads for it stays below some 10,000 jobs a second.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from drover.v1 import job_service_pb2

from .answers import job_or_error
from .calls import backoff
from .errors import Unavailable, WaitTimeout
from .gather import check_all_answered
from .job import Job, JobState

MAX_ROUND = 1000
"""Jobs of one round; the contract's limit."""
MAX_ROUNDS = 8
"""Rounds under way at a time."""

Ask = Callable[[Sequence[str]], Awaitable[Collection[job_service_pb2.StatusResult]]]
"""Asks one broker once; answered, in order, as soon as one of the jobs has ended. Raises BrokerError."""


def rest_before_asking(waiting: int) -> float:
    """Seconds for which what has to be asked gathers before it is asked; `waiting` counts the jobs that are
    waited for."""
    return 0.0 if waiting <= 16 else min(1.0, waiting * 0.0001)


@dataclass(eq=False)
class _Awaited:
    """One job that is waited for, by whomever."""

    id: str
    answers: dict[asyncio.Future[Job], bool] = field(default_factory=dict)
    """Of those who wait, and whether they have said for how long: then they do so whatever fails."""
    state: JobState = JobState.UNKNOWN
    """As last heard."""
    round: _Round | None = None
    """The one that asks for it now."""


@dataclass(eq=False)
class _Round:
    jobs: dict[_Awaited, None]
    """An ordered set; who is not waited for any more leaves it."""
    task: asyncio.Task[None] | None = None


class Waits:
    """Belongs to one event loop. `retry_for`: seconds for which those who have not said how long they wait do
    so while no broker can be reached."""

    def __init__(self, ask: Ask, retry_for: float) -> None:
        self._ask = ask
        self._retry_for = retry_for
        self._awaited: dict[str, _Awaited] = {}
        self._unasked: dict[_Awaited, None] = {}  # an ordered set: what no round asks for at the moment
        self._rounds: set[_Round] = set()
        self._asking: asyncio.Handle | None = None
        self._failures = 0
        self._failing_since = 0.0

    async def wait(self, id: str, timeout: float | None) -> Job:
        """The job once it has ended. Raises BrokerError, and WaitTimeout after `timeout` seconds."""
        answer: asyncio.Future[Job] = asyncio.get_running_loop().create_future()
        job = self._awaited.get(id)
        if job is None:
            job = self._awaited[id] = _Awaited(id)
            self._ask_soon([job])
        job.answers[answer] = timeout is not None
        try:
            return await asyncio.wait_for(answer, timeout)
        except asyncio.TimeoutError:
            raise WaitTimeout(id, job.state) from None
        finally:
            self._leave(job, answer)

    def close(self) -> None:
        """Cancels what waits."""
        for job in list(self._awaited.values()):
            for answer in list(job.answers):
                answer.cancel()
                self._leave(job, answer)

    def _leave(self, job: _Awaited, answer: asyncio.Future[Job]) -> None:
        """Forgets a job that nobody waits for any more; a round that has nothing else to ask for ends."""
        job.answers.pop(answer, None)
        if job.answers or self._awaited.get(job.id) is not job:
            return
        del self._awaited[job.id]
        self._unasked.pop(job, None)
        if job.round is not None:
            job.round.jobs.pop(job, None)
            if not job.round.jobs:
                self._end(job.round)

    def _ask_soon(self, jobs: Iterable[_Awaited], wait: float = 0.0) -> None:
        """After `wait` seconds at the earliest."""
        for job in jobs:
            job.round = None
            self._unasked[job] = None
        if not self._unasked or self._asking is not None:
            return
        loop = asyncio.get_running_loop()
        rest = max(wait, rest_before_asking(len(self._awaited)))
        # Also without a rest: what many ask for in one turn of the loop is asked for at its end.
        self._asking = loop.call_later(rest, self._ask_now) if rest > 0 else loop.call_soon(self._ask_now)

    def _ask_now(self) -> None:
        self._asking = None
        if len(self._rounds) >= MAX_ROUNDS:
            # The smallest gives up its place and its jobs.
            smallest = min(self._rounds, key=lambda round: len(round.jobs))
            if len(smallest.jobs) + len(self._unasked) <= MAX_ROUND:
                self._unasked.update(smallest.jobs)
                self._end(smallest)
        jobs = iter(list(self._unasked))
        self._unasked.clear()
        while some := list(islice(jobs, MAX_ROUND)):
            self._begin(some)

    def _begin(self, jobs: Sequence[_Awaited]) -> None:
        round = _Round(dict.fromkeys(jobs))
        for job in jobs:
            job.round = round
        round.task = asyncio.get_running_loop().create_task(self._poll(round))
        self._rounds.add(round)

    def _end(self, round: _Round) -> None:
        self._closed(round)
        if round.task is not None:
            round.task.cancel()

    async def _poll(self, round: _Round) -> None:
        jobs = list(round.jobs)
        try:
            results = await self._ask([job.id for job in jobs])
            check_all_answered(jobs, results)
            heard = [job_or_error(result) for result in results]
        except Exception as error:
            self._failed(self._closed(round), error)
        else:
            self._failures = 0
            left = self._closed(round)
            self._answered((job, said) for job, said in zip(jobs, heard, strict=True) if job in left)

    def _closed(self, round: _Round) -> dict[_Awaited, None]:
        """What of it is still waited for, and asked for by no round from here on."""
        self._rounds.discard(round)
        for job in round.jobs:
            job.round = None
        return round.jobs

    def _answered(self, heard: Iterable[tuple[_Awaited, Job | Exception]]) -> None:
        again: list[_Awaited] = []
        wait = 0.0
        for job, said in heard:
            if isinstance(said, Unavailable):
                wait = max(wait, backoff(1, said.retry_after, random.random()))
                again.append(job)
            elif isinstance(said, Job) and not said.state.has_ended:
                job.state = said.state
                again.append(job)
            else:
                self._tell(job, list(job.answers), said)
        self._ask_soon(again, wait)

    def _failed(self, jobs: Collection[_Awaited], error: Exception) -> None:
        """A call that nobody answered, or that was refused as a whole."""
        if isinstance(error, Unavailable):
            now = asyncio.get_running_loop().time()
            self._failures += 1
            if self._failures == 1:
                self._failing_since = now
            if now - self._failing_since > self._retry_for:
                for job in jobs:
                    self._tell(job, [answer for answer, limited in job.answers.items() if not limited], error)
            self._ask_soon(
                [job for job in jobs if job.answers],
                backoff(self._failures, error.retry_after, random.random()),
            )
        elif len(jobs) == 1:
            for job in jobs:
                self._tell(job, list(job.answers), error)
        elif jobs:
            # One of them is at fault, and only that one is to hear of it.
            some = list(jobs)
            half = len(some) // 2
            self._begin(some[:half])
            self._begin(some[half:])

    def _tell(self, job: _Awaited, answers: Iterable[asyncio.Future[Job]], said: Job | Exception) -> None:
        """They leave at once, and not when it is their turn: who asks for the job in between is to be asked
        for."""
        for answer in answers:
            if answer.done():
                pass
            elif isinstance(said, Exception):
                answer.set_exception(said)
            else:
                answer.set_result(said)
            self._leave(job, answer)
