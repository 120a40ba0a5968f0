"""One `Work` stream, from attach to its end. Knows how to speak; what is said is decided by the worker and
its outbox.

Pings are answered by the reader and the writer of this file alone, in a thread in which no handler runs: none
can hold a pong back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import grpc
from drover.sdk.access import Access, explained
from drover.v1 import worker_service_pb2, worker_service_pb2_grpc

from .durations import seconds_in
from .outbox import Outbox

ATTACH_TIMEOUT = 5.0
"""Seconds for connecting and `attached`; beyond that the next address is tried."""
SESSION_TIMEOUT = 15.0
"""Seconds of silence that end a session, where the broker names none."""
LEAVE_TIMEOUT = 2.0
"""Seconds for what is left to go up and for the broker to end the stream."""

CHANNEL_OPTIONS = [
    # Each session its own connection: a new one must not join a broker's that stops, or one that hangs.
    ("grpc.use_local_subchannel_pool", 1),
    # Many large payloads may come in one message.
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
]


class Why(Enum):
    """Why a session ended."""

    CLOSED = "closed"
    """We left."""
    SILENT = "no sign of life"
    BROKEN = "broken"


@dataclass(frozen=True)
class SessionEnd:
    why: Why
    code: str = ""
    """gRPC's name of what broke it, for example UNAVAILABLE."""
    details: str = ""


class SessionListener(Protocol):
    """What comes down."""

    def leased(self, leases: worker_service_pb2.Leases) -> None: ...
    def settled(self, settled: worker_service_pb2.Settled) -> None: ...
    def cancelled(self, cancel: worker_service_pb2.CancelLeases) -> None: ...


class Session:
    """`attach`, and if that went well `speak`, and in any case `abandon` at the end."""

    def __init__(self, address: str, access: Access, outbox: Outbox, listener: SessionListener) -> None:
        self.draining = asyncio.Event()
        """The broker has said that it stops. It goes on settling what it is told."""
        self._outbox = outbox
        self._listener = listener
        self._channel = access.channel(address)
        stub = worker_service_pb2_grpc.WorkerServiceStub(self._channel)
        self._call = stub.Work(metadata=access.metadata())
        self._closing = asyncio.Event()
        self._silenced = False
        self._timeout = SESSION_TIMEOUT
        self._began = self._heard = 0.0

    @property
    def lived(self) -> float:
        """Seconds since `attached`."""
        return asyncio.get_running_loop().time() - self._began

    async def attach(
        self, hello: Callable[[], worker_service_pb2.Attach]
    ) -> worker_service_pb2.Attached | SessionEnd:
        """`hello` is asked once there is a connection: what it says is to be as fresh as can be."""
        try:
            return await asyncio.wait_for(self._attach(hello), ATTACH_TIMEOUT)
        except asyncio.TimeoutError:
            return SessionEnd(Why.SILENT)
        except _BROKEN as error:
            return await self._broken(error)

    async def speak(self) -> SessionEnd:
        """Returns when the session is over, for whatever reason; raises only when cancelled."""
        reader = asyncio.create_task(self._read())
        writer = asyncio.create_task(self._write())
        watch = asyncio.create_task(self._watch())
        closing = asyncio.create_task(self._closing.wait())
        tasks = (reader, writer, watch, closing)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if self._closing.is_set():
                await asyncio.wait((reader, writer), timeout=LEAVE_TIMEOUT)
                return SessionEnd(Why.CLOSED)
            if watch.done():
                return SessionEnd(Why.SILENT)
            # A writer that failed: the reader fails right after it, and knows the status.
            await asyncio.wait((reader,), timeout=0.5)
            failed = reader if reader.done() else writer
            return await self._broken(None if failed.cancelled() else failed.exception())
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def close(self) -> None:
        """Leave in good order: half-close once the outbox is empty. What is still held then is lost at
        once."""
        self._closing.set()
        self._outbox.wake()

    def silence(self) -> None:
        """Another session has taken over: nothing more goes up, nothing that comes down is listened to."""
        self._silenced = True

    async def abandon(self) -> None:
        """Close the connection. Without `close` before, what is held can be attached again for a moment."""
        self._call.cancel()
        await self._channel.close()

    async def _attach(self, hello: Callable[[], worker_service_pb2.Attach]) -> worker_service_pb2.Attached:
        loop = asyncio.get_running_loop()
        state = self._channel.get_state(try_to_connect=True)
        # One that cannot connect says why when it is used.
        while state not in (grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.TRANSIENT_FAILURE):
            await self._channel.wait_for_state_change(state)
            state = self._channel.get_state(try_to_connect=True)
        await self._call.write(worker_service_pb2.WorkRequest(attach=hello()))
        response = await self._call.read()
        if response is grpc.aio.EOF or response.WhichOneof("message") != "attached":
            raise ConnectionError("the broker did not answer attach with attached")
        attached: worker_service_pb2.Attached = response.attached
        self._timeout = seconds_in(attached.session_timeout) or SESSION_TIMEOUT
        self._began = self._heard = loop.time()
        return attached

    async def _read(self) -> None:
        """Until the broker ends the stream."""
        loop = asyncio.get_running_loop()
        listener, outbox, read = self._listener, self._outbox, self._call.read
        while (response := await read()) is not grpc.aio.EOF:
            self._heard = loop.time()
            if self._silenced:
                return
            match response.WhichOneof("message"):
                case "ping":
                    outbox.pong()
                case "leases":
                    listener.leased(response.leases)
                case "settled":
                    listener.settled(response.settled)
                case "cancel":
                    listener.cancelled(response.cancel)
                case "drain":
                    self.draining.set()
                case _:
                    pass  # of a later version of the contract

    async def _write(self) -> None:
        """One message at a time: what gathers meanwhile goes up in the next."""
        while not self._silenced:
            request = self._outbox.next_request()
            if request is not None:
                await self._call.write(request)
            elif self._closing.is_set():
                await self._call.done_writing()
                return
            else:
                await self._outbox.filled()

    async def _watch(self) -> None:
        """Returns once the broker was silent for too long."""
        loop = asyncio.get_running_loop()
        while True:
            heard = self._heard
            await asyncio.sleep(max(0.0, heard + self._timeout - loop.time()))
            # A handler that blocked the loop also kept us from reading: look again after the reader had its
            # turn.
            await asyncio.sleep(0.1)
            if self._heard == heard:
                return

    async def _broken(self, error: BaseException | None) -> SessionEnd:
        if self._call.done():
            code, details = await self._call.code(), await self._call.details()
            return SessionEnd(Why.BROKEN, code.name, explained(details or ""))
        return SessionEnd(Why.BROKEN, "", repr(error))


# InvalidStateError is what grpc raises for a write to a call that has ended.
_BROKEN = (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError, ConnectionError)
