"""Streams that tell of changes until something has ended, and go on at another broker when one is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import grpc

from .calls import Caller
from .errors import Unavailable, error_of_call, no_answer

WATCH_AGAIN = 0.05
"""Seconds before a stream that ended too early is opened again."""

T = TypeVar("T")


async def follow(
    calls: Caller, method: str, request: Any, read: Callable[[Any], T], ended: Callable[[T], bool]
) -> AsyncIterator[T]:
    """What each message says, unless it says the same as the one before. Raises BrokerError."""
    told: T | None = None
    while True:
        call, response = await calls.retrying(lambda: _open(calls, method, request))
        turn = calls.turn
        try:
            while response is not grpc.aio.EOF:
                now = read(response)
                if now != told:  # what was told already comes again at the begin of a new stream
                    told = now
                    yield now
                if ended(now):
                    return
                response = await call.read()
        except grpc.aio.AioRpcError as error:
            lost = error_of_call(error)
            if not isinstance(lost, Unavailable):
                raise lost from None
        finally:
            call.cancel()
        calls.elsewhere(turn)
        await asyncio.sleep(WATCH_AGAIN)


async def _open(calls: Caller, method: str, request: Any) -> tuple[Any, Any]:
    """The stream and its first message, which tells how things stand now: only with that is it known to be
    open. After it a stream may be silent for as long as nothing happens."""
    call = calls.stream(method, request)
    try:
        return call, await asyncio.wait_for(call.read(), calls.timeout)
    except grpc.aio.AioRpcError as error:
        raise error_of_call(error) from None
    except asyncio.TimeoutError:
        raise no_answer(calls.timeout) from None
