"""How a run is made to end: time limits and cancellation."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any

import pytest
from drover.v1 import job_pb2
from running import begun, ended, start

from drover_worker import CancelReason, Context, SoftTimeLimitExceeded


async def test_at_the_soft_limit_an_async_handler_is_told_and_may_clean_up() -> None:
    async def handler(ctx: Context) -> str:
        ctx.progress(0)
        try:
            await asyncio.sleep(60)
        except SoftTimeLimitExceeded:
            await asyncio.sleep(0.01)
            return "cleaned up"
        return "never"

    run, heard = start(handler, soft=60)
    await begun(heard)
    run.cancel(CancelReason.SOFT_TIME_LIMIT)
    assert (await ended(heard)).outcomes[0].success.result.data == b'"cleaned up"'


async def test_the_soft_limit_comes_by_itself_even_before_the_first_step() -> None:
    for soft in (0, 0.05):
        run, heard = start(sleeps, soft=soft)
        failure = (await ended(heard)).outcomes[0].failure
        assert (failure.type, failure.reason) == ("SoftTimeLimitExceeded", job_pb2.FAILURE_REASON_ERROR)
        assert run.cancel_reason is CancelReason.SOFT_TIME_LIMIT


async def test_the_soft_limit_reaches_through_gather_and_ends_its_children() -> None:
    began: list[str] = []
    ends: list[str] = []
    both = asyncio.Event()

    async def child() -> None:
        began.append("child")
        if len(began) == 2:
            both.set()
        try:
            await asyncio.sleep(60)
        finally:
            ends.append("child")

    async def handler() -> None:
        await asyncio.gather(child(), child())

    run, heard = start(handler, soft=60)
    await both.wait()
    run.cancel(CancelReason.SOFT_TIME_LIMIT)
    failure = (await ended(heard)).outcomes[0].failure
    assert (failure.type, failure.reason) == ("SoftTimeLimitExceeded", job_pb2.FAILURE_REASON_ERROR)
    assert ends == ["child", "child"]


async def test_a_time_out_in_the_clean_up_after_the_soft_limit_works() -> None:
    async def handler(ctx: Context) -> str:
        ctx.progress(0)
        try:
            await asyncio.sleep(60)
        except SoftTimeLimitExceeded:
            try:
                await asyncio.wait_for(asyncio.sleep(60), 0.01)
            except asyncio.TimeoutError:
                return "timed out"
        return "never"

    run, heard = start(handler, soft=60)
    await begun(heard)
    run.cancel(CancelReason.SOFT_TIME_LIMIT)
    assert (await ended(heard)).outcomes[0].success.result.data == b'"timed out"'


async def test_errors_of_what_a_limited_handler_awaits_reach_it() -> None:
    async def broken() -> None:
        await asyncio.sleep(0)
        raise LookupError("inner")

    async def handler() -> str:
        try:
            await asyncio.create_task(broken())
        except LookupError as error:
            return str(error)
        return "never"

    _, heard = start(handler, soft=60)
    assert (await ended(heard)).outcomes[0].success.result.data == b'"inner"'


async def test_at_the_soft_limit_a_sync_handler_sees_it_in_its_context() -> None:
    def handler(ctx: Context) -> str:
        assert ctx.cancel_event.wait(30)
        try:
            ctx.check()
        except SoftTimeLimitExceeded:
            return str(ctx.cancel_reason)
        return "never"

    _, heard = start(handler, soft=0.02)
    assert (await ended(heard)).outcomes[0].success.result.data == b'"soft time limit"'


async def test_at_the_hard_limit_the_attempt_is_over_and_a_stubborn_handler_is_ignored() -> None:
    release = threading.Event()

    def handler() -> None:
        release.wait(30)

    run, heard = start(handler, hard=0.02)
    while not heard.outcomes:  # noqa: ASYNC110  it tells nobody
        await asyncio.sleep(0.001)
    assert heard.outcomes[0].failure.reason == job_pb2.FAILURE_REASON_TIME_LIMIT
    assert heard.outcomes[0].failure.message == "hard time limit of 0.02 s exceeded"
    assert run.cancel_reason is CancelReason.TIME_LIMIT
    assert not heard.finished.is_set(), "its place is taken until it has really ended"
    release.set()
    assert len((await ended(heard)).outcomes) == 1


async def test_the_hard_limit_also_ends_a_handler_that_ignored_the_soft_one() -> None:
    async def handler(ctx: Context) -> None:
        ctx.progress(0)
        try:
            await asyncio.sleep(60)
        except SoftTimeLimitExceeded:
            await asyncio.sleep(60)

    run, heard = start(handler, soft=60, hard=1)
    await begun(heard)
    run.cancel(CancelReason.SOFT_TIME_LIMIT)
    assert (await ended(heard)).kinds == ["failure"]
    assert heard.outcomes[0].failure.reason == job_pb2.FAILURE_REASON_TIME_LIMIT


async def sleeps(ctx: Context) -> None:
    ctx.progress(0)
    await asyncio.sleep(60)


async def swallows(ctx: Context) -> str:
    ctx.progress(0)
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(60)
    return "done anyway"


def checks(ctx: Context) -> None:
    ctx.progress(0)
    ctx.cancel_event.wait(30)
    ctx.check()


@pytest.mark.parametrize(
    ("function", "reason", "kinds"),
    [
        (sleeps, CancelReason.REQUESTED, ["cancelled"]),
        (checks, CancelReason.REQUESTED, ["cancelled"]),
        (swallows, CancelReason.REQUESTED, ["success"]),
        (sleeps, CancelReason.SHUTDOWN, ["release"]),
        (checks, CancelReason.SHUTDOWN, ["release"]),
        (sleeps, CancelReason.LEASE_LOST, []),
        (checks, CancelReason.LEASE_LOST, []),
        (swallows, CancelReason.TIME_LIMIT, []),
    ],
)
async def test_cancel(function: Callable[..., Any], reason: CancelReason, kinds: list[str]) -> None:
    run, heard = start(function)
    await begun(heard)
    run.cancel(reason)
    assert (await ended(heard)).kinds == kinds


async def test_a_cancel_before_the_first_step_counts() -> None:
    run, heard = start(sleeps)
    run.cancel(CancelReason.REQUESTED)
    assert (await ended(heard)).kinds == ["cancelled"]


async def test_a_weaker_reason_does_not_replace_a_stronger_one() -> None:
    run, heard = start(checks)
    run.cancel(CancelReason.LEASE_LOST)
    run.cancel(CancelReason.REQUESTED)
    assert run.cancel_reason is CancelReason.LEASE_LOST
    await ended(heard)
