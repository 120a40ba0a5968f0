"""The tasks of workers.test.ts and bad-input.test.ts in Python."""

import asyncio
import hashlib
import os
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from drover_worker import App, Context, Permanent, Retry, Tls

env = os.environ.get
ca = env("FIXTURE_TLS_CA")

namespaces = env("FIXTURE_NAMESPACES", "").split(",")


def metadata() -> dict[str, str]:
    """One namespace for each time that it is asked for, the last one from then on."""
    return {"drover-namespace": namespaces.pop(0) if len(namespaces) > 1 else namespaces[0]}


app = App(
    queues=os.environ["FIXTURE_QUEUE"],
    concurrency=int(os.environ["FIXTURE_CONCURRENCY"]),
    drain_timeout=float(os.environ["FIXTURE_DRAIN_SECONDS"]),
    metadata=metadata if namespaces[0] else None,
    tls=Tls(ca, env("FIXTURE_TLS_CERT"), env("FIXTURE_TLS_KEY")) if ca else None,
)


class NoSuchUser(Exception):
    pass


@app.task("echo")
async def echo(value: Any) -> Any:
    return value


@app.task("measure")
def measure(value: str) -> dict[str, Any]:
    data = value.encode()
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


@app.task("gate")
async def gate(gate: str, diary: str, context: Context) -> str:
    """Waits for a file, and leaves a line in another one for each thing that befalls it."""

    def note(what: str) -> None:
        with Path(diary).open("a") as file:
            file.write(f"{what} {context.attempt}\n")

    note("began")
    context.progress(0.5, {"step": "half"})
    try:
        while not Path(gate).exists():  # noqa: ASYNC110, ASYNC240  another process makes it
            await asyncio.sleep(0.02)
    except asyncio.CancelledError:
        note("interrupted")
        raise
    note("returned")
    return "opened"


@app.task("busy")
def busy(milliseconds: int, diary: str, context: Context) -> int:
    """Computes, and lets nothing else come in between."""
    with Path(diary).open("a") as file:
        file.write(f"began {context.attempt}\n")
    end = time.monotonic() + milliseconds / 1000
    while time.monotonic() < end:
        pass
    return context.attempt


@app.task("flaky")
def flaky(failures: int, context: Context) -> int:
    if context.attempt <= failures:
        raise TypeError("not yet")
    return context.attempt


@app.task("again")
def again(milliseconds: int, context: Context) -> int:
    if context.attempt == 1:
        raise Retry("come back later", after=milliseconds / 1000)
    return context.attempt


@app.task("marked")
def marked() -> None:
    raise Permanent("no user 42")


@app.task("ruled", permanent_errors=(NoSuchUser,))
def ruled() -> None:
    raise NoSuchUser("no user 42")


@app.task("sizes")
def sizes(results: list[str]) -> list[str]:
    return [f"{result[0]}{len(result)}" for result in results]


class User(BaseModel):
    id: int


@app.task("strict")
def strict(user: User, note: str = "") -> int:
    return user.id


@app.task("opaque")
def opaque() -> Any:
    return object()


@app.task("silent")
def silent() -> None:
    pass


@app.task("odd")
def odd() -> None:
    raise SystemExit("no error at all")


@app.task("exits")
def exits(code: int) -> None:
    os._exit(code)


@app.task("forks")
def forks() -> dict[str, Any]:
    """Both processes return from here."""
    pid = os.fork()
    return {"by": "the worker" if pid else "its child", "pid": pid or os.getpid()}


@app.task("forks_async")
async def forks_async() -> dict[str, Any]:
    return forks()


if __name__ == "__main__":
    app.run(worker_name=os.environ["FIXTURE_NAME"])
