"""A child process of `pool="process"`: runs one handler after the other until it is told to go.

The main thread runs the handlers, so that a signal can raise an error inside them; a second thread listens
to the worker. The child is the leader of a process group: when it is killed, what it has started goes too.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import resource
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any

from drover.v1 import worker_service_pb2

from .calling import call_async, call_sync
from .cancellation import CancelReason, CancelSignal
from .context import Context
from .interrupt import Interruption
from .log_events import configure
from .report import ErrorRules, Raised, Returned, report_of
from .resources import Resource
from .run_context import context_of
from .task import Task

INTERRUPT = signal.SIGUSR1
"""Raises the error that ends a run inside a sync handler."""


@dataclass(frozen=True)
class TaskOfChild:
    """A task as it goes to a child: functions travel by their names."""

    name: str
    function: Callable[..., Any]
    rules: ErrorRules


@dataclass(frozen=True)
class ChildPlan:
    """What a child is told once, at its start."""

    tasks: tuple[TaskOfChild, ...]
    resources: Mapping[str, Callable[..., Any]]
    on_start: tuple[Callable[[], Any], ...]
    log_level: str | None
    """None: logging is the program's own affair."""
    log_format: str
    max_megabytes: int
    """Resident memory after a run above which the child is not used again; 0: any."""


def main(connection: Connection, plan: ChildPlan) -> None:
    with contextlib.suppress(OSError):
        os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the worker's to answer
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if plan.log_level is not None:
        configure(plan.log_level, plan.log_format)
    Child(connection, plan).serve()


class Child:
    def __init__(self, connection: Connection, plan: ChildPlan) -> None:
        self._connection = connection
        self._plan = plan
        resources = {name: Resource(function) for name, function in plan.resources.items()}
        self._tasks = {
            task.name: Task(
                task.name,
                task.function,
                task.rules.permanent,
                retried_errors=task.rules.retried,
                resources=resources,
            )
            for task in plan.tasks
        }
        self._runs: queue.SimpleQueue[tuple[int, bytes, float]] = queue.SimpleQueue()
        self._sending = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()  # guards the four below
        self._number = 0
        self._signal: CancelSignal | None = None
        self._coroutine: asyncio.Task[Any] | None = None
        self._interruption = Interruption()
        self._interruptible = self._raise_now = False

    def serve(self) -> None:
        signal.signal(INTERRUPT, self._on_interrupt)
        for hook in self._plan.on_start:
            hook()
        threading.Thread(target=self._listen, name="drover-child", daemon=True).start()
        self._send("ready")
        while True:
            number, lease, arrived = self._runs.get()
            self._run(number, lease, arrived)

    def _listen(self) -> None:
        # The end of the pipe is the end of the worker: whatever runs here has nobody to report to.
        with contextlib.suppress(EOFError, OSError):
            while True:
                match self._connection.recv():
                    case ("run", number, lease, arrived):
                        self._runs.put((number, lease, arrived))
                    case ("cancel", number, reason):
                        self._cancel(number, CancelReason(reason))
        os._exit(0)

    def _cancel(self, number: int, reason: CancelReason) -> None:
        with self._lock:
            if number != self._number or self._signal is None or not self._signal.raise_to(reason):
                return
            if self._coroutine is not None and self._loop is not None:
                error = self._signal.error_inside_coroutine
                self._loop.call_soon_threadsafe(self._interruption.send, self._coroutine, error)
            else:
                self._raise_now = True
                signal.pthread_kill(threading.main_thread().ident or 0, INTERRUPT)

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._interruptible and self._raise_now and self._signal is not None:
            self._raise_now = False
            raise self._signal.error()

    def _run(self, number: int, lease_bytes: bytes, arrived: float) -> None:
        lease = worker_service_pb2.Lease.FromString(lease_bytes)
        task = self._tasks[lease.task]
        context = context_of(
            lease, arrived, lambda value, detail: self._send("progress", number, value, detail)
        )
        with self._lock:
            self._number, self._signal, self._raise_now = number, context.signal, False
        end = self._call(task, lease, context)
        with self._lock:
            self._signal = self._coroutine = None
        outcome = report_of(end, context.cancel_reason, task.rules)
        self._send("ended", number, outcome and outcome.SerializeToString(), self._is_full())

    def _call(self, task: Task, lease: worker_service_pb2.Lease, context: Context) -> Returned | Raised:
        try:
            if task.is_async:
                return self._call_async(task, lease, context)
            self._interruptible = True
            try:
                return call_sync(task, lease.payload, context)
            finally:
                self._interruptible = False
        except BaseException as error:  # an interrupt that came as the handler had just returned
            self._interruptible = False
            return Raised(error)

    def _call_async(self, task: Task, lease: worker_service_pb2.Lease, context: Context) -> Returned | Raised:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        self._interruption = Interruption()
        work = self._loop.create_task(call_async(task, lease.payload, context, self._interruption))
        with self._lock:
            self._coroutine = work
            if context.cancelled:  # told before there was anything to interrupt
                self._interruption.send(work, context.signal.error_inside_coroutine)
        try:
            return self._loop.run_until_complete(work)
        except asyncio.CancelledError as error:
            return Raised(error)

    def _is_full(self) -> bool:
        return 0 < self._plan.max_megabytes < resident_megabytes()

    def _send(self, *message: Any) -> None:
        try:
            with self._sending:
                self._connection.send(message)
        except OSError:
            os._exit(0)  # the worker is gone: see _listen


def resident_megabytes() -> float:
    """Of this process. Where the system does not tell what it is now: the most that it ever was."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
