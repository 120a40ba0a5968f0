"""`pool="process"`: handlers in child processes, which can be killed, crash alone, and be replaced.

Children are made ahead and kept. They do not come from this process, which has threads and connections that a
fork would tear apart, but from a server process that has imported the app's modules and nothing else.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterable, Mapping
from multiprocessing.connection import Connection, wait
from typing import Any

from drover.v1 import worker_service_pb2

from .cancellation import CancelReason
from .child import ChildPlan, TaskOfChild, main
from .log_events import event
from .report import Decided, Raised, process_ended_report
from .settings import Settings
from .task import Task

KILL_AFTER = 5.0
"""Seconds that a run which was cancelled or lost its lease gets to end by itself."""
SPARE = 1
"""Children that are made ahead when the worker starts."""


class ProcessPool:
    """Raises TypeError for a handler, resource or hook that has no importable name. Bounded by its callers:
    there are never more children than runs at a time, and the spare."""

    def __init__(
        self, tasks: Iterable[Task], on_start: Iterable[Callable[[], Any]], settings: Settings, logs: bool
    ) -> None:
        served = list(tasks)
        resources = {name: resource.function for task in served for name, resource in task.resources.items()}
        self._plan = ChildPlan(
            tasks=tuple(TaskOfChild(task.name, task.function, task.rules) for task in served),
            resources=resources,
            on_start=tuple(on_start),
            log_level=settings.log_level if logs else None,
            log_format=settings.log_format,
            max_megabytes=settings.child_max_megabytes,
        )
        _check_names(self._plan)
        self._max_runs = settings.child_max_runs
        self._context = multiprocessing.get_context("forkserver")
        modules = {task.function.__module__ for task in served} - {"__main__"}
        self._context.set_forkserver_preload([*sorted(modules), "drover_worker.child"])
        self._lock = threading.Lock()
        self._idle: list[_Child] = []
        self._children: set[_Child] = set()
        self._closed = False

    def start(self) -> None:
        """Makes the spare children; returns before they are ready."""
        for _ in range(SPARE):
            self._idle.append(self._make())

    def run(self, run: ProcessRun) -> Decided | Raised:
        """One attempt, from a thread that may wait for it."""
        try:
            child = self._take()
            try:
                decided, full = run.carry_out(child)
                child.runs += 1
            except BaseException:
                self._drop(child)
                raise
            if child.died is not None or full or (self._max_runs and child.runs >= self._max_runs):
                self._drop(child)
            else:
                with self._lock:
                    self._idle.append(child)
            return decided
        except BaseException as error:  # no process to be had
            return Raised(error)

    def close(self) -> None:
        """Kills every child, and what they have started."""
        with self._lock:
            self._closed = True
            children, self._children, self._idle = list(self._children), set(), []
        for child in children:
            child.kill()

    def _take(self) -> _Child:
        while True:
            with self._lock:
                if self._closed:
                    raise RuntimeError("the worker has stopped")
                child = self._idle.pop() if self._idle else None
            if child is None:
                return self._make()
            if child.process.is_alive():
                return child
            self._drop(child)  # it was ended while it had nothing to do

    def _make(self) -> _Child:
        here, there = self._context.Pipe()
        process = self._context.Process(target=main, args=(there, self._plan), daemon=True)
        process.start()
        there.close()
        child = _Child(process, here)
        with self._lock:
            self._children.add(child)
        event(logging.DEBUG, "child_started", pid=process.pid)
        return child

    def _drop(self, child: _Child) -> None:
        with self._lock:
            self._children.discard(child)
        event(logging.DEBUG, "child_stopped", pid=child.process.pid, runs=child.runs)
        child.kill()
        child.process.join()
        child.connection.close()


class _Child:
    def __init__(self, process: Any, connection: Connection) -> None:
        self.process = process
        self.connection = connection
        self.runs = 0
        self.died: int | None = None
        """Its exit code, once it has ended under a run."""
        self._sending = threading.Lock()

    def send(self, *message: Any) -> None:
        with self._sending, contextlib.suppress(OSError):  # its end shows where its answers are read
            self.connection.send(message)

    def kill(self) -> None:
        # Also what it has started; before it leads a group of its own there is nothing of the kind.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()


class ProcessRun:
    """One attempt in a child. `carry_out` in a thread that waits; `cancel` and `kill` from any other."""

    _numbers = itertools.count(1)

    def __init__(
        self,
        lease: worker_service_pb2.Lease,
        arrived: float,
        progress: Callable[[float | None, bytes], None],
    ) -> None:
        self._lease = lease
        self._arrived = arrived
        self._progress = progress
        self._number = next(self._numbers)
        self._lock = threading.Lock()
        self._child: _Child | None = None
        self._reason: CancelReason | None = None
        self._killed = False

    def cancel(self, reason: CancelReason) -> None:
        """Raises in the handler what says so."""
        with self._lock:
            self._reason = reason
            if self._child is not None:
                self._child.send("cancel", self._number, int(reason))

    def kill(self) -> None:
        with self._lock:
            self._killed = True
            if self._child is not None:
                self._child.kill()

    def carry_out(self, child: _Child) -> tuple[Decided, bool]:
        """How it ended, and whether the child has grown too large."""
        with self._lock:
            self._child = child
            child.send("run", self._number, self._lease.SerializeToString(), self._arrived)
            if self._reason is not None:
                child.send("cancel", self._number, int(self._reason))
            if self._killed:
                child.kill()
        try:
            return self._follow(child)
        finally:
            with self._lock:
                self._child = None

    def _follow(self, child: _Child) -> tuple[Decided, bool]:
        while True:
            ready = wait([child.connection, child.process.sentinel])
            if child.connection in ready:
                try:
                    message = child.connection.recv()
                except (EOFError, OSError, pickle.UnpicklingError):
                    return self._ended_under_it(child), False
                match message:
                    case ("progress", self._number, value, detail):
                        self._progress(value, detail)
                    case ("ended", self._number, outcome, full):
                        return Decided(worker_service_pb2.Outcome.FromString(outcome or b"")), full
            else:
                return self._ended_under_it(child), False

    def _ended_under_it(self, child: _Child) -> Decided:
        child.kill()
        child.process.join()
        code = child.process.exitcode
        child.died = code
        return Decided(process_ended_report(_how(code)))


def _how(code: int | None) -> str:
    if code is None:
        return "ended"
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def _check_names(plan: ChildPlan) -> None:
    named: Mapping[str, Callable[..., Any]] = {
        **{f"task {task.name}": task.function for task in plan.tasks},
        **{f"resource {name}": function for name, function in plan.resources.items()},
        **{f"hook {hook.__qualname__}": hook for hook in plan.on_start},
    }
    for name, function in named.items():
        try:
            pickle.dumps(function)
        except Exception as error:
            raise TypeError(
                f"{name}: pool='process' needs a function that can be imported by its name ({error})"
            ) from None
    pickle.dumps(plan)
