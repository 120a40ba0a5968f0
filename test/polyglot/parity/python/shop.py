"""The tasks of test_parity.py: an app as a user of Celery would write it."""

import asyncio
import ctypes
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from drover_worker import App, Context, Permanent, Retry, SoftTimeLimitExceeded

app = App()
events: list[str] = []
"""What hooks, resources and handlers did, in this process."""
running = 0
most_running = 0


@app.on_start
async def connect() -> None:
    events.append("started")


@app.on_stop
def disconnect() -> None:
    events.append("stopped")


@app.resource
async def session(ctx: Context) -> AsyncIterator[str]:
    events.append(f"opened {ctx.job_id}")
    try:
        yield f"session of {ctx.job_id}"
    finally:
        events.append(f"closed {ctx.job_id}")


@app.resource
def folder() -> Iterator[str]:
    yield "/tmp/folder"


@app.task("users.process")
def process_user(user_id: int, greeting: str = "hello") -> dict[str, Any]:
    return {"user": user_id, "said": greeting}


@app.task("users.load")
async def load_user(user_id: int, session: str) -> str:
    if user_id < 0:
        raise Permanent("no such user")
    return f"{user_id} by {session}"


@app.task("users.files")
def files(folder: str) -> str:
    return folder


@app.task("users.labels")
def labels(ctx: Context) -> dict[str, str]:
    return dict(ctx.labels)


@app.task("many.wait")
async def wait_together(seconds: float) -> int:
    global running, most_running
    running += 1
    most_running = max(most_running, running)
    await asyncio.sleep(seconds)
    running -= 1
    return most_running


@app.task("gate.wait")
async def wait_for(gate: str, ctx: Context) -> str:
    ctx.progress(0.5, {"step": "half"})
    while not Path(gate).exists():  # noqa: ASYNC110, ASYNC240  the test makes it
        await asyncio.sleep(0.01)
    return "opened"


@app.task("flaky.fail")
def flaky(failures: int, ctx: Context) -> int:
    if ctx.failures < failures:
        raise ConnectionError("not yet")
    return ctx.attempt


@app.task("flaky.later")
def later(ctx: Context) -> int:
    if ctx.attempt == 1:
        raise Retry("busy", after=300)
    return ctx.attempt


@app.task("files.read")
def read(path: str) -> str:
    return Path(path).read_text()


class Gone(Exception):
    pass


@app.task("rules.permanent", permanent_errors=(Gone,))
def gone() -> None:
    raise Gone("user 7 is gone")


@app.task("rules.retried", retried_errors=(ConnectionError,))
def only_connections(kind: str) -> None:
    raise ConnectionError("down") if kind == "connection" else RuntimeError("a mistake")


order: list[str] = []


@app.task("order.note", concurrency=1)
def note(name: str) -> None:
    order.append(name)


@app.task("math.add")
def add(a: Any, b: int = 0) -> Any:
    return a + b


@app.task("math.total")
def total(numbers: list[int], base: int = 0) -> int:
    return sum(numbers) + base


@app.task("math.count")
def count(values: Any) -> Any:
    return {"count": len(values), "type": type(values).__name__}


@app.task("math.inputs")
def inputs(ctx: Context) -> list[Any]:
    return [[entry.state, entry.result, entry.failure and entry.failure.type] for entry in ctx.inputs]


@app.task("math.large")
async def large(letter: str) -> str:
    return letter * 200_000


@app.task("math.lengths")
def lengths(parts: list[str]) -> list[int]:
    return [len(part) for part in parts]


@app.task("limits.async")
async def soft_async() -> str:
    try:
        await asyncio.sleep(60)
    except SoftTimeLimitExceeded:
        return "cleaned up"
    return "never"


@app.task("limits.never_yields")
async def never_yields(seconds: float) -> str:
    time.sleep(seconds)  # noqa: ASYNC251  that is the point
    return "at last"


@app.task("limits.blocks")
async def blocks(gate: str) -> str:
    while not Path(gate).exists():  # noqa: ASYNC110, ASYNC240  the test makes it
        time.sleep(0.01)  # noqa: ASYNC251  that is the point
    return "at last"


@app.task("limits.rated")
def rated() -> None:
    return None


@app.task("limits.cpu")
def burn(seconds: float) -> str:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        sum(range(10_000))
    return "burnt"


@app.task("process.soft", pool="process")
def soft_in_process() -> str:
    try:
        time.sleep(60)
    except SoftTimeLimitExceeded:
        return "cleaned up"
    return "never"


@app.task("process.soft_async", pool="process")
async def soft_async_in_process() -> str:
    try:
        await asyncio.sleep(60)
    except SoftTimeLimitExceeded:
        return "cleaned up"
    return "never"


@app.task("process.deaf", pool="process", hard_time_limit=0.5)
def deaf(pid_file: str) -> None:
    """Listens to nothing: a loop in C that holds the interpreter's lock."""
    Path(pid_file).write_text(str(os.getpid()))
    ctypes.PyDLL(None).sleep(60)


@app.task("process.pid", pool="process")
def pid(ctx: Context) -> int:
    ctx.progress(1, {"pid": os.getpid()})
    return os.getpid()


@app.task("process.labels", pool="process")
def labels_in_process(ctx: Context) -> dict[str, str]:
    return dict(ctx.labels)


@app.task("process.exit", pool="process")
def leave(code: int) -> None:
    os._exit(code)


@app.task("process.crash", pool="process")
def crash() -> None:
    ctypes.string_at(0)


@app.task("process.fork", pool="process")
def fork() -> str:
    child = os.fork()
    if child == 0:
        return "the child's, which nobody is to see"
    os.waitpid(child, 0)
    return "the parent's"


@app.task("process.thread_count", pool="process")
def thread_count() -> int:
    return threading.active_count()


@app.task("process.wait", pool="process")
def sleep_in_process(pid_file: str) -> None:
    Path(pid_file).write_text(str(os.getpid()))
    while True:  # swallows whatever it is told
        try:
            time.sleep(60)
        except Exception:
            continue


@app.task("bad.result")
def bad_result() -> object:
    return object()


@app.task("bad.nothing")
def nothing() -> None:
    return None
