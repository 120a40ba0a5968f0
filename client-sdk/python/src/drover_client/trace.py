"""W3C trace context in a job's headers. Where OpenTelemetry is installed a submit is a span, and the run that
follows is linked to it; where it is not, nothing is imported and nothing is added."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from drover.v1 import job_pb2

try:
    from opentelemetry import propagate, trace
except ImportError:
    INSTALLED = False
else:
    INSTALLED = True


@contextlib.contextmanager
def traced(spec: job_pb2.JobSpec) -> Iterator[None]:
    """A span around the submit, and its context in the job's headers, unless those carry one already."""
    if not INSTALLED:
        yield
        return
    tracer = trace.get_tracer("drover_client")
    attributes = {"messaging.system": "drover", "messaging.destination.name": spec.task}
    with tracer.start_as_current_span(
        f"submit {spec.task}", kind=trace.SpanKind.PRODUCER, attributes=attributes
    ):
        if "traceparent" not in spec.headers:
            carrier: dict[str, str] = {}
            propagate.inject(carrier)
            for name, value in carrier.items():
                spec.headers[name] = value
        yield
