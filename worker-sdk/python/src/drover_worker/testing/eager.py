"""Submits that run their handlers on the spot, without a broker: by the same rules for arguments, errors and
retries, with the waits between the runs left out."""

from __future__ import annotations

import asyncio
import functools
import json
import threading
import time
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from drover.v1 import job_pb2, worker_service_pb2

from ..app import App
from ..calling import call_async, call_sync
from ..payload import encode
from ..report import Raised, report_of
from ..run_context import context_of, with_limits

MAX_SNOOZES = 1000
"""Runs without a failure after which a job is taken for one that never ends."""


@dataclass(frozen=True)
class EagerJob:
    """How a job ended that ran at its submit."""

    id: str
    state: str
    """`succeeded` or `failed`."""
    attempt: int
    """Number of its last run."""
    value: Any
    """The result as JSON has it, None unless it succeeded."""
    error: BaseException | None
    delays: tuple[float, ...]
    """Seconds that it would have waited before its second run, its third ..."""
    progress: tuple[tuple[float | None, Any], ...] = ()

    def result(self, timeout: float | None = None) -> Any:
        """As a real handle's; raises the handler's own error."""
        if self.error is not None:
            raise self.error
        return self.value


class EagerClient:
    """`submit` as a client's, for the tasks of an app. `max_attempts` and the delays of the retry policy are
    those of the submit, or the broker's defaults (4 runs; 1 s, doubled up to 600 s, here without jitter). The
    same key of the same task gives the same job."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._jobs: dict[str, EagerJob] = {}

    def submit(self, task: Any, payload: Any = None, *, key: str | None = None, **options: Any) -> EagerJob:
        """`task` is a name, or what a client's TaskRef made of its arguments. Raises LookupError for a task
        that the app does not have."""
        if not isinstance(task, str):
            request = task.request
            options = {
                "retry": request.retry,
                "headers": request.headers,
                "labels": request.labels,
                **options,
            }
            task, payload, key = request.task, request.payload, key or request.key
        if task not in self._app.tasks:
            raise LookupError(f"the app has no task {task}")
        job_id = f"{task}~{key or uuid.uuid4().hex}"
        if job_id not in self._jobs:
            self._jobs[job_id] = self._run(job_id, task, payload, options)
        return self._jobs[job_id]

    def _run(self, job_id: str, name: str, payload: Any, options: dict[str, Any]) -> EagerJob:
        task = self._app.tasks[name]
        task.prepare()
        policy = options.get("retry")
        max_attempts = _said(policy, "max_attempts", 4)
        data = job_pb2.Payload() if payload is None else encode(payload)
        progress: list[tuple[float | None, Any]] = []
        delays: list[float] = []
        failures = attempt = 0
        while True:
            attempt += 1
            lease = worker_service_pb2.Lease(
                job_id=job_id,
                task=name,
                queue=options.get("queue") or "default",
                attempt=attempt,
                failures=failures,
                max_attempts=max_attempts,
                payload=data,
                labels=options.get("labels") or {},
                headers=options.get("headers") or {},
            )
            with_limits(task, lease)
            context = context_of(
                lease,
                time.monotonic(),
                lambda value, detail: progress.append((value, json.loads(detail) if detail else None)),
            )
            if task.is_async:
                end = _completed(functools.partial(call_async, task, data, context, None))
            else:
                end = call_sync(task, data, context)
            outcome = report_of(end, None, task.rules)
            assert outcome is not None  # nobody has cancelled it
            error = end.error if isinstance(end, Raised) else None
            match outcome.WhichOneof("report"):
                case "success":
                    result = outcome.success.result
                    value = (
                        json.loads(result.data) if result.data and not result.content_type else result.data
                    )
                    return EagerJob(job_id, "succeeded", attempt, value, None, tuple(delays), tuple(progress))
                case "failure":
                    failures += 1
                    permanent = outcome.failure.reason == job_pb2.FAILURE_REASON_PERMANENT
                    if permanent or failures >= max_attempts:
                        return EagerJob(
                            job_id, "failed", attempt, None, error, tuple(delays), tuple(progress)
                        )
                    told = outcome.failure.retry_after if outcome.failure.HasField("retry_after") else None
                    delays.append(
                        _delay(policy, failures) if told is None else told.ToTimedelta().total_seconds()
                    )
                case "snooze":
                    delays.append(outcome.snooze.delay.ToTimedelta().total_seconds())
                case _:
                    delays.append(0.0)
            if attempt - failures > MAX_SNOOZES:
                raise RuntimeError(f"{job_id} was put off {MAX_SNOOZES:,} times")


def _said(policy: Any, name: str, default: Any) -> Any:
    value = getattr(policy, name, None)
    return default if value is None else value


def _delay(policy: Any, failures: int) -> float:
    first, most = (
        value.total_seconds() if hasattr(value, "total_seconds") else float(value)
        for value in (_said(policy, "initial_delay", 1), _said(policy, "max_delay", 600))
    )
    return min(most, first * float(_said(policy, "factor", 2)) ** (failures - 1))


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
