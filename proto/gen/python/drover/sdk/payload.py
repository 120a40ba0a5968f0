"""Payloads and results: one JSON value, or bytes of another content type that pass through untouched."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Set
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from drover.v1 import job_pb2


@dataclass(frozen=True)
class Payload:
    """Bytes and their media type: a payload, or a handler's result, that is not JSON."""

    data: bytes
    content_type: str = "application/octet-stream"


def decode(payload: job_pb2.Payload) -> Any:
    """The JSON value (no data is None), or a `Payload` of another content type. Raises ValueError for broken
    JSON."""
    media_type = payload.content_type.partition(";")[0].strip().lower()
    if media_type not in ("", "application/json"):
        return Payload(payload.data, payload.content_type)
    return json.loads(payload.data) if payload.data else None


def encode(value: Any) -> job_pb2.Payload:
    """Raises TypeError, ValueError or RecursionError for what has no JSON form (NaN, naive datetimes)."""
    if isinstance(value, Payload):
        return job_pb2.Payload(data=value.data, content_type=value.content_type)
    return job_pb2.Payload(data=json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """Compact UTF-8 JSON. Raises what `encode` does."""
    text = json.dumps(value, default=_plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:  # a lone surrogate: JSON can say it as an escape only
        return json.dumps(value, default=_plain, allow_nan=False, separators=(",", ":")).encode()


def _plain(value: Any) -> Any:
    """The JSON form of what `json` does not know, the same in every SDK: RFC 3339 in UTC, base64, text."""
    match value:
        case datetime():
            if value.tzinfo is None:
                raise ValueError(f"datetime {value.isoformat()} has no time zone")
            return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case bytes() | bytearray() | memoryview():
            return base64.b64encode(bytes(value)).decode()
        case UUID() | Decimal():
            return str(value)
        case Enum():
            return value.value
        case Mapping():
            return dict(value)
        case Set():
            return list(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if hasattr(value, "model_dump"):  # pydantic, which need not be installed
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__qualname__} has no JSON form")
