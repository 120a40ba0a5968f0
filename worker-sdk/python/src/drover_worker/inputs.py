"""What the members of a flow that a job depends on came to. They travel with its lease as long as they are
small together; beyond that they are read in pages before the handler starts."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import Any

import grpc
from drover.sdk.access import Access
from drover.v1 import flow_service_pb2, flow_service_pb2_grpc, job_pb2, worker_service_pb2

from .payload import decode
from .reconnect import Reconnect

LIST_HEADER = "drover-inputs"
"""On a job behind a group: its inputs are one list, also where there is just one."""
PAGE_TIMEOUT = 10.0
TRIES = 8
"""Of a page, each at the next broker."""
_PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


@dataclass(frozen=True)
class InputFailure:
    reason: str
    """`error`, `permanent`, `time_limit` ..."""
    type: str
    message: str


@dataclass(frozen=True)
class Input:
    job_id: str = ""
    state: str = "succeeded"
    """`failed` or `cancelled` only where the flow goes on all the same."""
    result: Any = None
    """A JSON value, or a `Payload`; None unless succeeded."""
    failure: InputFailure | None = None


def inputs_of(lease: worker_service_pb2.Lease) -> tuple[Input, ...]:
    """In the order in which the flow named them; none for a job that depends on nothing."""
    return tuple(map(_input, lease.inputs))


def are_listed(lease: worker_service_pb2.Lease) -> bool:
    """Whether the inputs are one list, and not the result of the one step before."""
    return len(lease.inputs) > 1 or lease.headers.get(LIST_HEADER) == "list"


class InputPages:
    """Belongs to the event loop that speaks to the broker."""

    def __init__(self, addresses: tuple[str, ...], access: Access) -> None:
        self._reconnect = Reconnect(addresses, random.random)
        self._access = access
        self._channel: grpc.aio.Channel | None = None

    async def fill(self, lease: worker_service_pb2.Lease) -> None:
        """Reads what the lease has no room for. Raises grpc.aio.AioRpcError."""
        first = 0
        while True:
            page = await self._page(flow_service_pb2.InputsRequest(job_id=lease.job_id, first_input=first))
            lease.inputs.extend(page.inputs)
            first = page.next_input
            if first == 0:
                return

    async def close(self) -> None:
        if self._channel is not None:
            channel, self._channel = self._channel, None
            await channel.close()

    async def _page(self, request: flow_service_pb2.InputsRequest) -> flow_service_pb2.InputsResponse:
        for tries in range(1, TRIES + 1):
            if self._channel is None:
                self._channel = self._access.channel(self._reconnect.address)
            stub = flow_service_pb2_grpc.FlowServiceStub(self._channel)
            try:
                page: flow_service_pb2.InputsResponse = await stub.Inputs(
                    request, timeout=PAGE_TIMEOUT, metadata=self._access.metadata()
                )
                return page
            except grpc.aio.AioRpcError as error:
                if error.code() not in _PASSING or tries == TRIES:
                    raise
                await self.close()
                await asyncio.sleep(self._reconnect.after_failure())
        raise AssertionError("the last try returns or raises")


def missing_inputs(lease: worker_service_pb2.Lease) -> bool:
    return len(lease.inputs) < lease.input_count


def _input(told: worker_service_pb2.Input) -> Input:
    state = _name(job_pb2.JobState.Name(told.state), "JOB_STATE_")
    failure = None
    if told.HasField("failure"):
        reason = _name(job_pb2.FailureReason.Name(told.failure.reason), "FAILURE_REASON_")
        failure = InputFailure(reason, told.failure.type, told.failure.message)
    return Input(told.job_id, state, decode(told.result) if state == "succeeded" else None, failure)


def _name(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).lower()
