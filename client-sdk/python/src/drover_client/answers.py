"""What the client's calls answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from drover.v1 import job_pb2, job_service_pb2

from .errors import BrokerError, JobExists, error_of_item
from .job import Job, JobState, job_of, name_of, state_of


@dataclass(frozen=True)
class Submitted:
    id: str
    """`<task>~<key>`, fit for a URL path as it is."""
    deduplicated: bool
    """The task had a job of that key already; nothing was stored."""
    state: JobState


class CancelOutcome(str, Enum):
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"
    """It waited and will not run."""
    REQUESTED = "requested"
    """It runs; its worker is told."""
    ALREADY_FINISHED = "already_finished"


@dataclass(frozen=True)
class Cancellation:
    outcome: CancelOutcome
    previous_state: JobState
    """What it was when the cancel arrived."""


@dataclass(frozen=True)
class WaitResult:
    jobs: Sequence[Job | BrokerError]
    """In the order of the ids; an error (JobNotFound) in the place of a job nobody knows."""
    done: bool
    """What was waited for has come; otherwise the time was over."""


def submitted(
    answer: job_service_pb2.SubmitResponse | job_service_pb2.SubmitResult, own_key: bool
) -> Submitted:
    """`own_key`: the SDK made the key, so that a job of that key can only be this one, sent twice."""
    return Submitted(answer.id, answer.deduplicated and not own_key, state_of(answer.state))


def batch_item(
    spec: job_pb2.JobSpec, result: job_service_pb2.SubmitResult, own_key: bool
) -> Submitted | BrokerError:
    if not result.HasField("error"):
        return submitted(result, own_key)
    error = error_of_item(result.error)
    if own_key and isinstance(error, JobExists):  # sent twice
        return Submitted(f"{spec.task}~{spec.key}", False, JobState.UNKNOWN)
    return error


def cancellation(answer: job_service_pb2.CancelResponse) -> Cancellation:
    outcome = name_of(job_service_pb2.CancelOutcome, answer.outcome, "CANCEL_OUTCOME_", "unknown")
    return Cancellation(CancelOutcome(outcome), state_of(answer.previous_state))


def job_or_error(result: job_service_pb2.StatusResult) -> Job | BrokerError:
    return error_of_item(result.error) if result.HasField("error") else job_of(result.job)
