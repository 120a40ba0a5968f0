"""A worker in this process, for as long as a test needs it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from ..app import App
from ..worker import Worker

ATTACH_WITHIN = 30.0


@contextlib.contextmanager
def running(app: App, **settings: Any) -> Iterator[Worker]:
    """Runs a worker for `app` in a thread, attached when this begins and drained when it ends. Settings are
    those of `app.worker`. Raises what a start hook raises, and TimeoutError where no broker takes it in."""
    worker = app.worker(**{"drain_timeout": 2, **settings})
    failed: list[BaseException] = []

    def serve() -> None:
        try:
            asyncio.run(worker.run())
        except BaseException as error:
            failed.append(error)
            worker.attached_once.set()

    thread = threading.Thread(target=serve, name="drover-test-worker", daemon=True)
    thread.start()
    try:
        attached = worker.attached_once.wait(ATTACH_WITHIN)
        if failed:
            raise failed[0]
        if not attached:
            raise TimeoutError(f"no broker took the worker in within {ATTACH_WITHIN:g} s")
        yield worker
    finally:
        worker.stop()
        thread.join(ATTACH_WITHIN)
