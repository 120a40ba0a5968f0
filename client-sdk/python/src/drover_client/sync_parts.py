"""What operators use of the client without asyncio: as the parts of `drover_client.Client` of that name."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from datetime import datetime
from typing import Any, Protocol, TypeVar

from . import client as asynchronous
from .limits import RunLimits
from .operations import PURGE_LASTS, ActiveJob, Purged, Queue, RegisteredTask, Route, WorkerInfo
from .schedules import Declared, Schedule, ScheduleStatus

T = TypeVar("T")


class Runner(Protocol):
    """Runs calls of the asyncio client, and waits for them."""

    def run(self, call: Callable[[asynchronous.Client], Coroutine[Any, Any, T]]) -> T: ...


class Queues:
    def __init__(self, client: Runner) -> None:
        self._client = client

    def list(self) -> list[Queue]:
        return self._client.run(lambda client: client.queues.list())

    def get(self, name: str) -> Queue:
        return self._client.run(lambda client: client.queues.get(name))

    def pause(self, name: str) -> None:
        self._client.run(lambda client: client.queues.pause(name))

    def resume(self, name: str) -> None:
        self._client.run(lambda client: client.queues.resume(name))

    def purge(
        self,
        name: str,
        *,
        task: str = "",
        include_scheduled: bool = False,
        dry_run: bool = False,
        timeout: float = PURGE_LASTS,
    ) -> Purged:
        return self._client.run(
            lambda client: client.queues.purge(
                name, task=task, include_scheduled=include_scheduled, dry_run=dry_run, timeout=timeout
            )
        )


class Routes:
    def __init__(self, client: Runner) -> None:
        self._client = client

    def list(self) -> list[Route]:
        return self._client.run(lambda client: client.routes.list())

    def put(self, owner: str, routes: Iterable[Route]) -> None:
        self._client.run(lambda client: client.routes.put(owner, routes))


class Inspection:
    def __init__(self, client: Runner) -> None:
        self._client = client

    def workers(self) -> list[WorkerInfo]:
        return self._client.run(lambda client: client.inspect.workers())

    def active(self, limit: int | None = None) -> list[ActiveJob]:
        return self._client.run(lambda client: client.inspect.active(limit))

    def registered(self) -> list[RegisteredTask]:
        return self._client.run(lambda client: client.inspect.registered())


class Limits:
    def __init__(self, client: Runner) -> None:
        self._client = client

    def set_task(self, task: str, limits: RunLimits) -> None:
        self._client.run(lambda client: client.limits.set_task(task, limits))

    def set_queue(self, queue: str, limits: RunLimits) -> None:
        self._client.run(lambda client: client.limits.set_queue(queue, limits))


class Schedules:
    def __init__(self, client: Runner) -> None:
        self._client = client

    def put(
        self,
        owner: str,
        schedules: Iterable[Schedule],
        *,
        remove_undeclared: bool = False,
        dry_run: bool = False,
    ) -> Declared:
        declared = list(schedules)
        return self._client.run(
            lambda client: client.schedules.put(
                owner, declared, remove_undeclared=remove_undeclared, dry_run=dry_run
            )
        )

    def get(self, name: str) -> ScheduleStatus:
        return self._client.run(lambda client: client.schedules.get(name))

    def delete(self, name: str) -> None:
        self._client.run(lambda client: client.schedules.delete(name))

    def pause(self, name: str) -> None:
        self._client.run(lambda client: client.schedules.pause(name))

    def resume(self, name: str) -> None:
        self._client.run(lambda client: client.schedules.resume(name))

    def trigger(self, name: str) -> str:
        return self._client.run(lambda client: client.schedules.trigger(name))

    def preview(self, schedule: str | Schedule, count: int = 10) -> list[datetime]:
        return self._client.run(lambda client: client.schedules.preview(schedule, count))

    def list(self, *, owner: str = "", task: str = "") -> list[ScheduleStatus]:
        return self._client.run(lambda client: client.schedules.list(owner=owner, task=task))
