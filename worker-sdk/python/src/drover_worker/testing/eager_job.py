"""A job that ran where it was submitted, and what can be asked of it: all that a client's handle can be
asked, with answers of the same shape, without needing the client's package."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, NoReturn


class EagerState(str, Enum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"

    @property
    def has_ended(self) -> bool:
        return True


class EagerRefusal(Exception):
    """What a broker would refuse, for the same reason; a client raises BrokerError then."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        """NOT_FAILED or NOT_WAITING."""


@dataclass(frozen=True)
class EagerFailure:
    reason: str
    """`error` or `permanent`."""
    type: str
    message: str
    stack: str = field(default="", repr=False)


@dataclass(frozen=True)
class EagerProgress:
    value: float | None
    detail: Any
    reported_at: datetime | None


@dataclass(frozen=True)
class EagerAttempt:
    number: int
    worker: str
    started_at: datetime | None
    ended_at: datetime | None
    outcome: str
    """`succeeded`, `failed`, `released` or `snoozed`."""
    failure: EagerFailure | None


@dataclass(frozen=True)
class EagerStatus:
    """The fields of drover_client's Job."""

    id: str
    task: str
    key: str
    queue: str
    priority: int
    state: EagerState
    attempt: int
    failures: int
    submitted_at: datetime
    started_at: datetime
    finished_at: datetime
    payload: Any
    result: Any
    failure: EagerFailure | None
    progress: EagerProgress | None
    history: tuple[EagerAttempt, ...]
    labels: Mapping[str, str]
    headers: Mapping[str, str]
    crashes: int = 0
    due_at: datetime | None = None
    worker: str = "eager"
    cancel_requested: bool = False
    revision: int = 1


@dataclass(frozen=True)
class EagerCancellation:
    outcome: str
    """`already_finished`."""
    previous_state: EagerState


@dataclass(frozen=True)
class EagerExplanation:
    state: EagerState
    obstacles: tuple[()]
    earliest_start: None
    summary: str


@dataclass(frozen=True)
class EagerEnd:
    """How a job ended."""

    status: EagerStatus
    error: BaseException | None
    """What its handler raised last."""
    delays: tuple[float, ...]
    progress: tuple[tuple[float | None, Any], ...]


@dataclass
class EagerRecord:
    """What all handles of a job share."""

    end: EagerEnd
    run_again: Callable[[EagerStatus], EagerEnd]


class EagerJob:
    """A job that ended at its submit."""

    def __init__(self, record: EagerRecord, deduplicated: bool) -> None:
        self._record = record
        self.deduplicated = deduplicated
        """The task had a job of that key already; nothing was run."""

    @property
    def _end(self) -> EagerEnd:
        return self._record.end

    @property
    def id(self) -> str:
        return self._end.status.id

    @property
    def state(self) -> EagerState:
        return self._end.status.state

    @property
    def attempt(self) -> int:
        """Number of its last run."""
        return self._end.status.attempt

    @property
    def value(self) -> Any:
        """The result as JSON has it, None unless it succeeded."""
        return self._end.status.result

    @property
    def error(self) -> BaseException | None:
        return self._end.error

    @property
    def delays(self) -> tuple[float, ...]:
        """Seconds that it would have waited before its second run, its third ..."""
        return self._end.delays

    @property
    def progress(self) -> tuple[tuple[float | None, Any], ...]:
        return self._end.progress

    def result(self, timeout: float | timedelta | None = None) -> Any:
        """As a real handle's; raises the handler's own error."""
        if self.error is not None:
            raise self.error
        return self.value

    def status(self, *, include_payload: bool = False) -> EagerStatus:
        status = self._end.status
        return status if include_payload else replace(status, payload=None)

    def watch(self) -> Iterator[EagerStatus]:
        """The end: there is nothing else to be seen."""
        yield self.status()

    def cancel(self, reason: str = "") -> EagerCancellation:
        return EagerCancellation("already_finished", self.state)

    def redrive(self) -> EagerStatus:
        """Runs a failed job again, its failures at zero, and returns how it ended then. Raises EagerRefusal
        for one that has not failed."""
        if self.state is not EagerState.FAILED:
            self._refuse("NOT_FAILED", "only a FAILED job can be redriven")
        self._record.end = self._record.run_again(self._end.status)
        return self.status()

    def explain(self) -> EagerExplanation:
        return EagerExplanation(self.state, (), None, f"{self.id} has ended: {self.state.name}")

    def move(self, *, queue: str | None = None, priority: int | None = None) -> NoReturn:
        """Raises EagerRefusal: it does not wait."""
        self._refuse("NOT_WAITING", "only a job that waits can be moved")

    def _refuse(self, reason: str, why: str) -> NoReturn:
        raise EagerRefusal(reason, f"{self.id} is {self.state.name}: {why}")
