"""One attempt in this process, from its start until its handler has really ended."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import threading
import time
from collections.abc import Awaitable
from datetime import datetime, timedelta, timezone
from typing import Any, Protocol

from drover.v1 import job_pb2, worker_service_pb2

from .cancellation import CancelReason
from .context import Context
from .durations import seconds_in
from .interrupt import Interruption, drive
from .payload import decode, encode
from .report import Raised, Returned, report_of, time_limit_report
from .run_log import log_end, log_start, log_time_limit
from .task import Task
from .threads import HandlerThreads


class RunListener(Protocol):
    """Called in the event loop's thread."""

    def reported(self, run: Run, outcome: worker_service_pb2.Outcome) -> None:
        """What became of the attempt; the handler may still be running (over its hard time limit)."""

    def progressed(self, run: Run, progress: job_pb2.Progress) -> None: ...

    def ended(self, run: Run) -> None:
        """The handler has really ended; its outcome, if it counts, was reported before."""


class Run:
    """Made, started and cancelled in the event loop's thread. `arrived` is when the lease came (monotonic
    seconds): time limits count from there, as they do at the broker."""

    def __init__(
        self,
        task: Task,
        lease: worker_service_pb2.Lease,
        arrived: float,
        threads: HandlerThreads,
        listener: RunListener,
    ) -> None:
        self.task = task
        self.lease = lease
        self.token: str = lease.token
        self._threads = threads
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._soft = seconds_in(lease.soft_time_limit) if lease.HasField("soft_time_limit") else None
        self._hard = seconds_in(lease.hard_time_limit) if lease.HasField("hard_time_limit") else None
        self._arrived = arrived
        self._started = 0.0
        self._timers: list[asyncio.TimerHandle] = []
        self._coroutine: asyncio.Task[Returned | Raised] | None = None
        self._interruption = Interruption()
        self.context = self._context()

    @property
    def cancel_reason(self) -> CancelReason | None:
        return self.context.signal.reason

    @property
    def duration(self) -> float:
        """Seconds since its start."""
        return time.monotonic() - self._started

    def start(self) -> None:
        self._started = time.monotonic()
        waited = self._started - self._arrived
        if self._soft is not None:
            self._later(self._soft - waited, self.cancel, CancelReason.SOFT_TIME_LIMIT)
        if self._hard is not None:
            self._later(self._hard - waited, self._over_hard_limit, self._hard)
        log_start(self.context)
        if self.task.is_async:
            self._coroutine = self._loop.create_task(self._run_async(), name=f"drover {self.lease.job_id}")
            self._coroutine.add_done_callback(self._coroutine_done)
        else:
            context = contextvars.copy_context()
            self._threads.run(lambda: context.run(self._run_in_thread))

    def cancel(self, reason: CancelReason) -> None:
        """Tells the handler to end: async ones are interrupted at what they await, sync ones see it in
        their context. A weaker reason than one told before changes nothing."""
        signal = self.context.signal
        if signal.raise_to(reason) and self._coroutine is not None:
            self._interruption.send(self._coroutine, signal.error_inside_coroutine)

    def _later(self, seconds: float, do: Any, argument: Any) -> None:
        self._timers.append(self._loop.call_later(max(0.0, seconds), do, argument))

    def _over_hard_limit(self, limit: float) -> None:
        log_time_limit(self.context, self.duration)
        self._listener.reported(self, time_limit_report(limit))
        self.cancel(CancelReason.TIME_LIMIT)

    async def _run_async(self) -> Returned | Raised:
        # Everything is caught, also SystemExit: as a task's exception it would take the whole loop down.
        try:
            arguments = self.task.binder.bind(decode(self.lease.payload), self.context)
            result = self.task.function(**arguments)
            if inspect.iscoroutine(result) and self._soft is not None:
                result = await drive(result, self._interruption)
            elif isinstance(result, Awaitable):
                result = await result
            return Returned(encode(result))
        except BaseException as error:
            return Raised(error)

    def _coroutine_done(self, coroutine: asyncio.Task[Returned | Raised]) -> None:
        # Cancelled before its first step it never came to catching.
        self._end(Raised(asyncio.CancelledError()) if coroutine.cancelled() else coroutine.result())

    def _run_in_thread(self) -> None:
        end: Returned | Raised
        try:
            arguments = self.task.binder.bind(decode(self.lease.payload), self.context)
            end = Returned(encode(self.task.function(**arguments)))
        except BaseException as error:
            end = Raised(error)
        self._in_loop(self._end, end)

    def _end(self, end: Returned | Raised) -> None:
        for timer in self._timers:
            timer.cancel()
        outcome = report_of(end, self.cancel_reason, self.task.permanent_errors)
        log_end(self.context, end, outcome, self.duration)
        if outcome is not None:
            self._listener.reported(self, outcome)
        self._listener.ended(self)

    def _in_loop(self, call: Any, *arguments: Any) -> None:
        # RuntimeError: the loop is closed, the worker has stopped without waiting for this run.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, *arguments)

    def _progress(self, value: float | None, detail: bytes) -> None:
        progress = job_pb2.Progress(value=value, detail=detail)
        if threading.get_ident() == self._loop_thread:
            self._listener.progressed(self, progress)
        else:
            self._in_loop(self._listener.progressed, self, progress)

    def _context(self) -> Context:
        lease = self.lease
        began = datetime.now(timezone.utc) - timedelta(seconds=time.monotonic() - self._arrived)
        return Context(
            job_id=lease.job_id,
            task=lease.task,
            queue=lease.queue,
            priority=lease.priority,
            attempt=lease.attempt,
            failures=lease.failures,
            max_attempts=lease.max_attempts,
            labels=dict(lease.labels),
            headers=dict(lease.headers),
            content_type=lease.payload.content_type,
            submitted_at=(
                lease.submitted_at.ToDatetime(timezone.utc) if lease.HasField("submitted_at") else None
            ),
            soft_deadline=None if self._soft is None else began + timedelta(seconds=self._soft),
            deadline=None if self._hard is None else began + timedelta(seconds=self._hard),
            progress_sink=self._progress,
        )
