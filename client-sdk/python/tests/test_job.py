"""A job as the broker tells it."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from drover.v1 import job_pb2, job_service_pb2

from drover_client import CancelOutcome, JobExists, JobNotFound, JobState, Payload, Submitted
from drover_client.answers import batch_item, cancellation, job_or_error
from drover_client.job import job_of, state_of


def test_a_job_that_waits_has_none_of_what_comes_later() -> None:
    job = job_of(job_pb2.Job(id="t~k", state=job_pb2.JOB_STATE_READY))
    assert (job.id, job.state, job.state.has_ended) == ("t~k", JobState.READY, False)
    assert (job.result, job.failure, job.progress, job.payload, job.started_at) == (None,) * 5
    assert job.history == ()


def test_a_job_that_failed_tells_how() -> None:
    wire = job_pb2.Job(state=job_pb2.JOB_STATE_FAILED, attempt=2)
    wire.failure.reason, wire.failure.type = job_pb2.FAILURE_REASON_TIME_LIMIT, "HardTimeLimitExceeded"
    wire.finished_at.FromJsonString("2026-01-02T03:04:05.678901234Z")
    first = wire.history.add(number=1, outcome=job_pb2.ATTEMPT_OUTCOME_CRASHED)
    first.started_at.FromJsonString("2026-01-02T03:04:00Z")
    job = job_of(wire)
    assert job.failure is not None
    assert (job.failure.reason, job.failure.type) == ("time_limit", "HardTimeLimitExceeded")
    assert job.finished_at == datetime(2026, 1, 2, 3, 4, 5, 678901, timezone.utc)
    assert (job.history[0].number, job.history[0].outcome, job.history[0].failure) == (1, "crashed", None)


@pytest.mark.parametrize(
    ("data", "content_type", "result"),
    [
        (b'{"n":9007199254740993}', "", {"n": 2**53 + 1}),
        (b"null", "application/json", None),
        (b"\x89", "image/png", Payload(b"\x89", "image/png")),
        (b"{broken", "", Payload(b"{broken", "")),
    ],
)
def test_result(data: bytes, content_type: str, result: object) -> None:
    wire = job_pb2.Job(result=job_pb2.Payload(data=data, content_type=content_type))
    assert job_of(wire).result == result


def test_progress_without_a_value_is_not_zero() -> None:
    progress = job_of(job_pb2.Job(progress=job_pb2.Progress(detail=b'{"step":2}'))).progress
    assert progress is not None
    assert (progress.value, progress.detail) == (None, {"step": 2})


@pytest.mark.parametrize("value", [0, 99])
def test_a_state_of_a_later_version_is_unknown(value: int) -> None:
    assert state_of(value) is JobState.UNKNOWN


def test_every_state_of_the_contract_has_its_name() -> None:
    known = {state_of(value) for value in job_pb2.JobState.values() if value}
    assert known == set(JobState) - {JobState.UNKNOWN}
    assert {state for state in JobState if state.has_ended} == {
        JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED
    }  # fmt: skip


def test_every_cancel_outcome_of_the_contract_has_its_name() -> None:
    outcomes = {
        cancellation(job_service_pb2.CancelResponse(outcome=value)).outcome
        for value in (*job_service_pb2.CancelOutcome.values(), 99)
    }
    assert outcomes == set(CancelOutcome)


SPEC = job_pb2.JobSpec(task="t", key="k")
STORED = job_service_pb2.SubmitResult(id="t~k", state=job_pb2.JOB_STATE_READY)
THERE = job_service_pb2.SubmitResult(id="t~k", deduplicated=True, state=job_pb2.JOB_STATE_RUNNING)
REFUSED = job_service_pb2.SubmitResult(
    error=job_pb2.ItemStatus(code=6, reason="JOB_EXISTS", message="is there")
)


@pytest.mark.parametrize(
    ("why", "result", "own_key", "expected"),
    [
        ("a new job", STORED, True, Submitted("t~k", False, JobState.READY)),
        ("a job that was there", THERE, False, Submitted("t~k", True, JobState.RUNNING)),
        ("our own first sending is no duplicate", THERE, True, Submitted("t~k", False, JobState.RUNNING)),
        ("our own first sending is no conflict", REFUSED, True, Submitted("t~k", False, JobState.UNKNOWN)),
    ],
)
def test_batch_item(
    why: str, result: job_service_pb2.SubmitResult, own_key: bool, expected: Submitted
) -> None:
    assert batch_item(SPEC, result, own_key) == expected, why


def test_an_item_that_was_refused_is_its_typed_error() -> None:
    error = batch_item(SPEC, REFUSED, own_key=False)
    assert isinstance(error, JobExists)
    assert (error.code, error.reason, str(error)) == ("ALREADY_EXISTS", "JOB_EXISTS", "is there")
    unknown = job_service_pb2.StatusResult(error=job_pb2.ItemStatus(code=5, reason="JOB_NOT_FOUND"))
    assert isinstance(job_or_error(unknown), JobNotFound)
