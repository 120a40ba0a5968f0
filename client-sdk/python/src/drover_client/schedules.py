"""Schedules: rules, kept by the broker, that submit jobs by time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from drover.v1 import schedule_service_pb2 as wire

from .calls import Caller
from .job import moment_of, name_of
from .moments import datetime_in, duration, timestamp
from .spec import JobRequest
from .task_ref import Step

PAGE = 1000

Overlap = Literal["allow", "skip", "cancel_previous"]
Misfire = Literal["once", "skip", "catch_up"]

_OVERLAP: dict[Overlap, wire.OverlapPolicy] = {
    "allow": wire.OVERLAP_POLICY_ALLOW,
    "skip": wire.OVERLAP_POLICY_SKIP,
    "cancel_previous": wire.OVERLAP_POLICY_CANCEL_PREVIOUS,
}
_MISFIRE: dict[Misfire, wire.MisfirePolicy] = {
    "once": wire.MISFIRE_POLICY_ONCE,
    "skip": wire.MISFIRE_POLICY_SKIP,
    "catch_up": wire.MISFIRE_POLICY_CATCH_UP,
}


@dataclass(frozen=True)
class Schedule:
    name: str
    """Unique in the namespace."""
    job: JobRequest | Step[Any]
    """What is submitted; without a key: each job's is made from the schedule and its planned time."""
    _: KW_ONLY
    cron: str | None = None
    """Five fields (minute, hour, day of month, month, day of week), or six with the second first; or @daily
    and the like. One of cron and interval."""
    interval: float | timedelta | None = None
    """Seconds: 1 to 365 days."""
    time_zone: str = ""
    """An IANA name, for cron; empty is UTC."""
    overlap: Overlap = "allow"
    """While an earlier job of it has not ended: submit all the same, leave that time out, or cancel it."""
    misfire: Misfire = "once"
    """For times at which no broker was there: one job for the latest, none, or one each (`max_catch_up`)."""
    max_catch_up: int = 0
    """1 to 1,000; 0: 10."""
    jitter: float | timedelta = 0
    """Each job starts up to this many seconds later, by chance: 0 to 1 h."""
    start_at: datetime | None = None
    end_at: datetime | None = None
    paused: bool = False
    description: str = ""

    def to_proto(self) -> wire.Schedule:
        """Raises ValueError unless it has one of cron and interval, for a key, or a naive datetime."""
        if (self.cron is None) == (self.interval is None):
            raise ValueError(f"schedule {self.name}: say either cron or interval")
        request = self.job.request if isinstance(self.job, Step) else self.job
        if request.key is not None:
            raise ValueError(f"schedule {self.name}: its jobs have keys of their own")
        job = request.to_proto()
        job.key = ""
        schedule = wire.Schedule(
            name=self.name,
            time_zone=self.time_zone,
            job=job,
            overlap=_OVERLAP[self.overlap],
            misfire=_MISFIRE[self.misfire],
            max_catch_up=self.max_catch_up,
            paused=self.paused,
            description=self.description,
        )
        if self.cron is not None:
            schedule.cron = self.cron
        else:
            schedule.interval.CopyFrom(duration("interval", self.interval or 0))
        if self.jitter:
            schedule.jitter.CopyFrom(duration("jitter", self.jitter))
        if self.start_at is not None:
            schedule.start_at.CopyFrom(timestamp("start_at", self.start_at))
        if self.end_at is not None:
            schedule.end_at.CopyFrom(timestamp("end_at", self.end_at))
        return schedule


@dataclass(frozen=True)
class Firing:
    planned_at: datetime | None
    outcome: str
    """`submitted`, `overlap`, `misfire`, `triggered` or `refused`."""
    job_id: str
    detail: str


@dataclass(frozen=True)
class ScheduleStatus:
    name: str
    owner: str
    task: str
    cron: str | None
    time_zone: str
    paused: bool
    next_at: datetime | None
    """None: never again."""
    last_at: datetime | None
    firings: tuple[Firing, ...]
    """The last 20, the latest first; only from `get`."""


@dataclass(frozen=True)
class Declared:
    """Names."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]
    undeclared: tuple[str, ...]
    """What the owner has and did not declare, the first 1,000 by name; removed only where asked for."""


class Schedules:
    """A schedule that nobody knows is a BrokerError, reason SCHEDULE_NOT_FOUND."""

    def __init__(self, calls: Caller) -> None:
        self._calls = calls

    async def put(
        self,
        owner: str,
        schedules: Iterable[Schedule],
        *,
        remove_undeclared: bool = False,
        dry_run: bool = False,
    ) -> Declared:
        """Declares schedules by name, all or nothing: what is new is added, what has changed is changed. Safe
        to repeat, from every process that starts."""
        request = wire.ScheduleServicePutRequest(
            owner=owner,
            schedules=[schedule.to_proto() for schedule in schedules],
            remove_undeclared=remove_undeclared,
            dry_run=dry_run,
        )
        answer = await self._calls.call("Schedule/Put", request)
        return Declared(
            tuple(answer.added), tuple(answer.changed), tuple(answer.unchanged), tuple(answer.undeclared)
        )

    async def get(self, name: str) -> ScheduleStatus:
        answer = await self._calls.call("Schedule/Get", wire.ScheduleServiceGetRequest(name=name))
        return _status(answer.schedule)

    # Before `list`, which hides the type's name below it.
    async def preview(self, schedule: str | Schedule, count: int = 10) -> list[datetime]:
        """The next 1 to 1,000 times of a schedule that is there, by its name, or of one that could be."""
        request = wire.ScheduleServicePreviewRequest(count=count)
        if isinstance(schedule, str):
            request.name = schedule
        else:
            request.schedule.CopyFrom(schedule.to_proto())
        return [datetime_in(time) for time in (await self._calls.call("Schedule/Preview", request)).times]

    async def list(self, *, owner: str = "", task: str = "") -> list[ScheduleStatus]:
        """In the order of their names."""
        found: list[ScheduleStatus] = []
        token = ""
        while True:
            request = wire.ScheduleServiceListRequest(
                owner=owner, task=task, page_size=PAGE, page_token=token
            )
            page = await self._calls.call("Schedule/List", request)
            found += map(_status, page.schedules)
            token = page.next_page_token
            if not token:
                return found

    async def delete(self, name: str) -> None:
        """No job is submitted any more once this has returned."""
        await self._calls.call("Schedule/Delete", wire.ScheduleServiceDeleteRequest(name=name))

    async def pause(self, name: str) -> None:
        await self._calls.call("Schedule/Pause", wire.ScheduleServicePauseRequest(name=name))

    async def resume(self, name: str) -> None:
        """Goes on from now; what fell into the pause is not made up."""
        await self._calls.call("Schedule/Resume", wire.ScheduleServiceResumeRequest(name=name))

    async def trigger(self, name: str) -> str:
        """Submits its job now, paused or not: the job's id. Tried once."""
        request = wire.ScheduleServiceTriggerRequest(name=name)
        return str((await self._calls.once("Schedule/Trigger", request)).job_id)


def _status(view: wire.ScheduleView) -> ScheduleStatus:
    schedule = view.schedule
    return ScheduleStatus(
        name=schedule.name,
        owner=view.owner,
        task=schedule.job.task,
        cron=schedule.cron or None,
        time_zone=schedule.time_zone,
        paused=schedule.paused,
        next_at=moment_of(view, "next_at"),
        last_at=moment_of(view, "last_at"),
        firings=tuple(
            Firing(
                moment_of(firing, "planned_at"),
                name_of(wire.FiringOutcome, firing.outcome, "FIRING_OUTCOME_", "unknown"),
                firing.job_id,
                firing.detail,
            )
            for firing in view.firings
        ),
    )
