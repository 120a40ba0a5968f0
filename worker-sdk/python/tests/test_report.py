"""What the end of a run means for its job."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from drover.v1 import job_pb2

from drover_worker import (
    BindingError,
    CancelReason,
    JobCancelled,
    Permanent,
    Release,
    ResultError,
    Retry,
    Snooze,
    SoftTimeLimitExceeded,
)
from drover_worker.failure_text import cut_end, cut_middle
from drover_worker.report import MAX_RESULT, ErrorRules, Raised, Returned, report_of

DONE = Returned(job_pb2.Payload(data=b"1"))
BROKE = Raised(ValueError("no"))
STOPPED = Raised(asyncio.CancelledError())
REQUESTED, SHUTDOWN, SOFT = CancelReason.REQUESTED, CancelReason.SHUTDOWN, CancelReason.SOFT_TIME_LIMIT


@pytest.mark.parametrize(
    ("why", "end", "cancelled", "report"),
    [
        ("returning is success", DONE, None, "success"),
        ("an error is a failure", BROKE, None, "failure"),
        ("a cancellation nobody asked for is a failure", STOPPED, None, "failure"),
        ("snooze is put off", Raised(Snooze(5)), None, "snooze"),
        ("release is given back", Raised(Release()), None, "release"),
        ("returning after a cancel is success", DONE, REQUESTED, "success"),
        ("an error after a cancel is cancelled", BROKE, REQUESTED, "cancelled"),
        ("being cancelled is cancelled", STOPPED, REQUESTED, "cancelled"),
        ("saying so is cancelled", Raised(JobCancelled()), REQUESTED, "cancelled"),
        ("a cancelled job is not put off", Raised(Snooze(5)), REQUESTED, "cancelled"),
        ("returning after the soft limit is success", DONE, SOFT, "success"),
        ("the soft limit uncaught is a failure", Raised(SoftTimeLimitExceeded()), SOFT, "failure"),
        ("finishing while the worker stops is success", DONE, SHUTDOWN, "success"),
        ("being stopped is no penalty", STOPPED, SHUTDOWN, "release"),
        ("an error on being stopped is no penalty", BROKE, SHUTDOWN, "release"),
        ("a permanent error counts even then", Raised(Permanent("no")), SHUTDOWN, "failure"),
        ("snooze counts even then", Raised(Snooze(5)), SHUTDOWN, "snooze"),
        ("after the hard limit nothing counts", DONE, CancelReason.TIME_LIMIT, None),
        ("after a lost lease nothing counts", DONE, CancelReason.LEASE_LOST, None),
    ],
)
def test_report(why: str, end: Returned | Raised, cancelled: CancelReason | None, report: str | None) -> None:
    outcome = report_of(end, cancelled, ErrorRules())
    assert (outcome.WhichOneof("report") if outcome else None) == report, why


ERROR, PERMANENT = job_pb2.FAILURE_REASON_ERROR, job_pb2.FAILURE_REASON_PERMANENT


@pytest.mark.parametrize(
    ("error", "reason", "type_name", "message"),
    [
        (ValueError("bad"), ERROR, "ValueError", "bad"),
        (KeyError("k"), PERMANENT, "KeyError", "'k'"),  # a LookupError, which the task calls permanent
        (Permanent("gone"), PERMANENT, "Permanent", "gone"),
        (BindingError("missing"), PERMANENT, "BindingError", "missing"),
        (ResultError("nan"), PERMANENT, "ResultError", "nan"),
        (Retry("later", after=1), ERROR, "Retry", "later"),
        (SystemExit(3), ERROR, "SystemExit", "3"),
    ],
)
def test_failure(error: BaseException, reason: Any, type_name: str, message: str) -> None:
    outcome = report_of(Raised(error), None, ErrorRules((LookupError,)))
    assert outcome is not None
    failure = outcome.failure
    assert (failure.reason, failure.type, failure.message) == (reason, type_name, message)


@pytest.mark.parametrize(
    ("error", "message"), [(Retry(after=5), "timed out"), (Permanent("user gone"), "user gone")]
)
def test_raised_from_another_error_the_failure_shows_that_one(error: Exception, message: str) -> None:
    error.__cause__ = TimeoutError("timed out")
    outcome = report_of(Raised(error), None, ErrorRules())
    assert outcome is not None
    assert (outcome.failure.type, outcome.failure.message) == ("TimeoutError", message)
    assert "direct cause" in outcome.failure.stack


def test_retry_after_and_snooze_carry_their_time() -> None:
    retry = report_of(Raised(Retry(after=timedelta(minutes=5, milliseconds=1))), None, ErrorRules())
    snooze = report_of(Raised(Snooze(0.25)), None, ErrorRules())
    assert retry is not None
    assert snooze is not None
    assert (retry.failure.retry_after.seconds, retry.failure.retry_after.nanos) == (300, 1_000_000)
    assert (snooze.snooze.delay.seconds, snooze.snooze.delay.nanos) == (0, 250_000_000)


@pytest.mark.parametrize("seconds", [-1, 30 * 86_400 + 1, float("nan"), float("inf")])
def test_a_wait_out_of_range_is_refused_where_it_is_made(seconds: float) -> None:
    with pytest.raises(ValueError, match="after must be 0 to 2592000 seconds"):
        Retry(after=seconds)


def test_a_result_over_the_limit_is_one_byte_over_it_on_the_wire() -> None:
    outcome = report_of(Returned(job_pb2.Payload(data=b"x" * 10_000_000)), None, ErrorRules())
    assert outcome is not None
    assert len(outcome.success.result.data) == MAX_RESULT + 1


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def test_an_error_that_cannot_be_printed_is_reported_all_the_same() -> None:
    outcome = report_of(Raised(Unprintable()), None, ErrorRules())
    assert outcome is not None
    assert outcome.failure.type == "Unprintable"
    assert "RuntimeError" in outcome.failure.message


@pytest.mark.parametrize(
    ("text", "limit"),
    [("a" * 100, 20), ("ü" * 100, 20), ("ü" * 100, 21), ("\ud800" * 50, 20), ("😀" * 30, 23)],
)
def test_cut_text_fits_its_limit_and_is_valid(text: str, limit: int) -> None:
    for cut in (cut_end(text, limit), cut_middle(text, limit)):
        assert len(cut.encode()) <= limit
        assert "[...]" in cut


def test_a_long_stack_keeps_its_begin_and_its_end() -> None:
    cut = cut_middle("begin" + "x" * 10_000 + "end", 1000)
    assert cut.startswith("begin")
    assert cut.endswith("end")
