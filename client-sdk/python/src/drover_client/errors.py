"""What can go wrong, as types. Everything here is a DroverError."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from drover.sdk.access import explained
from drover.v1 import job_pb2
from google.rpc import error_details_pb2, status_pb2

from .moments import seconds_in

if TYPE_CHECKING:
    from .flows import FlowMember, FlowStatus
    from .job import Job, JobState

DOMAIN = "drover.dev"
_DETAILS = "grpc-status-details-bin"


class DroverError(Exception):
    """The base of all."""


@dataclass(frozen=True)
class FieldViolation:
    field: str
    """Path in the request, for example `job.retry.max_attempts`."""
    description: str


class BrokerError(DroverError):
    """A call that the broker refused, or that did not reach one."""

    def __init__(
        self,
        message: str,
        *,
        code: str,
        reason: str = "",
        fields: Iterable[FieldViolation] = (),
        retry_after: float | None = None,
    ) -> None:
        self.fields = tuple(fields)
        """What was wrong, where the broker named fields."""
        told = "; ".join(f"{field.field}: {field.description}" for field in self.fields)
        super().__init__(f"{message} ({told})" if told and told not in message else message)
        self.code = code
        """gRPC's name, for example `INVALID_ARGUMENT`."""
        self.reason = reason
        """Drover's reason, for example `JOB_NOT_FOUND`; empty where the call did not reach a broker."""
        self.retry_after = retry_after
        """Seconds after which a retry may help, if the broker said so."""


class InvalidArgument(BrokerError):
    """Something is over a limit or malformed; see `fields`."""


class JobNotFound(BrokerError):
    """Never submitted, or its record aged out."""


class FlowNotFound(BrokerError):
    """Never submitted, or aged out."""


class QueueNotFound(BrokerError):
    """Nothing was ever submitted to it."""


class JobExists(BrokerError):
    """The task has a job of that key, and on_conflict said to reject. After a lost connection that may be
    the job of this very submit: its first sending may have arrived."""


class Overloaded(BrokerError):
    """Storage full, too many writes waiting, or too many lanes; see `reason` and `retry_after`."""


class Unavailable(BrokerError):
    """No broker, or no store behind it, could be reached for as long as the client retries."""


class JobFailed(DroverError):
    """The job whose result was waited for has failed; `job.failure` says how."""

    def __init__(self, job: Job) -> None:
        failure = job.failure
        told = f": {failure.type}: {failure.message} ({failure.reason})" if failure else ""
        super().__init__(f"job {job.id} failed{told}")
        self.job = job


class JobCancelled(DroverError):
    """The job whose result was waited for was cancelled."""

    def __init__(self, job: Job) -> None:
        super().__init__(f"job {job.id} was cancelled")
        self.job = job


class WaitTimeout(DroverError, TimeoutError):
    """The time to wait was over. The job goes on; `id` is there to ask again."""

    def __init__(self, id: str, state: JobState) -> None:
        super().__init__(f"job {id} is still {state.value}")
        self.id = id
        self.state = state


class FlowFailed(DroverError):
    """The flow whose results were waited for has failed or was cancelled. `outcomes` tells for each of its
    last members what it came to: partial success is told apart there."""

    def __init__(self, flow: FlowStatus, outcomes: Sequence[FlowMember]) -> None:
        failure = flow.failure
        where = "" if flow.failed_member is None else f" at member {flow.failed_member}"
        told = f": {failure.type}: {failure.message} ({failure.reason})" if failure else ""
        super().__init__(f"flow {flow.key} {flow.state.value}{where}{told}")
        self.flow = flow
        self.outcomes = tuple(outcomes)


class FlowTimeout(DroverError, TimeoutError):
    """The time to wait was over. The flow goes on; `key` is there to ask again."""

    def __init__(self, key: str) -> None:
        super().__init__(f"flow {key} is still running")
        self.key = key


_BY_REASON: dict[str, type[BrokerError]] = {
    "JOB_NOT_FOUND": JobNotFound,
    "JOB_EXISTS": JobExists,
    "FLOW_NOT_FOUND": FlowNotFound,
    "QUEUE_NOT_FOUND": QueueNotFound,
}
_BY_CODE: dict[str, type[BrokerError]] = {
    "INVALID_ARGUMENT": InvalidArgument,
    "RESOURCE_EXHAUSTED": Overloaded,
    "UNAVAILABLE": Unavailable,
    # Only ever of our own making, for an attempt that got no answer: the contract has no such error.
    "DEADLINE_EXCEEDED": Unavailable,
}


def _type_for(reason: str, code: str) -> type[BrokerError]:
    return _BY_REASON.get(reason) or _BY_CODE.get(code) or BrokerError


def error_of_call(error: grpc.aio.AioRpcError) -> BrokerError:
    """From a failed call and the google.rpc.Status in its trailer."""
    code = error.code().name
    reason, fields, retry_after = "", [], None
    for detail in _details(error):
        if isinstance(detail, error_details_pb2.ErrorInfo) and detail.domain == DOMAIN:
            reason = detail.reason
        elif isinstance(detail, error_details_pb2.BadRequest):
            fields = [FieldViolation(entry.field, entry.description) for entry in detail.field_violations]
        elif isinstance(detail, error_details_pb2.RetryInfo):
            retry_after = seconds_in(detail.retry_delay)
    made = _type_for(reason, code)
    message = explained(error.details() or code)
    return made(message, code=code, reason=reason, fields=fields, retry_after=retry_after)


def no_answer(seconds: float) -> Unavailable:
    """Of our own making, for what got no answer in time."""
    return Unavailable(f"no answer within {seconds:g} s", code="DEADLINE_EXCEEDED")


def error_of_item(status: job_pb2.ItemStatus) -> BrokerError:
    """From one item of a batch."""
    code = next((entry.name for entry in grpc.StatusCode if entry.value[0] == status.code), "UNKNOWN")
    made = _type_for(status.reason, code)
    return made(status.message or status.reason or code, code=code, reason=status.reason)


def _details(error: grpc.aio.AioRpcError) -> Iterable[Any]:
    for name, value in error.trailing_metadata() or ():
        if name != _DETAILS:
            continue
        try:
            status = status_pb2.Status.FromString(value)
        except Exception:  # a trailer nobody can read must not hide the error that it came with
            return
        for packed in status.details:
            for kind in (
                error_details_pb2.ErrorInfo,
                error_details_pb2.BadRequest,
                error_details_pb2.RetryInfo,
            ):
                if packed.Is(kind.DESCRIPTOR):
                    detail = kind()
                    if packed.Unpack(detail):
                        yield detail
