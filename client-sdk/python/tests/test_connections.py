"""Connections of a client: one for each broker, shared by all of its calls; made anew when it breaks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from brokers import serving
from drover.v1 import inspect_service_pb2, inspect_service_pb2_grpc

from drover_client import Client


class Door(inspect_service_pb2_grpc.InspectServiceServicer):
    """A broker behind a door that counts who comes in, and can throw all of them out."""

    def __init__(self) -> None:
        self.connections = 0
        self.calls = 0
        self.arrivals: asyncio.Queue[int] = asyncio.Queue()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.address = ""
        self._near: list[asyncio.StreamWriter] = []

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Door]:
        add = inspect_service_pb2_grpc.add_InspectServiceServicer_to_server
        async with serving(lambda server: add(self, server)) as behind:
            host, _, port = behind.partition(":")

            async def enter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                self.connections += 1
                self._near.append(writer)
                far_reader, far_writer = await asyncio.open_connection(host, int(port))
                await asyncio.gather(carry(reader, far_writer), carry(far_reader, writer))

            server = await asyncio.start_server(enter, "127.0.0.1", 0)
            self.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            try:
                yield self
            finally:
                server.close()
                self.cut()

    def cut(self) -> None:
        for writer in self._near:
            writer.transport.abort()
        self._near.clear()

    async def Registered(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.calls += 1
        self.arrivals.put_nowait(self.calls)
        await self.may_answer.wait()
        return inspect_service_pb2.RegisteredResponse()


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def test_a_thousand_calls_at_a_time_share_one_connection() -> None:
    async with Door().open() as door, Client(door.address) as client:
        door.may_answer.clear()
        calls = [asyncio.create_task(client.inspect.registered()) for _ in range(1000)]
        for _ in calls:
            await door.arrivals.get()
        door.may_answer.set()
        await asyncio.gather(*calls)
        assert door.connections == 1


async def test_a_connection_that_is_cut_is_made_anew_and_its_calls_are_sent_again() -> None:
    async with Door().open() as door, Client(door.address) as client:
        for number in range(1, 6):
            await client.inspect.registered()
            assert door.connections == number
            door.cut()


async def test_clients_begin_with_any_of_their_brokers_and_go_on_to_the_next_where_one_is_gone() -> None:
    async def call(*addresses: str) -> None:
        async with Client(addresses) as client:
            await client.inspect.registered()

    async with Door().open() as one:
        async with Door().open() as other:
            for _ in range(40):  # of 40 all but never miss one of two
                await call(one.address, other.address)
            assert one.calls > 0
            assert other.calls > 0
        for _ in range(10):
            await call(one.address, other.address)
