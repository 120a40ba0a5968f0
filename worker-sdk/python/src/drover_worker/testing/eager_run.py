"""The runs of an eager client's job, one after the other until it has ended."""

from __future__ import annotations

import asyncio
import functools
import json
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from drover.sdk.payload import decode
from drover.v1 import job_pb2, worker_service_pb2

from ..calling import call_async, call_sync
from ..report import Raised, report_of
from ..run_context import context_of, with_limits
from ..task import Task
from .eager_job import (
    EagerAttempt,
    EagerEnd,
    EagerFailure,
    EagerProgress,
    EagerState,
    EagerStatus,
)

MAX_SNOOZES = 1000
"""Runs without a failure after which a job is taken for one that never ends."""
MAX_HISTORY = 20

_OUTCOMES = {"success": "succeeded", "failure": "failed", "snooze": "snoozed", "release": "released"}


@dataclass(frozen=True)
class EagerSubmit:
    """What was submitted."""

    task: Task
    key: str
    payload: job_pb2.Payload
    queue: str
    priority: int
    policy: Any
    """A client's RetryPolicy, or None."""
    labels: Mapping[str, str]
    headers: Mapping[str, str]

    @property
    def id(self) -> str:
        return f"{self.task.name}~{self.key}"

    def run(self, before: EagerStatus | None = None) -> EagerEnd:
        """Runs it to its end. It is redriven where it ended `before`: its attempts are numbered on then."""
        self.task.prepare()
        runs = _Runs(self, before)
        while (end := runs.next()) is None:
            pass
        return end


@dataclass
class _Runs:
    of: EagerSubmit
    before: EagerStatus | None
    attempt: int = 0
    failures: int = 0
    runs: int = 0
    delays: list[float] = field(default_factory=list)
    progress: list[tuple[float | None, Any]] = field(default_factory=list)
    history: list[EagerAttempt] = field(default_factory=list)
    began: datetime = field(default_factory=lambda: datetime.now(timezone.utc))

    def __post_init__(self) -> None:
        if self.before is not None:
            self.attempt, self.history = self.before.attempt, [*self.before.history]
            self.began = self.before.submitted_at

    def next(self) -> EagerEnd | None:
        """One run; how the job ended, if it did by this one."""
        self.attempt += 1
        self.runs += 1
        started = datetime.now(timezone.utc)
        outcome, error = self._run()
        report = outcome.WhichOneof("report")
        failure = _failure(outcome.failure) if report == "failure" else None
        now = datetime.now(timezone.utc)
        self.history.append(EagerAttempt(self.attempt, "eager", started, now, _OUTCOMES[report], failure))
        match report:
            case "success":
                return self._end(EagerState.SUCCEEDED, started, now, decode(outcome.success.result))
            case "failure":
                self.failures += 1
                permanent = outcome.failure.reason == job_pb2.FAILURE_REASON_PERMANENT
                if permanent or self.failures >= self.max_attempts:
                    return self._end(EagerState.FAILED, started, now, None, failure, error)
                told = outcome.failure.retry_after if outcome.failure.HasField("retry_after") else None
                self.delays.append(self._delay() if told is None else told.ToTimedelta().total_seconds())
            case "snooze":
                self.delays.append(outcome.snooze.delay.ToTimedelta().total_seconds())
            case _:
                self.delays.append(0.0)
        if self.runs - self.failures > MAX_SNOOZES:
            raise RuntimeError(f"{self.of.id} was put off {MAX_SNOOZES:,} times")
        return None

    @property
    def max_attempts(self) -> int:
        return int(self._said("max_attempts", 4))

    def _run(self) -> tuple[worker_service_pb2.Outcome, BaseException | None]:
        of = self.of
        lease = worker_service_pb2.Lease(
            job_id=of.id,
            task=of.task.name,
            queue=of.queue,
            priority=of.priority,
            attempt=self.attempt,
            failures=self.failures,
            max_attempts=self.max_attempts,
            payload=of.payload,
            labels=of.labels,
            headers=of.headers,
        )
        with_limits(of.task, lease)
        context = context_of(
            lease,
            time.monotonic(),
            lambda value, detail: self.progress.append((value, json.loads(detail) if detail else None)),
        )
        if of.task.is_async:
            end = _completed(functools.partial(call_async, of.task, of.payload, context, None))
        else:
            end = call_sync(of.task, of.payload, context)
        outcome = report_of(end, None, of.task.rules)
        assert outcome is not None  # nobody has cancelled it
        return outcome, end.error if isinstance(end, Raised) else None

    def _end(
        self,
        state: EagerState,
        started: datetime,
        finished: datetime,
        result: Any,
        failure: EagerFailure | None = None,
        error: BaseException | None = None,
    ) -> EagerEnd:
        of = self.of
        status = EagerStatus(
            id=of.id,
            task=of.task.name,
            key=of.key,
            queue=of.queue,
            priority=of.priority,
            state=state,
            attempt=self.attempt,
            failures=self.failures,
            submitted_at=self.began,
            started_at=started,
            finished_at=finished,
            payload=decode(of.payload),
            result=result,
            failure=failure,
            progress=EagerProgress(*self.progress[-1], finished) if self.progress else None,
            history=tuple(self.history[-MAX_HISTORY:]),
            labels=dict(of.labels),
            headers=dict(of.headers),
        )
        return EagerEnd(status, error, tuple(self.delays), tuple(self.progress))

    def _said(self, name: str, default: float) -> Any:
        value = getattr(self.of.policy, name, None)
        return default if value is None else value

    def _delay(self) -> float:
        first, most = (
            value.total_seconds() if hasattr(value, "total_seconds") else float(value)
            for value in (self._said("initial_delay", 1), self._said("max_delay", 600))
        )
        return min(most, first * float(self._said("factor", 2)) ** (self.failures - 1))


def _failure(report: worker_service_pb2.FailureReport) -> EagerFailure:
    reason = "permanent" if report.reason == job_pb2.FAILURE_REASON_PERMANENT else "error"
    return EagerFailure(reason, report.type, report.message, report.stack)


def _completed(make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Also where an event loop runs already, as in an async test: then in one of another thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(make())
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(asyncio.run(make())))
    thread.start()
    thread.join()
    return found[0]
