"""Why a job does not run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from drover.v1 import job_service_pb2

from .job import JobState, moment_of, name_of, state_of


class ObstacleKind(str, Enum):
    UNKNOWN = "unknown"
    """One that this version of the SDK has no name for."""
    NOT_DUE = "not_due"
    """It waits for its time (`until`)."""
    QUEUE_PAUSED = "queue_paused"
    """Its queue is paused, or rests for a purge."""
    NO_WORKER = "no_worker"
    """No worker that is attached serves its task in its queue."""
    WORKERS_BUSY = "workers_busy"
    """Workers serve it, all of them are full."""
    BEHIND_OTHERS = "behind_others"
    """`count` jobs come before it in its queue."""
    RATE_LIMIT = "rate_limit"
    """A rate limit of its task or queue (`subject`) leaves it no start before `until`."""
    CONCURRENCY_LIMIT = "concurrency_limit"
    """A concurrency limit of its task or queue (`subject`) is used up."""
    CONCURRENCY_KEY = "concurrency_key"
    """As many jobs of its concurrency key (`subject`) run as may, and `count` wait before it."""
    DEPENDENCIES = "dependencies"
    """Members of its flow (`jobs`, `count` in all) have to end first."""


@dataclass(frozen=True)
class Obstacle:
    kind: ObstacleKind
    detail: str
    """For people."""
    subject: str
    count: int
    until: datetime | None
    jobs: tuple[str, ...]
    """At most 100 job ids."""


@dataclass(frozen=True)
class Explanation:
    state: JobState
    obstacles: tuple[Obstacle, ...]
    """All that stands in its way, the gravest first; empty when nothing does, or it runs or has ended."""
    earliest_start: datetime | None
    """When it can start at the earliest, as far as that can be known."""
    summary: str
    """The same in a sentence."""


def explanation_of(answer: job_service_pb2.ExplainResponse) -> Explanation:
    return Explanation(
        state_of(answer.state),
        tuple(_obstacle(obstacle) for obstacle in answer.obstacles),
        moment_of(answer, "earliest_start"),
        answer.summary,
    )


def _obstacle(obstacle: job_service_pb2.Obstacle) -> Obstacle:
    name = name_of(job_service_pb2.ObstacleKind, obstacle.kind, "OBSTACLE_KIND_", "unknown")
    kind = ObstacleKind(name) if name in ObstacleKind._value2member_map_ else ObstacleKind.UNKNOWN
    return Obstacle(
        kind,
        obstacle.detail,
        obstacle.subject,
        obstacle.count,
        moment_of(obstacle, "until"),
        tuple(obstacle.jobs),
    )
