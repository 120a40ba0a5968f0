"""Submits that run their handlers on the spot, without a broker: by the same rules for arguments, errors and
retries, with the waits between the runs left out."""

from __future__ import annotations

import uuid
from typing import Any

from drover.v1 import job_pb2

from ..app import App
from ..payload import encode
from .eager_job import EagerJob, EagerRecord
from .eager_run import EagerSubmit


class EagerClient:
    """`submit` as a client's, for the tasks of an app. `max_attempts` and the delays of the retry policy are
    those of the submit, or the broker's defaults (4 runs; 1 s, doubled up to 600 s, here without jitter). The
    same key of the same task gives the same job."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._records: dict[str, EagerRecord] = {}

    def submit(self, task: Any, payload: Any = None, *, key: str | None = None, **options: Any) -> EagerJob:
        """`task` is a name, or what a client's TaskRef made of its arguments. Raises LookupError for a task
        that the app does not have."""
        if not isinstance(task, str):
            request = task.request
            names = ("queue", "priority", "retry", "headers", "labels")
            options = {**{name: getattr(request, name) for name in names}, **options}
            task, payload, key = request.task, request.payload, key or request.key
        if task not in self._app.tasks:
            raise LookupError(f"the app has no task {task}")
        submit = EagerSubmit(
            task=self._app.tasks[task],
            key=key or uuid.uuid4().hex,
            payload=job_pb2.Payload() if payload is None else encode(payload),
            queue=options.get("queue") or "default",
            priority=5 if options.get("priority") is None else options["priority"],
            policy=options.get("retry"),
            labels=options.get("labels") or {},
            headers=options.get("headers") or {},
        )
        there = self._records.get(submit.id)
        if there is not None:
            return EagerJob(there, deduplicated=True)
        record = self._records[submit.id] = EagerRecord(submit.run(), submit.run)
        return EagerJob(record, deduplicated=False)
