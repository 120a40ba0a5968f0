"""One attempt in this process: arguments, results, progress, logs."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from drover.v1 import job_pb2
from running import ended, start

from drover_worker import Context


async def add_async(a: int, b: int) -> int:
    await asyncio.sleep(0)
    return a + b


def add_sync(a: int, b: int) -> int:
    return a + b


@pytest.mark.parametrize("function", [add_async, add_sync])
async def test_arguments_in_result_out(function: Callable[..., Any]) -> None:
    _, heard = start(function, b'{"a":1,"b":2}')
    assert (await ended(heard)).outcomes[0].success.result.data == b"3"


@pytest.mark.parametrize("function", [add_async, add_sync])
async def test_a_payload_that_does_not_fit_fails_for_good(function: Callable[..., Any]) -> None:
    _, heard = start(function, b'{"a":1,"c":2}')
    failure = (await ended(heard)).outcomes[0].failure
    assert (failure.reason, failure.type) == (job_pb2.FAILURE_REASON_PERMANENT, "BindingError")
    assert "missing argument 'b'; unknown argument 'c'" in failure.message


async def test_a_sync_handler_runs_beside_the_event_loop() -> None:
    loop_thread = threading.get_ident()

    def handler() -> bool:
        return threading.get_ident() != loop_thread

    _, heard = start(handler)
    assert (await ended(heard)).outcomes[0].success.result.data == b"true"


async def exit_async() -> None:
    raise SystemExit(1)


def exit_sync() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("function", [exit_async, exit_sync])
async def test_a_handler_that_exits_fails_alone(function: Callable[..., Any]) -> None:
    _, heard = start(function)
    assert (await ended(heard)).kinds == ["failure"]


async def test_the_context_tells_of_the_run() -> None:
    async def handler(ctx: Context) -> list[Any]:
        assert ctx.deadline is not None
        assert ctx.soft_deadline is not None
        return [ctx.job_id, ctx.task, ctx.attempt, ctx.labels["l"], ctx.headers["h"],
                round((ctx.deadline - ctx.soft_deadline).total_seconds()), ctx.cancelled]  # fmt: skip

    _, heard = start(handler, soft=10, hard=60, labels={"l": "1"}, headers={"h": "2"})
    assert (await ended(heard)).outcomes[0].success.result.data == b'["t~k","t",2,"1","2",50,false]'


async def progress_async(ctx: Context) -> None:
    ctx.progress(0.5, {"step": 1})


def progress_sync(ctx: Context) -> None:
    ctx.progress(0.5, {"step": 1})


@pytest.mark.parametrize("function", [progress_async, progress_sync])
async def test_progress_comes_from_any_thread(function: Callable[..., Any]) -> None:
    _, heard = start(function)
    await ended(heard)
    assert heard.progress == [job_pb2.Progress(value=0.5, detail=b'{"step":1}')]


@pytest.mark.parametrize("given", [(float("nan"),), (1, "x" * 4096), (1, object())])
def test_progress_out_of_bounds_is_refused(given: tuple[Any, ...]) -> None:
    with pytest.raises((ValueError, TypeError)):
        Context().progress(*given)


async def test_three_events_tell_of_every_run_and_never_its_payload(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(secret: str, ctx: Context) -> None:
        ctx.logger.info("working", extra={"step": 1})
        if ctx.attempt == 2:
            raise ValueError("no")

    with caplog.at_level(logging.INFO):
        _, heard = start(handler, b'{"secret":"hunter2"}')
        await ended(heard)
        _, heard = start(add_async, b'{"a":1,"b":2}')
        await ended(heard)
    assert [record.getMessage() for record in caplog.records] == [
        "task_started", "working", "task_failed", "task_started", "task_completed"
    ]  # fmt: skip
    for record in caplog.records:
        assert (record.job_id, record.task, record.attempt) == ("t~k", "t", 2)  # type: ignore[attr-defined]
    assert caplog.records[1].step == 1  # type: ignore[attr-defined]
    assert caplog.records[2].duration_ms >= 0  # type: ignore[attr-defined]
    assert caplog.records[2].error_type == "ValueError"  # type: ignore[attr-defined]
    assert not any(
        "hunter2" in str(vars(record)) for record in caplog.records if record.name == "drover.worker"
    )
