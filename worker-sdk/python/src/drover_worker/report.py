"""What the end of a run means for its job: the one place where that is decided."""

from __future__ import annotations

from dataclasses import dataclass

from drover.v1 import job_pb2, worker_service_pb2

from .cancellation import CancelReason
from .durations import duration
from .errors import BindingError, Permanent, Release, ResultError, Retry, Snooze, SoftTimeLimitExceeded
from .failure_text import message_of, stack_of, type_name

MAX_RESULT = 256 * 1024
"""Bytes; the contract's limit of a result."""


@dataclass(frozen=True)
class Returned:
    result: job_pb2.Payload


@dataclass(frozen=True)
class Raised:
    error: BaseException


@dataclass(frozen=True)
class Decided:
    """A run in another process, which has decided there."""

    outcome: worker_service_pb2.Outcome


End = Returned | Raised | Decided


@dataclass(frozen=True)
class ErrorRules:
    """Which exceptions end a job for good."""

    permanent: tuple[type[BaseException], ...] = ()
    retried: tuple[type[BaseException], ...] | None = None
    """If given, only these run again; all others are permanent."""

    def is_permanent(self, error: BaseException) -> bool:
        if isinstance(error, (Permanent, BindingError, ResultError, *self.permanent)):
            return True
        # A soft time limit says nothing about the error's kind: the job's retry policy decides.
        plain = not isinstance(error, (Retry, SoftTimeLimitExceeded))
        return plain and self.retried is not None and not isinstance(error, self.retried)


def report_of(
    end: End, cancelled: CancelReason | None, rules: ErrorRules
) -> worker_service_pb2.Outcome | None:
    """The outcome to report, without its lease; None when the attempt is over and nothing counts any more."""
    if cancelled in (CancelReason.TIME_LIMIT, CancelReason.LEASE_LOST):
        return None
    if isinstance(end, Decided):
        failed = end.outcome.HasField("failure")
        return cancelled_report() if failed and cancelled is CancelReason.REQUESTED else end.outcome
    if isinstance(end, Returned):
        return worker_service_pb2.Outcome(success=worker_service_pb2.Success(result=_bounded(end.result)))
    if cancelled is CancelReason.REQUESTED:
        return cancelled_report()
    match end.error:
        case Snooze():
            return worker_service_pb2.Outcome(
                snooze=worker_service_pb2.Snooze(delay=duration(end.error.delay))
            )
        case Release():
            return release_report()
        case Retry() | Permanent():
            pass
        case _ if cancelled is CancelReason.SHUTDOWN:
            # Told to stop it failed: by far the most likely cause is the telling, so the job pays no penalty.
            return release_report()
    return failure_report(end.error, rules)


def failure_report(error: BaseException, rules: ErrorRules = ErrorRules()) -> worker_service_pb2.Outcome:
    shown = error
    if isinstance(error, (Retry, Permanent)) and error.__cause__ is not None:
        shown = error.__cause__
    failure = worker_service_pb2.FailureReport(
        reason=job_pb2.FAILURE_REASON_ERROR,
        type=type_name(shown),
        message=message_of(error) or message_of(shown),
        stack=stack_of(error),
    )
    if isinstance(error, Retry):
        failure.retry_after.CopyFrom(duration(error.after))
    elif rules.is_permanent(error):
        failure.reason = job_pb2.FAILURE_REASON_PERMANENT
    return worker_service_pb2.Outcome(failure=failure)


def time_limit_report(limit: float) -> worker_service_pb2.Outcome:
    """For a run over its hard time limit of so many seconds."""
    return worker_service_pb2.Outcome(
        failure=worker_service_pb2.FailureReport(
            reason=job_pb2.FAILURE_REASON_TIME_LIMIT,
            type="HardTimeLimitExceeded",
            message=f"hard time limit of {limit:g} s exceeded",
        )
    )


def process_ended_report(how: str) -> worker_service_pb2.Outcome:
    """For a run whose child process ended under it."""
    return worker_service_pb2.Outcome(
        failure=worker_service_pb2.FailureReport(
            reason=job_pb2.FAILURE_REASON_ERROR,
            type="HandlerProcessEnded",
            message=f"the process that ran the handler {how}",
        )
    )


def release_report() -> worker_service_pb2.Outcome:
    return worker_service_pb2.Outcome(release=worker_service_pb2.Release())


def cancelled_report() -> worker_service_pb2.Outcome:
    return worker_service_pb2.Outcome(cancelled=worker_service_pb2.Cancelled())


def _bounded(result: job_pb2.Payload) -> job_pb2.Payload:
    """A result over the limit makes the broker fail the job as RESULT_TOO_LARGE, whatever is in it. One
    byte too many says that as well as a gigabyte, and the gigabyte would break the session's stream."""
    if len(result.data) <= MAX_RESULT:
        return result
    return job_pb2.Payload(data=result.data[: MAX_RESULT + 1], content_type=result.content_type)
