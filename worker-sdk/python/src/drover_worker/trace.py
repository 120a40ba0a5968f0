"""Where OpenTelemetry is installed a run is a span, linked to its submit by the W3C trace context in the
job's headers; where it is not, nothing is imported."""

from __future__ import annotations

import contextlib
from typing import Any

from .context import Context

try:
    from opentelemetry import propagate, trace
except ImportError:
    INSTALLED = False
else:
    INSTALLED = True


def traced(context: Context) -> contextlib.AbstractContextManager[Any]:
    if not INSTALLED:
        return contextlib.nullcontext()
    submit = trace.get_current_span(propagate.extract(dict(context.headers))).get_span_context()
    span: contextlib.AbstractContextManager[Any] = trace.get_tracer("drover_worker").start_as_current_span(
        f"run {context.task}",
        kind=trace.SpanKind.CONSUMER,
        links=[trace.Link(submit)] if submit.is_valid else [],
        attributes={
            "messaging.system": "drover",
            "messaging.destination.name": context.task,
            "messaging.message.id": context.job_id,
            "drover.attempt": context.attempt,
        },
    )
    return span
