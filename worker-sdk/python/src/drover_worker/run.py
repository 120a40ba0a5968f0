"""One attempt, from its start until its handler has really ended."""

from __future__ import annotations

import asyncio
import contextvars
import time
from dataclasses import dataclass
from typing import Any, Protocol

from drover.v1 import job_pb2, worker_service_pb2

from .calling import call_async, call_sync
from .cancellation import CancelReason
from .context import Context
from .inputs import InputPages, missing_inputs
from .interrupt import Interruption
from .mailbox import Mailbox
from .processes import KILL_AFTER, ProcessPool, ProcessRun
from .report import End, Raised, Returned, report_of, time_limit_report
from .run_context import context_of, hard_limit, soft_limit, with_limits
from .run_log import log_end, log_start, log_time_limit
from .task import Task
from .threads import HandlerThreads


@dataclass(frozen=True)
class Places:
    """Where handlers run: never in the event loop that speaks to the broker."""

    home: Mailbox
    """Of the loop that speaks to the broker: where a run's end is told."""
    handlers: Mailbox
    """Of the event loop of async ones."""
    threads: HandlerThreads
    """Of sync ones."""
    processes: ProcessPool | None = None
    """Of those with `pool="process"`."""
    inputs: InputPages | None = None
    """Reads the inputs that a lease has no room for."""


class RunListener(Protocol):
    """Called in the event loop's thread."""

    def reported(self, run: Run, outcome: worker_service_pb2.Outcome) -> None:
        """What became of the attempt; the handler may still be running (over its hard time limit)."""

    def progressed(self, run: Run, progress: job_pb2.Progress) -> None: ...

    def ended(self, run: Run) -> None:
        """The handler has really ended; its outcome, if it counts, was reported before."""


class Run:
    """Made, started and cancelled in the thread of the loop that speaks to the broker. `arrived` is when the
    lease came (monotonic seconds): time limits count from there, as they do at the broker."""

    def __init__(
        self,
        task: Task,
        lease: worker_service_pb2.Lease,
        arrived: float,
        places: Places,
        listener: RunListener,
        isolated: bool = False,
    ) -> None:
        """`isolated`: in a child process."""
        with_limits(task, lease)
        self.task = task
        self.lease = lease
        self.token: str = lease.token
        self._places = places
        self._listener = listener
        self._home = places.home
        self._soft = soft_limit(lease)
        self._hard = hard_limit(lease)
        self._arrived = arrived
        self._started = 0.0
        self._timers: list[asyncio.TimerHandle] = []
        self._reading: asyncio.Task[None] | None = None
        self._coroutine: asyncio.Task[Returned | Raised] | None = None
        self._interruption = Interruption()
        self._process = ProcessRun(lease, arrived, self._progress) if isolated else None
        self.context: Context = context_of(lease, arrived, self._progress)

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
        if self._places.inputs is not None and missing_inputs(self.lease):
            self._reading = asyncio.create_task(self._read_inputs(self._places.inputs))
        else:
            self._begin()

    def cancel(self, reason: CancelReason) -> None:
        """Tells the handler to end: async ones are interrupted at what they await, sync ones see it in their
        context or, in a process, have it raised inside them. A weaker reason than one told before changes
        nothing."""
        if not self.context.signal.raise_to(reason):
            return
        if self._process is not None:
            self._cancel_process(self._process, reason)
        elif self.task.is_async:
            self._places.handlers.post(self._interrupt)

    async def _read_inputs(self, pages: InputPages) -> None:
        try:
            await pages.fill(self.lease)
            signal = self.context.signal
            self.context = context_of(self.lease, self._arrived, self._progress, signal)
        except Exception as error:
            self._end(Raised(error))
        else:
            self._begin()

    def _begin(self) -> None:
        if self._process is not None:
            self._places.threads.run(self._run_in_process)
        elif self.task.is_async:
            self._places.handlers.post(self._begin_async)
        else:
            context = contextvars.copy_context()
            self._places.threads.run(lambda: context.run(self._run_in_thread))

    def _cancel_process(self, process: ProcessRun, reason: CancelReason) -> None:
        if reason is CancelReason.TIME_LIMIT:
            process.kill()
            return
        process.cancel(reason)
        if reason in (CancelReason.REQUESTED, CancelReason.LEASE_LOST):
            loop = asyncio.get_running_loop()
            self._timers.append(loop.call_later(KILL_AFTER, process.kill))

    def _later(self, seconds: float, do: Any, argument: Any) -> None:
        loop = asyncio.get_running_loop()
        self._timers.append(loop.call_later(max(0.0, seconds), do, argument))

    def _over_hard_limit(self, limit: float) -> None:
        log_time_limit(self.context, self.duration)
        self._listener.reported(self, time_limit_report(limit))
        self.cancel(CancelReason.TIME_LIMIT)

    # --- in the handlers' loop ---

    def _begin_async(self) -> None:
        interruption = self._interruption if self._soft is not None else None
        work = call_async(self.task, self.lease.payload, self.context, interruption)
        self._coroutine = self._places.handlers.loop.create_task(work, name=f"drover {self.lease.job_id}")
        self._coroutine.add_done_callback(self._coroutine_done)
        if self.context.cancelled:  # told while it waited for its turn
            self._interrupt()

    def _interrupt(self) -> None:
        if self._coroutine is not None:
            self._interruption.send(self._coroutine, self.context.signal.error_inside_coroutine)

    def _coroutine_done(self, coroutine: asyncio.Task[Returned | Raised]) -> None:
        # Cancelled before its first step it never came to catching.
        end = Raised(asyncio.CancelledError()) if coroutine.cancelled() else coroutine.result()
        self._home.post(self._end, end)

    # --- in a thread ---

    def _run_in_thread(self) -> None:
        self._home.post(self._end, call_sync(self.task, self.lease.payload, self.context))

    def _run_in_process(self) -> None:
        assert self._process is not None
        assert self._places.processes is not None
        self._home.post(self._end, self._places.processes.run(self._process))

    # --- at home ---

    def _end(self, end: End) -> None:
        for timer in self._timers:
            timer.cancel()
        outcome = report_of(end, self.cancel_reason, self.task.rules)
        log_end(self.context, end, outcome, self.duration)
        if outcome is not None:
            self._listener.reported(self, outcome)
        self._listener.ended(self)

    def _progress(self, value: float | None, detail: bytes) -> None:
        """From any thread."""
        progress = job_pb2.Progress(value=value, detail=detail)
        self._home.post(self._listener.progressed, self, progress)
