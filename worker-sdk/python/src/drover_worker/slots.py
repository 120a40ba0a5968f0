"""Which leases run and which wait for a place: the worker's bound, and each task's own.

The broker keeps to both bounds as far as it can know them. What it cannot know is that a run whose attempt
is over may go on for a while: its place is taken until its handler has really ended. No clock, no IO.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Mapping

from drover.v1 import worker_service_pb2


class Slots:
    """`concurrency` runs at a time, of each task at most `bounds[task]` (none given: no bound of its own)."""

    def __init__(self, concurrency: int, bounds: Mapping[str, int]) -> None:
        self._concurrency = concurrency
        self._bounds = bounds
        self._running: Counter[str] = Counter()
        self._waiting: list[tuple[int, int, worker_service_pb2.Lease]] = []
        self._arrived = 0

    @property
    def running(self) -> int:
        return self._running.total()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def put(self, lease: worker_service_pb2.Lease) -> None:
        self._arrived += 1
        insort(self._waiting, (-lease.priority, self._arrived, lease), key=lambda entry: entry[:2])

    def take(self) -> worker_service_pb2.Lease | None:
        """The next lease to run, which takes a place; the most urgent and then the oldest that has one."""
        if self.running >= self._concurrency:
            return None
        for index, (_, _, lease) in enumerate(self._waiting):
            if self._running[lease.task] < self._bounds.get(lease.task, self._concurrency):
                del self._waiting[index]
                self._running[lease.task] += 1
                return lease
        return None

    def free(self, task: str) -> None:
        """A run of the task has really ended."""
        self._running[task] -= 1

    def withdraw(self, token: str) -> worker_service_pb2.Lease | None:
        """Takes a lease out of the waiting ones; None if it does not wait."""
        for index, (_, _, lease) in enumerate(self._waiting):
            if lease.token == token:
                del self._waiting[index]
                return lease
        return None

    def withdraw_all(self) -> list[worker_service_pb2.Lease]:
        leases = [lease for _, _, lease in self._waiting]
        self._waiting.clear()
        return leases
