"""Payloads and results, with what is wrong with them told as this worker's errors."""

from __future__ import annotations

from typing import Any

from drover.sdk import payload as wire
from drover.v1 import job_pb2

from .errors import BindingError, ResultError


def decode(payload: job_pb2.Payload) -> Any:
    """The JSON value (no data is None), or a `Payload` of another content type. Raises BindingError for
    broken JSON."""
    try:
        return wire.decode(payload)
    except ValueError as error:
        raise BindingError(f"the payload is not valid JSON: {error}") from None


def encode(result: Any) -> job_pb2.Payload:
    """The result as it goes to the broker. Raises ResultError for what JSON cannot say."""
    try:
        return wire.encode(result)
    except (TypeError, ValueError, RecursionError) as error:
        raise ResultError(f"the result is no JSON value: {error}") from None
