"""A submit and its run in one process, and their spans as JSON. For python-packages.test.ts."""

import asyncio
import json
import sys

from drover_client import Client, RetryPolicy
from drover_worker import App
from drover_worker.testing import running

app = App(queues="spans")


@app.task("spans.fail")
def fail() -> None:
    raise ValueError("not today")


@app.task("spans.greet")
async def greet(name: str) -> str:
    return f"hello {name}"


async def work() -> None:
    async with Client() as client:
        job = await client.submit("spans.greet", {"name": "Ada"}, queue="spans")
        assert await job.result(30) == "hello Ada"
        failing = await client.submit("spans.fail", {}, queue="spans", retry=RetryPolicy(max_attempts=1))
        await client.wait([failing.id], 30)


def spans() -> list[dict[str, object]]:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    with running(app):
        asyncio.run(work())
    return [
        {
            "name": span.name,
            "kind": span.kind.name,
            "id": hex(span.context.span_id),
            "trace": hex(span.context.trace_id),
            "links": [[hex(link.context.trace_id), hex(link.context.span_id)] for link in span.links],
            "status": span.status.status_code.name,
            "job": span.attributes.get("messaging.message.id"),
        }
        for span in exporter.get_finished_spans()
    ]


def imported() -> list[str]:
    with running(app):
        asyncio.run(work())
    return [name for name in sys.modules if name.startswith("opentelemetry")]


print(json.dumps(spans() if sys.argv[1:] == ["spans"] else imported()))
