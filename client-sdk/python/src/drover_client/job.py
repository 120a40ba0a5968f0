"""A job as it stands, in Python's own types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from drover.v1 import job_pb2
from google.protobuf.message import Message

from .moments import datetime_in
from .payload import decode


class JobState(str, Enum):
    UNKNOWN = "unknown"
    """One that this version of the SDK has no name for."""
    SCHEDULED = "scheduled"
    """Waits for its first due time."""
    BLOCKED = "blocked"
    READY = "ready"
    """Waits for a worker."""
    RUNNING = "running"
    RETRYING = "retrying"
    """Ran, failed, waits for its next run."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def has_ended(self) -> bool:
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


def state_of(value: int) -> JobState:
    return JobState(name_of(job_pb2.JobState, value, "JOB_STATE_", "unknown"))


@dataclass(frozen=True)
class Failure:
    reason: str
    """`error`, `permanent`, `time_limit`, `crashed`, `lost`, `expired`, ...: FailureReason in lower case."""
    type: str
    """The error's type as its language names it."""
    message: str
    stack: str = field(default="", repr=False)


@dataclass(frozen=True)
class Progress:
    value: float | None
    detail: Any
    """A JSON value, None if none was reported."""
    reported_at: datetime | None


@dataclass(frozen=True)
class Attempt:
    number: int
    worker: str
    started_at: datetime | None
    ended_at: datetime | None
    outcome: str
    """`succeeded`, `failed`, `crashed`, `released`, `snoozed` or `cancelled`."""
    failure: Failure | None


@dataclass(frozen=True)
class Job:
    """All times are in UTC."""

    id: str
    """`<task>~<key>`, fit for a URL path as it is."""
    task: str
    key: str
    queue: str
    priority: int
    state: JobState
    attempt: int
    """Number of the current attempt, or of the last one; 0 before the first."""
    failures: int
    crashes: int
    submitted_at: datetime | None
    due_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    worker: str
    progress: Progress | None
    payload: Any
    """None unless asked for."""
    result: Any
    """Once succeeded, unless the job keeps none; a `Payload` where it is not JSON."""
    failure: Failure | None
    history: tuple[Attempt, ...]
    """The last 20 attempts."""
    labels: Mapping[str, str]
    headers: Mapping[str, str]
    cancel_requested: bool
    revision: int
    """Rises with every stored change."""


def job_of(job: job_pb2.Job) -> Job:
    return Job(
        id=job.id,
        task=job.task,
        key=job.key,
        queue=job.queue,
        priority=job.priority,
        state=state_of(job.state),
        attempt=job.attempt,
        failures=job.failures,
        crashes=job.crashes,
        submitted_at=moment_of(job, "submitted_at"),
        due_at=moment_of(job, "due_at"),
        started_at=moment_of(job, "started_at"),
        finished_at=moment_of(job, "finished_at"),
        worker=job.worker,
        progress=_progress(job),
        payload=decode(job.payload) if job.HasField("payload") else None,
        result=decode(job.result) if job.HasField("result") else None,
        failure=failure_of(job),
        history=tuple(_attempt(attempt) for attempt in job.history),
        labels=dict(job.labels),
        headers=dict(job.headers),
        cancel_requested=job.cancel_requested,
        revision=job.revision,
    )


def _attempt(attempt: job_pb2.Attempt) -> Attempt:
    return Attempt(
        number=attempt.number,
        worker=attempt.worker,
        started_at=moment_of(attempt, "started_at"),
        ended_at=moment_of(attempt, "ended_at"),
        outcome=name_of(job_pb2.AttemptOutcome, attempt.outcome, "ATTEMPT_OUTCOME_", "unknown"),
        failure=failure_of(attempt),
    )


def failure_of(owner: Any) -> Failure | None:
    if not owner.HasField("failure"):
        return None
    failure = owner.failure
    reason = name_of(job_pb2.FailureReason, failure.reason, "FAILURE_REASON_", "unknown")
    return Failure(reason, failure.type, failure.message, failure.stack)


def _progress(job: job_pb2.Job) -> Progress | None:
    if not job.HasField("progress"):
        return None
    progress = job.progress
    return Progress(
        value=progress.value if progress.HasField("value") else None,
        detail=decode(job_pb2.Payload(data=progress.detail)),
        reported_at=moment_of(progress, "reported_at"),
    )


def moment_of(owner: Message, name: str) -> datetime | None:
    return datetime_in(getattr(owner, name)) if owner.HasField(name) else None


def name_of(enum: Any, value: int, prefix: str, unknown: str) -> str:
    """An enum value's name in lower case; `unknown` for 0 and for those of a later version of the
    contract."""
    if value == 0 or value not in enum.values():
        return unknown
    return str(enum.Name(value)).removeprefix(prefix).lower()
