"""What a handler can know and say about its run."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from drover.sdk.payload import json_bytes

from .cancellation import CancelReason, CancelSignal
from .inputs import Input

MAX_PROGRESS_DETAIL = 4096
"""Bytes of JSON."""

ProgressSink = Callable[[float | None, bytes], None]


class RunLogger(logging.LoggerAdapter):  # type: ignore[type-arg]  # generic since Python 3.11 only
    """Adds job id, task and attempt to every record, beside what a call passes as `extra`."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs


def _drop_progress(value: float | None, detail: bytes) -> None:
    """Where progress goes for a context made by hand."""


@dataclass(frozen=True, eq=False)
class Context:
    """One attempt of one job. Everything here may be used from any thread.

    All fields have defaults, so a test can call a handler with `Context(attempt=2)` and nothing else.
    """

    job_id: str = ""
    task: str = ""
    queue: str = "default"
    priority: int = 5
    attempt: int = 1
    """From 1, whatever became of the earlier ones."""
    failures: int = 0
    """Failures before this attempt."""
    max_attempts: int = 4
    """How many failures end the job."""
    labels: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = ""
    """Of the payload; empty means JSON."""
    submitted_at: datetime | None = None
    soft_deadline: datetime | None = None
    """When the soft time limit passes (UTC)."""
    deadline: datetime | None = None
    """When the hard time limit passes (UTC)."""
    inputs: tuple[Input, ...] = ()
    """In a flow: what the steps that this one depends on came to, in their order."""
    inputs_listed: bool = False
    """They are one list, also where there is just one (behind a group)."""
    flow: str = ""
    """Key of the flow that the job is a member of."""
    signal: CancelSignal = field(default_factory=CancelSignal, repr=False)
    progress_sink: ProgressSink = field(default=_drop_progress, repr=False)

    def progress(self, value: float | None = None, detail: Any = None) -> None:
        """Report how far the run has come; the latest report counts.

        `value` is any finite number, by convention a share of 1; `detail` any JSON value of at most 4 KiB.
        Raises ValueError or TypeError for others. Never blocks and never fails for a lost connection.
        """
        if value is not None:
            value = float(value)
            if not math.isfinite(value):
                raise ValueError(f"progress must be a finite number, not {value}")
        encoded = b"" if detail is None else json_bytes(detail)
        if len(encoded) > MAX_PROGRESS_DETAIL:
            raise ValueError(
                f"progress detail has {len(encoded)} bytes of JSON, at most {MAX_PROGRESS_DETAIL} allowed"
            )
        self.progress_sink(value, encoded)

    @property
    def input_value(self) -> Any:
        """What the steps before came to: the result of the one, or the list of the results of several; None
        in the place of one that failed."""
        results = [entry.result for entry in self.inputs]
        return results if self.inputs_listed or len(results) != 1 else results[0]

    @property
    def cancelled(self) -> bool:
        """The run is to end: cancelled, over a time limit, lease lost or worker stopping. See
        `cancel_reason`."""
        return self.signal.event.is_set()

    @property
    def cancel_reason(self) -> CancelReason | None:
        return self.signal.reason

    @property
    def cancel_event(self) -> threading.Event:
        """For sync handlers that wait: `ctx.cancel_event.wait(seconds)` is a sleep that ends early."""
        return self.signal.event

    def check(self) -> None:
        """For sync handlers, now and then: raises SoftTimeLimitExceeded or JobCancelled once the run is to
        end."""
        if self.signal.event.is_set():
            raise self.signal.error()

    @property
    def logger(self) -> RunLogger:
        """Logs as `drover.task.<task>` with job_id, task and attempt as fields of every record."""
        fields = {"job_id": self.job_id, "task": self.task, "attempt": self.attempt}
        return RunLogger(logging.getLogger(f"drover.task.{self.task}"), fields)

    def remaining(self) -> float | None:
        """Seconds until the hard time limit, 0 once it has passed; None without one."""
        if self.deadline is None:
            return None
        return max(0.0, (self.deadline - datetime.now(timezone.utc)).total_seconds())
