"""What is to go up next in a session.

Whatever gathers while a message is being written goes up together in the next one; what comes alone goes at
once. Nothing is ever held back by a timer. No clock, no IO: `next_request` is asked by whoever writes the
stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from drover.v1 import job_pb2, worker_service_pb2

from .ledger import Ledger

MAX_REPORTS = 500
"""Progress reports in one message: of 4 KiB each they stay under gRPC's 4 MiB."""


class Outbox:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._pongs = 0
        self._credit: int | None = None
        self._drain = self._draining = False
        self._paused = False
        self._progress: dict[str, job_pb2.Progress] = {}
        self._wake = asyncio.Event()

    def pong(self) -> None:
        self._pongs += 1
        self._wake.set()

    def credit(self, jobs: int) -> None:
        self._credit = jobs
        self._wake.set()

    def drain(self) -> None:
        self._drain = self._draining = True
        self._wake.set()

    def outcome(self, token: str, outcome: worker_service_pb2.Outcome) -> bool:
        """See Ledger.finish."""
        kept = self._ledger.finish(token, outcome)
        self._progress.pop(token, None)
        self._wake.set()
        return kept

    def progress(self, token: str, progress: job_pb2.Progress) -> None:
        """Replaces a report of the same run that has not gone up yet."""
        if token in self._ledger:
            self._progress[token] = progress
            self._wake.set()

    def pause(self) -> None:
        """From now on only pongs go up, until `resume`."""
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        self._wake.set()

    def reset(self) -> None:
        """At the begin of a session: the last one's pongs are nobody's now, and that we drain is to be said
        anew. Credit stays: what `attach` said may be older."""
        self._pongs = 0
        self._drain = self._draining
        self._wake.set()

    def next_request(self) -> worker_service_pb2.WorkRequest | None:
        """Signs of life first. Credit before outcomes, since an outcome that is settled frees credit;
        progress before outcomes, since a run that has ended takes none."""
        if self._paused:
            return self._next_pong()
        for take in self._in_order:
            if (request := take(self)) is not None:
                return request
        return None

    def wake(self) -> None:
        """Lets whoever waits for something to send look again."""
        self._wake.set()

    async def filled(self) -> None:
        """Returns once there may be something to send."""
        await self._wake.wait()
        self._wake.clear()

    def _next_pong(self) -> worker_service_pb2.WorkRequest | None:
        if self._pongs == 0:
            return None
        self._pongs -= 1
        return worker_service_pb2.WorkRequest(pong=worker_service_pb2.Pong())

    def _next_drain(self) -> worker_service_pb2.WorkRequest | None:
        if not self._drain:
            return None
        self._drain = False
        return worker_service_pb2.WorkRequest(drain=worker_service_pb2.Drain())

    def _next_credit(self) -> worker_service_pb2.WorkRequest | None:
        jobs, self._credit = self._credit, None
        if jobs is None:
            return None
        return worker_service_pb2.WorkRequest(credit=worker_service_pb2.Credit(jobs=jobs))

    def _next_progress(self) -> worker_service_pb2.WorkRequest | None:
        reports = []
        for token in list(self._progress)[:MAX_REPORTS]:
            progress = self._progress.pop(token)
            lease_id = self._ledger.lease_id_of(token)
            if lease_id is not None:
                reports.append(worker_service_pb2.ProgressReport(lease_id=lease_id, progress=progress))
        if not reports:
            return None
        return worker_service_pb2.WorkRequest(progress=worker_service_pb2.ProgressReports(reports=reports))

    def _next_outcomes(self) -> worker_service_pb2.WorkRequest | None:
        outcomes = self._ledger.next_outcomes()
        if not outcomes:
            return None
        return worker_service_pb2.WorkRequest(outcomes=worker_service_pb2.Outcomes(outcomes=outcomes))

    _in_order: tuple[Callable[[Outbox], worker_service_pb2.WorkRequest | None], ...] = (
        _next_pong,
        _next_drain,
        _next_credit,
        _next_progress,
        _next_outcomes,
    )
