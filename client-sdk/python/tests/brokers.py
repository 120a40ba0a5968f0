"""Brokers for tests: what a client can meet at an address."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc


@contextlib.asynccontextmanager
async def mute() -> AsyncIterator[str]:
    """Takes connections and says nothing. Its address."""
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


class _Hanging(grpc.GenericRpcHandler):
    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        async def hang(asked: Any, context: Any) -> None:
            await asyncio.Event().wait()

        return grpc.stream_stream_rpc_method_handler(hang)


@contextlib.asynccontextmanager
async def hanging() -> AsyncIterator[str]:
    """Takes calls and answers none. Its address."""
    async with serving(lambda server: server.add_generic_rpc_handlers((_Hanging(),))) as address:
        yield address


@contextlib.asynccontextmanager
async def serving(add: Callable[[grpc.aio.Server], object]) -> AsyncIterator[str]:
    """What `add` puts into a server. Its address."""
    server = grpc.aio.server()
    add(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
