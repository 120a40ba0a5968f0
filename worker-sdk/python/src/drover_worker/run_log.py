"""task_started, task_completed, task_failed and their kin, all with job id, task, queue and attempt, the
later ones with `duration_ms`."""

from __future__ import annotations

import logging
from typing import Any

from drover.v1 import job_pb2, worker_service_pb2

from .context import Context
from .log_events import event
from .report import End, Raised


def log_start(context: Context) -> None:
    event(logging.INFO, "task_started", **_fields(context))


def log_time_limit(context: Context, duration: float) -> None:
    event(
        _failure_level(context, permanent=False),
        "task_failed",
        **_fields(context, duration),
        error_type="HardTimeLimitExceeded",
        final=_is_last(context),
    )


def log_end(context: Context, end: End, outcome: worker_service_pb2.Outcome | None, duration: float) -> None:
    """`outcome` as it was reported, None where nothing counted any more."""
    fields = _fields(context, duration)
    kind = outcome.WhichOneof("report") if outcome is not None else None
    if outcome is None:
        event(logging.WARNING, "task_abandoned", **fields, reason=str(context.cancel_reason))
    elif outcome.HasField("failure"):
        permanent = outcome.failure.reason == job_pb2.FAILURE_REASON_PERMANENT
        event(
            _failure_level(context, permanent),
            "task_failed",
            end.error if isinstance(end, Raised) else None,
            **fields,
            error_type=outcome.failure.type,
            error=outcome.failure.message,
            final=permanent or _is_last(context),
        )
    else:
        event(logging.INFO, _ENDS[str(kind)], **fields)


_ENDS = {
    "success": "task_completed",
    "release": "task_released",
    "snooze": "task_snoozed",
    "cancelled": "task_cancelled",
}


def _is_last(context: Context) -> bool:
    return context.failures + 1 >= context.max_attempts


def _failure_level(context: Context, permanent: bool) -> int:
    return logging.ERROR if permanent or _is_last(context) else logging.WARNING


def _fields(context: Context, duration: float | None = None) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "job_id": context.job_id,
        "task": context.task,
        "queue": context.queue,
        "attempt": context.attempt,
    }
    if duration is not None:
        fields["duration_ms"] = round(duration * 1000, 3)
    return fields
