"""One run in a real event loop, and what it said. No broker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from drover.v1 import job_pb2, worker_service_pb2

from drover_worker.durations import duration
from drover_worker.mailbox import Mailbox
from drover_worker.run import Places, Run
from drover_worker.task import Task
from drover_worker.threads import HandlerThreads

PATIENCE = 30
"""Seconds: machines may be busy."""


class Heard:
    """What a run said."""

    def __init__(self) -> None:
        self.outcomes: list[worker_service_pb2.Outcome] = []
        self.progress: list[job_pb2.Progress] = []
        self.finished = asyncio.Event()

    def reported(self, run: Run, outcome: worker_service_pb2.Outcome) -> None:
        self.outcomes.append(outcome)

    def progressed(self, run: Run, progress: job_pb2.Progress) -> None:
        self.progress.append(progress)

    def ended(self, run: Run) -> None:
        self.finished.set()

    @property
    def kinds(self) -> list[str | None]:
        return [outcome.WhichOneof("report") for outcome in self.outcomes]


def start(
    function: Callable[..., Any],
    payload: bytes = b"",
    soft: float | None = None,
    hard: float | None = None,
    **lease_fields: Any,
) -> tuple[Run, Heard]:
    lease = worker_service_pb2.Lease(
        lease_id=1, token="token", job_id="t~k", task="t", queue="q", attempt=2, failures=1, max_attempts=4,
        payload=job_pb2.Payload(data=payload), **lease_fields,
    )  # fmt: skip
    if soft is not None:
        lease.soft_time_limit.CopyFrom(duration(soft))
    if hard is not None:
        lease.hard_time_limit.CopyFrom(duration(hard))
    heard = Heard()
    home = Mailbox(asyncio.get_running_loop())
    run = Run(Task("t", function), lease, time.monotonic(), Places(home, home, HandlerThreads("test")), heard)
    run.start()
    return run, heard


async def ended(heard: Heard) -> Heard:
    await asyncio.wait_for(heard.finished.wait(), PATIENCE)
    return heard


async def begun(heard: Heard) -> Heard:
    """A handler says by its progress that it has begun."""

    async def some() -> None:
        while not heard.progress:  # noqa: ASYNC110  it tells nobody
            await asyncio.sleep(0.001)

    await asyncio.wait_for(some(), PATIENCE)
    return heard
