"""Flows: submitted as a whole, and then one handle for all of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from drover.v1 import flow_service_pb2

from .calls import Caller
from .errors import FlowFailed, FlowTimeout
from .flow_builders import Node, members_of
from .follow import follow
from .job import Failure, JobState, failure_of, moment_of, name_of, state_of
from .keys import new_key
from .moments import timestamp
from .payload import decode

PAGE = 1000
"""Members in one call."""


class FlowState(str, Enum):
    UNKNOWN = "unknown"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def has_ended(self) -> bool:
        return self in (FlowState.SUCCEEDED, FlowState.FAILED, FlowState.CANCELLED)


@dataclass(frozen=True)
class FlowCounts:
    total: int
    blocked: int
    open: int
    """They wait for a time or a worker, or run."""
    succeeded: int
    failed: int
    cancelled: int


@dataclass(frozen=True)
class FlowStatus:
    key: str
    name: str
    state: FlowState
    counts: FlowCounts
    submitted_at: datetime | None
    finished_at: datetime | None
    deadline: datetime | None
    labels: Mapping[str, str]
    failed_member: int | None
    """Position of the member that failed first."""
    failure: Failure | None


@dataclass(frozen=True)
class FlowMember:
    member: int
    """Its position in the flow."""
    job_id: str
    name: str
    state: JobState
    depends_on: tuple[int, ...]
    result: Any
    """Once succeeded; a `Payload` where it is not JSON."""
    failure: Failure | None


@dataclass(frozen=True)
class FlowCancellation:
    cancelled: int
    """Members cancelled at once."""
    requested: int
    """Members that run, and were asked to end."""
    already_finished: bool


class FlowHandle:
    """One flow, by its key. Making a handle asks the broker nothing; each method does, and raises
    FlowNotFound where nobody knows the flow."""

    def __init__(self, calls: Caller, key: str) -> None:
        self._calls = calls
        self.key = key

    def __repr__(self) -> str:
        return f"FlowHandle({self.key!r})"

    async def status(self) -> FlowStatus:
        request = flow_service_pb2.FlowServiceGetRequest(key=self.key)
        return flow_of((await self._calls.call("Flow/Get", request)).flow)

    async def members(self, *, last_only: bool = False) -> list[FlowMember]:
        """The graph, member by member, with what those that have ended came to. `last_only`: those that no
        other one depends on."""
        found: list[FlowMember] = []
        first = 0
        while True:
            request = flow_service_pb2.FlowServiceGetRequest(
                key=self.key,
                include_members=True,
                first_member=first,
                member_count=PAGE,
                include_results=True,
                last_members_only=last_only,
            )
            page = await self._calls.call("Flow/Get", request)
            found += map(_member_of, page.members)
            first = page.next_member
            if first == 0:
                return found

    def watch(self) -> AsyncIterator[FlowStatus]:
        """The flow now and after changes, until it has ended."""
        request = flow_service_pb2.FlowServiceWatchRequest(key=self.key)
        return follow(
            self._calls,
            "Flow/Watch",
            request,
            lambda told: flow_of(told.flow),
            lambda flow: flow.state.has_ended,
        )

    async def wait(self, timeout: float | timedelta | None = None) -> FlowStatus:
        """The flow once it has ended. Raises FlowTimeout after `timeout` seconds: it goes on then."""
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        turn = self._calls.turn
        told: list[FlowStatus] = []
        try:
            return await asyncio.wait_for(self._end(told), seconds)
        except asyncio.TimeoutError:
            # A broker says at once how a flow stands: one that did not is not asked again by who waits again.
            if not told:
                self._calls.elsewhere(turn)
            raise FlowTimeout(self.key) from None

    async def outcomes(self, timeout: float | timedelta | None = None) -> list[FlowMember]:
        """What the last members came to, in their order: the results of a group, the one result of a chain or
        a chord. Once the flow has ended; nothing is raised for those that failed. Raises FlowTimeout."""
        await self.wait(timeout)
        return await self.members(last_only=True)

    async def results(self, timeout: float | timedelta | None = None) -> list[Any]:
        """The results of the last members, in their order. Raises FlowFailed, FlowTimeout."""
        outcomes = await self.outcomes(timeout)
        status = await self.status()
        if status.state is not FlowState.SUCCEEDED:
            raise FlowFailed(status, outcomes)
        return [outcome.result for outcome in outcomes]

    async def result(self, timeout: float | timedelta | None = None) -> Any:
        """The result of a flow that ends in one member, as a chain and a chord do. Raises as `results`."""
        return (await self.results(timeout))[0]

    async def cancel(self, reason: str = "") -> FlowCancellation:
        """Cancels what waits and asks for the end of what runs."""
        request = flow_service_pb2.FlowServiceCancelRequest(key=self.key, reason=reason)
        answer = await self._calls.call("Flow/Cancel", request)
        return FlowCancellation(answer.cancelled, answer.requested, answer.already_finished)

    async def redrive(self) -> int:
        """Runs the failed and cancelled members again, and what was left out for their sake: how many. Tried
        once. Raises BrokerError (reason NOT_FAILED) unless the flow failed or was cancelled."""
        request = flow_service_pb2.FlowServiceRedriveRequest(key=self.key)
        return int((await self._calls.once("Flow/Redrive", request)).redriven)

    async def _end(self, told: list[FlowStatus]) -> FlowStatus:
        """Keeps what it is told last in `told`."""
        async for flow in self.watch():
            told[:] = [flow]
        return told[0]  # a stream ends with a flow that has


async def submit_flow(
    calls: Caller,
    node: Node,
    key: str | None,
    name: str,
    deadline: datetime | None,
    labels: Mapping[str, str] | None,
) -> FlowHandle:
    if key == "":
        raise ValueError("key must not be empty; leave it out for one made by the SDK")
    flow = flow_service_pb2.FlowSpec(key=key or new_key(), name=name, members=members_of(node), labels=labels)
    if deadline is not None:
        flow.deadline.CopyFrom(timestamp("deadline", deadline))
    answer = await calls.call("Flow/Submit", flow_service_pb2.FlowServiceSubmitRequest(flow=flow))
    return FlowHandle(calls, answer.key)


def flow_of(flow: flow_service_pb2.Flow) -> FlowStatus:
    counts = flow.counts
    return FlowStatus(
        key=flow.key,
        name=flow.name,
        state=FlowState(name_of(flow_service_pb2.FlowState, flow.state, "FLOW_STATE_", "unknown")),
        counts=FlowCounts(
            counts.total, counts.blocked, counts.open, counts.succeeded, counts.failed, counts.cancelled
        ),
        submitted_at=moment_of(flow, "submitted_at"),
        finished_at=moment_of(flow, "finished_at"),
        deadline=moment_of(flow, "deadline"),
        labels=dict(flow.labels),
        failed_member=flow.failed_member if flow.HasField("failed_member") else None,
        failure=failure_of(flow),
    )


def _member_of(view: flow_service_pb2.FlowMemberView) -> FlowMember:
    return FlowMember(
        member=view.member,
        job_id=view.job_id,
        name=view.name,
        state=state_of(view.state),
        depends_on=tuple(view.depends_on),
        result=decode(view.result) if view.HasField("result") else None,
        failure=failure_of(view),
    )
