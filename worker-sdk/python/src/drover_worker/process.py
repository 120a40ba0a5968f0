"""A worker as a process: logging, signals, and leaving without waiting for handlers that do not end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from types import FrameType

from .log_events import configure, event
from .settings import Settings
from .worker import Worker

LEFTOVER_TIMEOUT = 1.0
"""Seconds that async handlers which outlived the drain get to end before the loop is closed under them."""
BLOCKED_TIMEOUT = 10.0
"""Seconds that the event loop gets to notice that the worker has finished, stop hooks included."""


def ensure_logging(settings: Settings) -> bool:
    """Sets up logging, unless the program has done so. Whether it did."""
    if logging.getLogger().handlers:
        return False
    configure(settings.log_level, settings.log_format)
    return True


def run_process(worker: Worker) -> None:
    """Returns when the worker has drained after SIGTERM, SIGINT or `worker.stop()`. If a handler that never
    yields still blocks the event loop then, the process ends with exit code 0: everything is told."""
    restore = _on_signals(worker)
    # Not asyncio.run: at the end that waits for every task, also for a handler that ignores its cancellation.
    loop = asyncio.new_event_loop()
    blocked = _leave_if_blocked(worker)
    try:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(worker.run())
        leftover = asyncio.all_tasks(loop)
        for task in leftover:
            task.cancel()
        if leftover:
            loop.run_until_complete(asyncio.wait(leftover, timeout=LEFTOVER_TIMEOUT))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        blocked.set()
        restore()
        asyncio.set_event_loop(None)
        loop.close()


def _leave_if_blocked(worker: Worker) -> threading.Event:
    """Set the event within BLOCKED_TIMEOUT after the worker has finished, or the process ends."""
    left = threading.Event()

    def watch() -> None:
        worker.finished.wait()
        if not left.wait(BLOCKED_TIMEOUT):
            event(logging.WARNING, "loop_blocked", details="a handler that never yields was left behind")
            os._exit(0)

    threading.Thread(target=watch, name="drover-leave", daemon=True).start()
    return left


def _on_signals(worker: Worker) -> _Restore:
    """The first signal drains, the second ends the process. Plain signal handlers and not the loop's own:
    they also run while a handler blocks the loop."""
    stopping = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        if stopping:
            os._exit(1)
        stopping = True
        worker.stop()

    restore = _Restore()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            restore.before[number] = signal.signal(number, handle)
    return restore


class _Restore:
    """Puts back the signal handlers that were there before."""

    def __init__(self) -> None:
        self.before: dict[signal.Signals, signal._HANDLER] = {}

    def __call__(self) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
