"""What operators ask: queues, routes, and who works on what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from drover.v1 import inspect_service_pb2, queue_service_pb2

from .calls import Caller
from .job import moment_of

PURGE_LASTS = 30.0
"""Seconds that the broker may wait until no job of the queue is just being handed out."""


@dataclass(frozen=True)
class Queue:
    """Counts are at most 15 s old."""

    name: str
    paused: bool
    ready: int
    running: int
    scheduled: int
    """Scheduled and retrying."""
    blocked: int
    succeeded: int
    """Of ended jobs: only from `get`."""
    failed: int
    cancelled: int


@dataclass(frozen=True)
class Purged:
    ready: int
    scheduled: int


@dataclass(frozen=True, kw_only=True)
class Route:
    name: str
    """Unique over all owners."""
    task: str
    """Glob on the task's name: `*` is any characters, `?` is one."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels that the job must bear, values as globs."""
    queue: str | None = None
    """What it sets; at least one of queue and priority."""
    priority: int | None = None
    owner: str = ""
    """Set in answers."""


@dataclass(frozen=True)
class WorkerInfo:
    name: str
    broker: str
    sdk: str
    attached_at: datetime | None
    tasks: tuple[str, ...]
    queues: tuple[str, ...]
    credit: int
    running: int
    draining: bool


@dataclass(frozen=True)
class ActiveJob:
    job_id: str
    queue: str
    attempt: int
    worker: str
    broker: str
    started_at: datetime | None
    cancel_requested: bool


@dataclass(frozen=True)
class RegisteredTask:
    task: str
    workers: tuple[str, ...]
    queues: tuple[str, ...]


class Queues:
    """All raise QueueNotFound for a queue that nothing was ever submitted to."""

    def __init__(self, calls: Caller) -> None:
        self._calls = calls

    async def list(self) -> list[Queue]:
        answer = await self._calls.call("Queue/List", queue_service_pb2.QueueServiceListRequest())
        return [_queue(queue) for queue in answer.queues]

    async def get(self, name: str) -> Queue:
        request = queue_service_pb2.QueueServiceGetRequest(queue=name)
        return _queue((await self._calls.call("Queue/Get", request)).queue)

    async def pause(self, name: str) -> None:
        """Nothing of the queue is handed out any more, by any broker, once this has returned. Running jobs
        run on."""
        await self._calls.call("Queue/Pause", queue_service_pb2.QueueServicePauseRequest(queue=name))

    async def resume(self, name: str) -> None:
        await self._calls.call("Queue/Resume", queue_service_pb2.QueueServiceResumeRequest(queue=name))

    async def purge(
        self,
        name: str,
        *,
        task: str = "",
        include_scheduled: bool = False,
        dry_run: bool = False,
        timeout: float = PURGE_LASTS,
    ) -> Purged:
        """Removes the jobs that wait (of one task, if given), without a record, and says how many; with
        `dry_run` it only counts. `timeout`: seconds that the broker may take for it. Tried once: a second try
        would also take what was submitted meanwhile. Raises BrokerError (reason QUEUE_BUSY: try later)."""
        request = queue_service_pb2.QueueServicePurgeRequest(
            queue=name, task=task, include_scheduled=include_scheduled, dry_run=dry_run
        )
        answer = await self._calls.once("Queue/Purge", request, lasts=timeout)
        return Purged(answer.ready, answer.scheduled)


class Routes:
    """Kept by the broker; the first that matches wins, and what a submit says itself wins over all."""

    def __init__(self, calls: Caller) -> None:
        self._calls = calls

    async def list(self) -> list[Route]:
        """In the order in which they are tried."""
        answer = await self._calls.call("Queue/ListRoutes", queue_service_pb2.ListRoutesRequest())
        return [_route(route) for route in answer.routes]

    async def put(self, owner: str, routes: Iterable[Route]) -> None:
        """Replaces an owner's routes as a whole."""
        wire = [
            queue_service_pb2.Route(
                name=route.name,
                task=route.task,
                labels=route.labels,
                queue=route.queue,
                priority=route.priority,
            )
            for route in routes
        ]
        await self._calls.call(
            "Queue/PutRoutes", queue_service_pb2.PutRoutesRequest(owner=owner, routes=wire)
        )


class Inspection:
    """Asked of all brokers at once; one that is silent for 300 ms is left out."""

    def __init__(self, calls: Caller) -> None:
        self._calls = calls

    async def workers(self) -> list[WorkerInfo]:
        """The workers with a session."""
        answer = await self._calls.call("Inspect/Workers", inspect_service_pb2.WorkersRequest())
        return [
            WorkerInfo(
                worker.name,
                worker.broker,
                worker.sdk,
                moment_of(worker, "attached_at"),
                tuple(worker.tasks),
                tuple(worker.queues),
                worker.credit,
                worker.running,
                worker.draining,
            )
            for worker in answer.workers
        ]

    async def active(self, limit: int | None = None) -> list[ActiveJob]:
        """What runs now, where and since when: at most `limit` (1 to 10,000, default 1,000) per broker."""
        answer = await self._calls.call("Inspect/Active", inspect_service_pb2.ActiveRequest(limit=limit or 0))
        return [
            ActiveJob(
                job.job_id,
                job.queue,
                job.attempt,
                job.worker,
                job.broker,
                moment_of(job, "started_at"),
                job.cancel_requested,
            )
            for job in answer.jobs
        ]

    async def registered(self) -> list[RegisteredTask]:
        """Which tasks are served, and by whom."""
        answer = await self._calls.call("Inspect/Registered", inspect_service_pb2.RegisteredRequest())
        return [RegisteredTask(task.task, tuple(task.workers), tuple(task.queues)) for task in answer.tasks]


def _queue(queue: queue_service_pb2.Queue) -> Queue:
    return Queue(
        queue.name,
        queue.paused,
        queue.ready,
        queue.running,
        queue.scheduled,
        queue.blocked,
        queue.succeeded,
        queue.failed,
        queue.cancelled,
    )


def _route(route: queue_service_pb2.Route) -> Route:
    return Route(
        name=route.name,
        task=route.task,
        labels=dict(route.labels),
        queue=route.queue if route.HasField("queue") else None,
        priority=route.priority if route.HasField("priority") else None,
        owner=route.owner,
    )
