"""The client: submit jobs, ask after them, wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Literal, overload

from drover.sdk.access import Access, Metadata, Tls
from drover.v1 import job_service_pb2

from .answers import Cancellation, Submitted, WaitResult, cancellation, job_or_error, submitted
from .batches import batches, submit_batch
from .calls import CHANNEL_OPTIONS, Caller, addresses_of
from .errors import (
    BrokerError,
    JobCancelled,
    JobFailed,
    Unavailable,
    WaitTimeout,
)
from .explanation import Explanation, explanation_of
from .flow_builders import Node
from .flows import FlowHandle, submit_flow
from .follow import follow
from .handle import JobHandle
from .job import Job, JobState, job_of
from .limits import Limits
from .looks import Looks
from .moments import duration
from .operations import Inspection, Queues, Routes
from .schedules import Schedules
from .spec import JobRequest
from .submits import Submits
from .task_ref import R, Step
from .trace import traced
from .waits import Waits

LONG_POLL = 20.0
"""Seconds of one Wait call; longer waits are made of several."""
LAST_LOOK = 1.0
"""Seconds that a wait whose time is over takes at most to see where the job stands."""

OnConflict = Literal["return_existing", "reject"]

_ON_CONFLICT = {
    "return_existing": job_service_pb2.CONFLICT_POLICY_RETURN_EXISTING,
    "reject": job_service_pb2.CONFLICT_POLICY_REJECT,
}
_MODES = {"all": job_service_pb2.WAIT_MODE_ALL, "any": job_service_pb2.WAIT_MODE_ANY}


class Client:
    """Belongs to one event loop. Use it as `async with Client(...) as client:` or call `close()` at the end.

    Args:
        address: brokers, `host:port`, several as a list or separated by commas. Default: DROVER_ADDRESS from
            the environment, else `localhost:50051`. Any broker answers for any job.
        retry_for: seconds for which a call is repeated, with the same key, while no broker can be reached.
            0: never.
        timeout: seconds that one sending of a call may take until its broker counts as dead. No call takes
            longer than both together, but for waiting that was asked for.
        tls: True for gRPC's own list of authorities, or files. Raises OSError, ValueError.
        metadata: sent with each call, for example `{"authorization": "Bearer ..."}`; a function is asked
            anew for each call.

    `schedules` submit by time; `queues`, `routes`, `limits` and `inspect` are for operators.

    Every method raises Unavailable after that time, InvalidArgument for what is over a limit, and other
    BrokerErrors as named at each.
    """

    def __init__(
        self,
        address: str | Iterable[str] | None = None,
        *,
        retry_for: float = 30.0,
        timeout: float = 10.0,
        tls: Tls | bool = False,
        metadata: Metadata | None = None,
    ) -> None:
        self._calls = Caller(
            addresses_of(address), retry_for, timeout, Access(CHANNEL_OPTIONS, tls, metadata)
        )
        self._submits = Submits(self._calls.once, patience=timeout + retry_for)
        self._looks = Looks(self._calls.once, patience=timeout + retry_for)
        self._waits = Waits(self._ask_for_ends, retry_for)
        self.queues = Queues(self._calls)
        self.routes = Routes(self._calls)
        self.inspect = Inspection(self._calls)
        self.limits = Limits(self._calls)
        self.schedules = Schedules(self._calls)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Calls that are under way raise CancelledError."""
        for gathered in (self._submits, self._looks, self._waits):
            gathered.close()
        await self._calls.close()

    @overload
    async def submit(
        self, task: Step[R], *, on_conflict: OnConflict = ..., **options: Any
    ) -> JobHandle[R]: ...
    @overload
    async def submit(
        self, task: str, payload: Any = None, *, on_conflict: OnConflict = ..., **options: Any
    ) -> JobHandle[Any]: ...
    async def submit(
        self,
        task: str | Step[Any],
        payload: Any = None,
        *,
        on_conflict: OnConflict = "return_existing",
        **options: Any,
    ) -> JobHandle[Any]:
        """Store one job durably; returns once it is. Safe to repeat with the same key, and repeated by
        itself when the connection is lost. `task` is a name, or what a TaskRef made of its arguments;
        `options` are the fields of JobRequest: key, queue, priority, delay, ...

        Raises JobExists (with on_conflict "reject"), Overloaded, ValueError for a naive datetime, TypeError
        or ValueError for a payload that has no JSON form.
        """
        if isinstance(task, Step):
            request = replace(task.request, **options)
        else:
            request = JobRequest(task, payload, **options)
        spec, policy = request.to_proto(), _policy(request, on_conflict)
        with traced(spec):
            response = await self._calls.retrying(lambda: self._submits.submit(spec, policy))
        stored = submitted(response, own_key=request.key is None)
        return JobHandle(stored.id, stored.deduplicated, stored.state, self)

    async def submit_flow(
        self,
        node: Node,
        *,
        key: str | None = None,
        name: str = "",
        deadline: datetime | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> FlowHandle:
        """Store a flow durably as a whole: steps, chains, groups, chords and dags, one inside the other.
        `key` (at most 100 characters) makes it safe to repeat, the SDK makes one otherwise; what has not
        ended by `deadline` is cancelled and the flow has failed.

        Raises ValueError for an empty chain or group, and what `submit` does."""
        return await submit_flow(self._calls, node, key, name, deadline, labels)

    def flow(self, key: str) -> FlowHandle:
        """A flow by its key, from any process. Asks the broker nothing yet."""
        return FlowHandle(self._calls, key)

    async def submit_batch(
        self, requests: Iterable[JobRequest | Step[Any]], *, on_conflict: OnConflict = "return_existing"
    ) -> list[Submitted | BrokerError]:
        """Store any number of jobs, in calls of up to 1,000. Each has a result of its own, in order: what
        `submit` would return or raise. Raises only what is wrong before anything is sent."""
        asked = [entry.request if isinstance(entry, Step) else entry for entry in requests]
        specs = [request.to_proto() for request in asked]
        results: list[Submitted | BrokerError] = []
        for batch in batches(specs):
            if results and isinstance(results[-1], Unavailable):  # the time to retry is over for all of them
                results += [results[-1]] * len(batch)
                continue
            own = [request.key is None for request in asked[len(results) : len(results) + len(batch)]]
            results += await submit_batch(self._calls, batch, own, _ON_CONFLICT[on_conflict])
        return results

    async def status(self, id: str, *, include_payload: bool = False) -> Job:
        """The job as it stands. What many ask for at a time is asked for together. Raises JobNotFound."""
        job: Job = await self._calls.retrying(lambda: self._looks.status(id, include_payload))
        return job

    async def result(self, id: str, timeout: float | timedelta | None = None) -> Any:
        """Wait up to `timeout` seconds (None: without end) for the job's end, and return its result.
        Thousands of waits at a time share a few calls.

        Raises JobFailed, JobCancelled, JobNotFound, and WaitTimeout when the time is over, whether a broker
        could be reached or not: the job goes on then.
        """
        job = await self._ended(id, timeout)
        match job.state:
            case JobState.FAILED:
                raise JobFailed(job)
            case JobState.CANCELLED:
                raise JobCancelled(job)
        return job.result

    async def wait(
        self,
        ids: Iterable[str],
        timeout: float | timedelta | None = None,
        *,
        mode: Literal["all", "any"] = "all",
    ) -> WaitResult:
        """Wait up to `timeout` seconds (None: without end) until all, or any, of 1 to 1,000 jobs have
        ended. Raises Unavailable a second after that where no broker answers."""
        loop = asyncio.get_running_loop()
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        deadline = None if seconds is None else loop.time() + seconds
        request = job_service_pb2.WaitRequest(ids=list(ids), mode=_MODES[mode])
        while True:
            left = LONG_POLL if deadline is None else max(0.0, min(LONG_POLL, deadline - loop.time()))
            request.timeout.CopyFrom(duration("timeout", left))
            call = self._calls.call("Wait", request, lasts=left)
            response = await (call if deadline is None else self._calls.until(deadline + LAST_LOOK, call))
            if response.done or (deadline is not None and loop.time() >= deadline):
                return WaitResult([job_or_error(result) for result in response.results], response.done)

    def watch(self, id: str) -> AsyncIterator[Job]:
        """The job now and after every change until it has ended; changes in quick succession may be told as
        one. Goes on at another broker when one is lost. Raises JobNotFound."""
        request = job_service_pb2.WatchRequest(id=id)
        return follow(
            self._calls, "Watch", request, lambda told: job_of(told.job), lambda job: job.state.has_ended
        )

    async def cancel(self, id: str, reason: str = "") -> Cancellation:
        """Cancel a job that waits, ask for the end of one that runs; one that has ended stays as it is.
        `reason` is kept in the record, at most 1 KiB. Raises JobNotFound."""
        response = await self._calls.call("Cancel", job_service_pb2.CancelRequest(id=id, reason=reason))
        return cancellation(response)

    async def redrive(self, id: str) -> Job:
        """Make a failed job ready again, with its counters at zero. Tried once. Raises JobNotFound, JobExists
        where another job has its unique key now, and BrokerError (reason NOT_FAILED) for one that has not
        failed."""
        request = job_service_pb2.RedriveRequest(id=id)
        return job_of((await self._calls.once("Redrive", request)).job)

    async def explain(self, id: str) -> Explanation:
        """Why a job is not running, and when it can at the earliest. Raises JobNotFound."""
        return explanation_of(await self._calls.call("Explain", job_service_pb2.ExplainRequest(id=id)))

    async def move(self, id: str, *, queue: str | None = None, priority: int | None = None) -> Job:
        """Put a job that waits into another queue, or under another priority; its id stays. Raises
        JobNotFound, and BrokerError (reason NOT_WAITING) for one that runs or has ended."""
        request = job_service_pb2.MoveRequest(id=id, queue=queue, priority=priority)
        return job_of((await self._calls.call("Move", request)).job)

    async def _ended(self, id: str, timeout: float | timedelta | None) -> Job:
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        try:
            return await self._waits.wait(id, seconds)
        except WaitTimeout as late:
            heard = late.state
        # It may have ended since it was heard of last.
        last_look = asyncio.get_running_loop().time() + LAST_LOOK
        try:
            job = await self._calls.until(last_look, self._looks.status(id, False))
        except Unavailable:
            raise WaitTimeout(id, heard) from None
        if not job.state.has_ended:
            raise WaitTimeout(id, job.state)
        return job

    async def _ask_for_ends(self, ids: Sequence[str]) -> Collection[job_service_pb2.StatusResult]:
        request = job_service_pb2.WaitRequest(
            ids=ids, mode=_MODES["any"], timeout=duration("timeout", LONG_POLL)
        )
        turn = self._calls.turn
        try:
            answer = await self._calls.once("Wait", request, lasts=LONG_POLL)
        except Unavailable:
            self._calls.elsewhere(turn)
            raise
        results: Collection[job_service_pb2.StatusResult] = answer.results
        return results


def _policy(request: JobRequest, on_conflict: OnConflict) -> job_service_pb2.ConflictPolicy:
    # Nobody else has a key that was made just now: a job of that key can only be this one, sent twice.
    return _ON_CONFLICT["return_existing" if request.key is None else on_conflict]
