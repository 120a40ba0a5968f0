"""A job as its submitter describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from drover.v1 import job_pb2

from .keys import new_key
from .moments import duration, timestamp
from .payload import encode


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How often and when a job runs again. What is None takes the broker's default, named at each."""

    max_attempts: int | None = None
    """Runs that may end in a failure before the job fails for good: 1 to 1,000, default 4."""
    initial_delay: float | timedelta | None = None
    """Seconds after the first failure: 0 to 30 days, default 1."""
    factor: float | None = None
    """What the wait is multiplied by after each further failure: 1 to 100, default 2."""
    max_delay: float | timedelta | None = None
    """Upper bound of the wait in seconds: up to 30 days, default 600."""
    jitter: float | None = None
    """Share by which each wait is spread at random: 0 to 1, default 0.1."""
    max_crashes: int | None = None
    """Runs that may end without any report: 0 to 100, default 3. 0 means at most once."""

    def to_proto(self) -> job_pb2.RetryPolicy:
        return job_pb2.RetryPolicy(
            max_attempts=self.max_attempts,
            initial_delay=None
            if self.initial_delay is None
            else duration("initial_delay", self.initial_delay),
            factor=self.factor,
            max_delay=None if self.max_delay is None else duration("max_delay", self.max_delay),
            jitter=self.jitter,
            max_crashes=self.max_crashes,
        )


@dataclass(frozen=True)
class Unique:
    key: str
    period: float | timedelta | None = None
    """Seconds from the submit on, whatever becomes of the job: 1 s to 30 days. None: until it has ended."""

    def to_proto(self) -> job_pb2.UniqueFor:
        period = None if self.period is None else duration("unique.period", self.period)
        return job_pb2.UniqueFor(key=self.key, period=period)


@dataclass(frozen=True)
class Debounce:
    wait: float | timedelta
    """Seconds from the last submit to the run: 1 ms to 30 days."""
    max_wait: float | timedelta | None = None
    """Seconds from the first submit to the run at the latest; None: no bound."""

    def to_proto(self) -> job_pb2.Debounce:
        most = None if self.max_wait is None else duration("debounce.max_wait", self.max_wait)
        return job_pb2.Debounce(wait=duration("debounce.wait", self.wait), max_wait=most)


@dataclass(frozen=True)
class JobRequest:
    """One job to submit. Durations are seconds or timedeltas; points in time need a time zone."""

    task: str
    payload: Any = None
    """A JSON value, normally a dict of the task's named arguments; dataclasses and pydantic models count as
    such. A `Payload` passes other bytes through. At most 512 KiB."""
    _: KW_ONLY
    key: str | None = None
    """The job's name inside its task, the handle of idempotency. None: the SDK makes one."""
    queue: str | None = None
    priority: int | None = None
    """0 to 9, 9 is the most urgent."""
    delay: float | timedelta | None = None
    """Wait before the first run: 0 to 10 years. Not together with run_at."""
    run_at: datetime | None = None
    """Time of the first run, never earlier."""
    start_by: datetime | None = None
    """A job whose first run has not begun by then fails as expired."""
    retry: RetryPolicy | None = None
    soft_time_limit: float | timedelta | None = None
    """After this much of a run the handler is told to finish: 1 ms to 30 days."""
    hard_time_limit: float | timedelta | None = None
    """After this much of a run the attempt is over: 1 ms to 30 days."""
    result_retention: float | timedelta | None = None
    """How long the record is kept after the end: 0 (no result is kept) or 10 min to 365 days."""
    concurrency_key: str | None = None
    """Jobs of one key (a customer, an account) of which only so many run at a time: one, or
    what `limits` say."""
    unique: Unique | None = None
    """While a job of its key is there, another submit gives that job. Not together with debounce."""
    debounce: Debounce | None = None
    """Each submit of the same key puts the run off. Needs a key of yours."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """For people and filters: at most 16."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """For programs (trace context and the like): at most 64."""

    def to_proto(self) -> job_pb2.JobSpec:
        """Each call makes a new key, where none is given. Raises ValueError for a naive datetime or an empty
        key, TypeError or ValueError for a payload that has no JSON form."""
        if self.key == "":
            # The broker would make one, a new one for each time the submit is sent.
            raise ValueError("key must not be empty; leave it out for one made by the SDK")
        spec = job_pb2.JobSpec(
            task=self.task,
            key=self.key or new_key(),
            queue=self.queue,
            priority=self.priority,
            payload=None if self.payload is None else encode(self.payload),
            retry=None if self.retry is None else self.retry.to_proto(),
            labels=self.labels,
            headers=self.headers,
        )
        if self.concurrency_key is not None:
            spec.concurrency_key = self.concurrency_key
        if self.unique is not None:
            spec.unique.CopyFrom(self.unique.to_proto())
        if self.debounce is not None:
            spec.debounce.CopyFrom(self.debounce.to_proto())
        for name in ("delay", "soft_time_limit", "hard_time_limit", "result_retention"):
            if (span := getattr(self, name)) is not None:
                getattr(spec, name).CopyFrom(duration(name, span))
        for name in ("run_at", "start_by"):
            if (moment := getattr(self, name)) is not None:
                getattr(spec, name).CopyFrom(timestamp(name, moment))
        return spec
