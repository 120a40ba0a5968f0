"""How much of a task or of a queue may start and run, over all workers and brokers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from drover.v1 import queue_service_pb2

from .calls import Caller
from .moments import duration


@dataclass(frozen=True)
class Rate:
    """`Rate(10, per=60)` is Celery's `10/m`."""

    count: int
    """Starts per period: 1 to 1,000,000."""
    per: float | timedelta
    """Seconds: 0.1 to a day."""
    burst: int = 0
    """Starts that may come at once after a quiet time: 1 to count; 0 is 1."""


@dataclass(frozen=True, kw_only=True)
class RunLimits:
    """What is None is not limited."""

    rate: Rate | None = None
    concurrency: int | None = None
    """Running at a time: 1 to 100,000."""
    concurrency_per_key: int | None = None
    """Running at a time of each concurrency key: 1 to 10,000."""

    def to_proto(self) -> queue_service_pb2.RunLimits:
        limits = queue_service_pb2.RunLimits(
            concurrency=self.concurrency, concurrency_per_key=self.concurrency_per_key
        )
        if self.rate is not None:
            limits.rate.count, limits.rate.burst = self.rate.count, self.rate.burst
            limits.rate.period.CopyFrom(duration("per", self.rate.per))
        return limits


class Limits:
    """Each call replaces what was set before; `RunLimits()` takes all limits back."""

    def __init__(self, calls: Caller) -> None:
        self._calls = calls

    async def set_task(self, task: str, limits: RunLimits) -> None:
        request = queue_service_pb2.UpdateTaskRequest(task=task, limits=limits.to_proto())
        await self._calls.call("Queue/UpdateTask", request)

    async def set_queue(self, queue: str, limits: RunLimits) -> None:
        """Its retention is left as it is."""
        request = queue_service_pb2.QueueServiceUpdateRequest(queue=queue, limits=limits.to_proto())
        await self._calls.call("Queue/Update", request)
