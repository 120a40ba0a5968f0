"""What a worker has leased and what becomes of it here: leases that wait for a place, and the runs that have
one. Belongs to the loop that speaks to the broker."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from drover.v1 import job_pb2, worker_service_pb2

from .cancellation import CancelReason
from .ledger import Ledger
from .log_events import log
from .outbox import Outbox
from .report import cancelled_report, failure_report, release_report
from .run import Places, Run
from .settings import Settings
from .slots import Slots
from .task import Task


def is_isolated(task: Task, settings: Settings) -> bool:
    """Its runs take place in child processes."""
    return (task.pool or settings.pool) == "process"


class Runs:
    """`moved` is called when a run has ended, `credit_moved` when a place is taken, or no longer taken, by
    one that has outlived its attempt."""

    def __init__(
        self,
        tasks: Mapping[str, Task],
        settings: Settings,
        ledger: Ledger,
        outbox: Outbox,
        places: Places,
        moved: Callable[[], None],
        credit_moved: Callable[[], None],
    ) -> None:
        self._tasks = tasks
        self._settings = settings
        self._ledger = ledger
        self._outbox = outbox
        self._places = places
        self._moved = moved
        self._credit_moved = credit_moved
        bounds = {task.name: task.concurrency for task in tasks.values() if task.concurrency}
        self._slots = Slots(settings.concurrency, bounds)
        self._arrived: dict[str, float] = {}  # waiting leases: when they came, monotonic seconds
        self._runs: dict[str, Run] = {}
        self._outlived: set[str] = set()  # tokens of runs that go on although their attempt is over

    def __len__(self) -> int:
        """Runs whose handlers have not ended."""
        return len(self._runs)

    @property
    def waiting(self) -> int:
        return self._slots.waiting

    @property
    def outlived(self) -> int:
        return len(self._outlived)

    def put(self, lease: worker_service_pb2.Lease, arrived: float) -> None:
        """It runs as soon as it has a place: see `fill`."""
        self._arrived[lease.token] = arrived
        self._slots.put(lease)

    def fill(self) -> None:
        """Begins what there are places for."""
        while (lease := self._slots.take()) is not None:
            arrived = self._arrived.pop(lease.token)
            task = self._tasks[lease.task]
            try:
                run = Run(task, lease, arrived, self._places, self, is_isolated(task, self._settings))
                run.start()
            except Exception as error:  # no thread to be had, a lease of a shape nobody thought of
                log.exception("start_failed", extra={"job_id": lease.job_id})
                self._slots.free(lease.task)
                self._outbox.outcome(lease.token, failure_report(error))
            else:
                self._runs[run.token] = run

    def cancel(self, token: str, reason: CancelReason) -> None:
        """As the broker says."""
        if self._slots.withdraw(token) is not None:
            self._arrived.pop(token, None)
            if reason is CancelReason.REQUESTED:
                self._outbox.outcome(token, cancelled_report())
        run = self._runs.get(token)
        if reason is not CancelReason.REQUESTED:
            self._ledger.give_up(token)
            if run is not None:
                self._outlives(run)
        if run is not None:
            run.cancel(reason)

    def give_back_waiting(self) -> None:
        for lease in self._slots.withdraw_all():
            self._outbox.outcome(lease.token, release_report())

    def shut_down(self) -> None:
        """Tells all handlers to end."""
        for run in list(self._runs.values()):
            run.cancel(CancelReason.SHUTDOWN)

    def give_back_running(self) -> None:
        """Reports for handlers that have not ended."""
        for run in self._runs.values():
            requested = run.cancel_reason is CancelReason.REQUESTED
            self._outbox.outcome(run.token, cancelled_report() if requested else release_report())

    def _outlives(self, run: Run) -> None:
        """The attempt is over for the broker, which has its credit back; the place is still taken."""
        if run.token not in self._outlived:
            self._outlived.add(run.token)
            self._credit_moved()

    # --- what the runs say (RunListener) ---

    def reported(self, run: Run, outcome: worker_service_pb2.Outcome) -> None:
        if outcome.failure.reason == job_pb2.FAILURE_REASON_TIME_LIMIT:
            self._outlives(run)
        self._outbox.outcome(run.token, outcome)

    def progressed(self, run: Run, progress: job_pb2.Progress) -> None:
        self._outbox.progress(run.token, progress)

    def ended(self, run: Run) -> None:
        del self._runs[run.token]
        if run.token in self._outlived:
            self._outlived.discard(run.token)
            self._credit_moved()
        self._slots.free(run.task.name)
        self.fill()
        self._moved()
