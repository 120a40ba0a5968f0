"""Unary calls that survive a broker: retried on another one for as long as the client is told to try."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

import grpc
from drover.sdk import addresses
from drover.sdk.access import Access
from drover.v1 import (
    flow_service_pb2_grpc,
    inspect_service_pb2_grpc,
    job_service_pb2_grpc,
    queue_service_pb2_grpc,
    schedule_service_pb2_grpc,
)

from .errors import Unavailable, error_of_call, no_answer

T = TypeVar("T")

FIRST_WAIT = 0.05
LONGEST_WAIT = 2.0

_STUBS = {
    "Job": job_service_pb2_grpc.JobServiceStub,
    "Flow": flow_service_pb2_grpc.FlowServiceStub,
    "Queue": queue_service_pb2_grpc.QueueServiceStub,
    "Inspect": inspect_service_pb2_grpc.InspectServiceStub,
    "Schedule": schedule_service_pb2_grpc.ScheduleServiceStub,
}

CHANNEL_OPTIONS = [
    # A batch of jobs with their payloads and results is over gRPC's default of 4 MiB.
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    # gRPC's own 1 s to 2 min would outlast a broker's restart.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # What gRPC takes for this is the time that one attempt to connect has, TLS and all.
    ("grpc.min_reconnect_backoff_ms", 3000),
    # A broker that froze, or a host that vanished, says nothing: without pings a watch would wait for ever.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # What gRPC really goes by once a ping is out; its default is 60 s.
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
]


def backoff(attempt: int, retry_after: float | None, jitter: float) -> float:
    """Seconds to wait after sending number `attempt` (from 1) failed; `jitter` is 0 to 1. Never below what
    the broker asked for."""
    return max(retry_after or 0.0, min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(attempt - 1, 20)) * jitter)


def addresses_of(address: str | Iterable[str] | None) -> tuple[str, ...]:
    """Brokers as the user names them; DROVER_ADDRESS where none are named. Raises ValueError."""
    given = address if address is not None else os.environ.get("DROVER_ADDRESS") or addresses.DEFAULT_ADDRESS
    return addresses.addresses_of(given)


class Caller:
    """One channel per broker, made at first use. Every call made here may be sent twice: only for
    idempotent ones."""

    def __init__(
        self,
        addresses: Sequence[str],
        retry_for: float,
        timeout: float = 10.0,
        access: Access | None = None,
    ) -> None:
        """`timeout`: seconds for one sending of a call, beyond what the call itself says it may take. Every
        call ends within the sum of these and `retry_for`."""
        self.timeout = timeout
        self.retry_for = retry_for
        self._addresses = addresses
        self._access = access or Access(CHANNEL_OPTIONS)
        self._at = random.randrange(len(addresses))  # so that many clients spread over the brokers
        self._channels: dict[str, grpc.aio.Channel] = {}

    def method(self, name: str) -> Any:
        """`Status`, or `Flow/Status` for a method of another service than JobService, at the broker that is
        spoken to now."""
        address = self._addresses[self._at % len(self._addresses)]
        channel = self._channels.get(address)
        if channel is None:
            channel = self._channels[address] = self._access.channel(address)
        service, slash, method = name.rpartition("/")
        return getattr(_STUBS[service if slash else "Job"](channel), method)

    def stream(self, name: str, request: Any) -> Any:
        """A stream of answers, without an end of its own."""
        return self.method(name)(request, metadata=self._access.metadata())

    async def call(self, method: str, request: Any, lasts: float = 0.0) -> Any:
        """`lasts`: seconds that the call itself may take (a long poll). Raises a BrokerError; Unavailable
        only after the time to retry is over."""
        return await self.retrying(lambda: self.once(method, request, lasts), lasts)

    async def retrying(self, send: Callable[[], Any], lasts: float = 0.0) -> Any:
        """Repeats `send` while it raises Unavailable and there is time. That counts from the first failure:
        a long poll that hung must not have used it up."""
        loop = asyncio.get_running_loop()
        latest = loop.time() + lasts + self.timeout  # of the first failure
        turn = self.turn
        try:
            return await send()
        except Unavailable as error:
            failure = error
        deadline = min(loop.time(), latest) + self.retry_for
        attempt = 1
        while True:
            wait = backoff(attempt, failure.retry_after, random.random())
            if loop.time() + wait > deadline:
                raise failure
            self.elsewhere(turn)
            await asyncio.sleep(wait)
            attempt += 1
            turn = self.turn
            try:
                return await asyncio.wait_for(send(), deadline - loop.time())
            except Unavailable as error:
                failure = error
            except asyncio.TimeoutError:
                raise no_answer(self.retry_for) from failure

    async def until(self, deadline: float, answer: Awaitable[T]) -> T:
        """The answer, if it comes by then, by the loop's time. Raises Unavailable otherwise, and what is
        asked next is asked of the next broker."""
        turn = self.turn
        left = max(0.0, deadline - asyncio.get_running_loop().time())
        try:
            return await asyncio.wait_for(answer, left)
        except asyncio.TimeoutError:
            self.elsewhere(turn)
            raise no_answer(round(left, 3)) from None

    @property
    def turn(self) -> int:
        """Stands for the broker that is spoken to now."""
        return self._at

    def elsewhere(self, turn: int) -> None:
        """The next call goes to the next broker, unless another call that failed has seen to that already:
        two failures must not lead back to where they came from."""
        if self._at == turn:
            self._at += 1

    async def close(self) -> None:
        channels, self._channels = list(self._channels.values()), {}
        await asyncio.gather(*(channel.close() for channel in channels))

    async def once(self, method: str, request: Any, lasts: float = 0.0) -> Any:
        """As `call`, sent one time only."""
        try:
            timeout = lasts + self.timeout
            return await self.method(method)(request, timeout=timeout, metadata=self._access.metadata())
        except grpc.aio.AioRpcError as error:
            raise error_of_call(error) from None
