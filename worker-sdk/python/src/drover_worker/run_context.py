"""A lease as the Context that its handler sees."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

from drover.v1 import worker_service_pb2

from .cancellation import CancelSignal
from .context import Context, ProgressSink
from .durations import duration, seconds_in
from .inputs import are_listed, inputs_of
from .task import Task


def with_limits(task: Task, lease: worker_service_pb2.Lease) -> None:
    """The task's own time limits, where the job names none."""
    if task.soft_time_limit is not None and not lease.HasField("soft_time_limit"):
        lease.soft_time_limit.CopyFrom(duration(task.soft_time_limit))
    if task.hard_time_limit is not None and not lease.HasField("hard_time_limit"):
        lease.hard_time_limit.CopyFrom(duration(task.hard_time_limit))


def soft_limit(lease: worker_service_pb2.Lease) -> float | None:
    return seconds_in(lease.soft_time_limit) if lease.HasField("soft_time_limit") else None


def hard_limit(lease: worker_service_pb2.Lease) -> float | None:
    return seconds_in(lease.hard_time_limit) if lease.HasField("hard_time_limit") else None


def context_of(
    lease: worker_service_pb2.Lease,
    arrived: float,
    progress: ProgressSink,
    signal: CancelSignal | None = None,
) -> Context:
    """`arrived`: when the lease came, monotonic seconds (of any process of this machine). `signal`: one that
    there is already."""
    began = datetime.now(timezone.utc) - timedelta(seconds=time.monotonic() - arrived)
    soft, hard = soft_limit(lease), hard_limit(lease)
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
        soft_deadline=None if soft is None else began + timedelta(seconds=soft),
        deadline=None if hard is None else began + timedelta(seconds=hard),
        inputs=inputs_of(lease),
        inputs_listed=are_listed(lease),
        flow=lease.flow,
        signal=CancelSignal() if signal is None else signal,
        progress_sink=progress,
    )
