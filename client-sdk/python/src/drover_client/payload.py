"""Payloads and results as they are shown to who asks for them."""

from __future__ import annotations

from typing import Any

from drover.sdk import payload as wire
from drover.sdk.payload import Payload, encode
from drover.v1 import job_pb2

__all__ = ["Payload", "decode", "encode"]


def decode(payload: job_pb2.Payload) -> Any:
    """The JSON value (no data is None), or a `Payload` for everything else."""
    try:
        return wire.decode(payload)
    except ValueError:  # what was stored is shown as it is, not hidden behind an error
        return Payload(payload.data, payload.content_type)
