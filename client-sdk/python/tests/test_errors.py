"""Errors of calls, as types."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from drover_client import (
    BrokerError,
    DroverError,
    FieldViolation,
    InvalidArgument,
    JobExists,
    JobNotFound,
    JobState,
    Overloaded,
    Unavailable,
    WaitTimeout,
)
from drover_client.errors import error_of_call


def call_error(code: grpc.StatusCode, *details: Message, message: str = "no") -> grpc.aio.AioRpcError:
    packed = []
    for detail in details:
        packed.append(Packed())
        packed[-1].Pack(detail)
    status = status_pb2.Status(code=code.value[0], message=message, details=packed)
    trailer = grpc.aio.Metadata(("grpc-status-details-bin", status.SerializeToString()))
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailer, details=message)


def info(reason: str, domain: str = "drover.dev") -> error_details_pb2.ErrorInfo:
    return error_details_pb2.ErrorInfo(reason=reason, domain=domain)


Code = grpc.StatusCode


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (Code.INVALID_ARGUMENT, "INVALID_ARGUMENT", InvalidArgument),
        (Code.NOT_FOUND, "JOB_NOT_FOUND", JobNotFound),
        (Code.ALREADY_EXISTS, "JOB_EXISTS", JobExists),
        (Code.RESOURCE_EXHAUSTED, "STORAGE_FULL", Overloaded),
        (Code.UNAVAILABLE, "STORE_UNAVAILABLE", Unavailable),
        (Code.DEADLINE_EXCEEDED, "", Unavailable),
        (Code.FAILED_PRECONDITION, "NOT_FAILED", BrokerError),
        (Code.INTERNAL, "SOMETHING_NEW", BrokerError),
    ],
)
def test_type(code: grpc.StatusCode, reason: str, kind: type[BrokerError]) -> None:
    error = error_of_call(call_error(code, info(reason)))
    assert type(error) is kind
    assert isinstance(error, DroverError)
    assert (error.code, error.reason) == (code.name, reason)


def test_the_fields_that_were_wrong_are_named() -> None:
    bad = error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(field="job.priority", description="0 to 9, not 10")
        ]
    )
    error = error_of_call(call_error(Code.INVALID_ARGUMENT, info("INVALID_ARGUMENT"), bad, message="bad job"))
    assert error.fields == (FieldViolation("job.priority", "0 to 9, not 10"),)
    assert str(error) == "bad job (job.priority: 0 to 9, not 10)"


def test_the_time_after_which_a_retry_may_help_is_told() -> None:
    retry = error_details_pb2.RetryInfo(retry_delay=Duration(seconds=1, nanos=500_000_000))
    assert error_of_call(call_error(Code.UNAVAILABLE, retry)).retry_after == 1.5


def test_a_reason_of_another_domain_is_not_ours() -> None:
    assert error_of_call(call_error(Code.UNAVAILABLE, info("X", "proxy.example"))).reason == ""


def test_a_trailer_nobody_can_read_does_not_hide_the_error() -> None:
    trailer = grpc.aio.Metadata(("grpc-status-details-bin", b"\xff\xff\xff"))
    error = error_of_call(
        grpc.aio.AioRpcError(Code.UNAVAILABLE, grpc.aio.Metadata(), trailer, details="gone")
    )
    assert (type(error), str(error), error.reason) == (Unavailable, "gone", "")


def test_a_wait_that_timed_out_is_a_timeout_error_with_the_jobs_id() -> None:
    error = WaitTimeout("t~k", JobState.RUNNING)
    assert isinstance(error, TimeoutError)
    assert (error.id, str(error)) == ("t~k", "job t~k is still running")
