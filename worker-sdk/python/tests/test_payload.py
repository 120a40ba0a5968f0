"""Payloads in, results out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from drover.v1 import job_pb2
from pydantic import BaseModel

from drover_worker import BindingError, Payload, ResultError
from drover_worker.payload import decode, encode


@dataclass
class Point:
    x: int
    at: datetime


class Model(BaseModel):
    day: date


class Colour(Enum):
    RED = "red"


NOON = datetime(2026, 1, 2, 12, tzinfo=timezone(timedelta(hours=1)))


@pytest.mark.parametrize(
    ("result", "data"),
    [
        (None, "null"),
        (True, "true"),
        (2**63 + 1, "9223372036854775809"),
        (1.5, "1.5"),
        ("ünï", '"ünï"'),
        ("\ud800", '"\\ud800"'),
        ((1, [2]), "[1,[2]]"),
        ({"a": {"b": None}}, '{"a":{"b":null}}'),
        (NOON, '"2026-01-02T11:00:00Z"'),
        (NOON.date(), '"2026-01-02"'),
        (b"\x00\x01", '"AAE="'),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (Decimal("1.10"), '"1.10"'),
        (Colour.RED, '"red"'),
        ({1}, "[1]"),
        (Point(1, NOON), '{"x":1,"at":"2026-01-02T11:00:00Z"}'),
        (Model(day=date(2026, 1, 2)), '{"day":"2026-01-02"}'),
    ],
)
def test_a_result_becomes_one_json_value(result: Any, data: str) -> None:
    assert encode(result) == job_pb2.Payload(data=data.encode())


def test_a_payload_passes_untouched() -> None:
    assert encode(Payload(b"\x89", "image/png")) == job_pb2.Payload(data=b"\x89", content_type="image/png")
    assert decode(job_pb2.Payload(data=b"\x89", content_type="image/png")) == Payload(b"\x89", "image/png")


@pytest.mark.parametrize("result", [object(), float("nan"), datetime(2026, 1, 2), {(1, 2): 3}])
def test_what_json_cannot_say_is_refused(result: Any) -> None:
    with pytest.raises(ResultError):
        encode(result)


def test_a_result_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ResultError):
        encode(loop)


@pytest.mark.parametrize(
    ("data", "content_type", "value"),
    [
        (b"", "", None),
        (b"null", "", None),
        (b'{"n":9007199254740993}', "application/json", {"n": 2**53 + 1}),
        (b"[]", "application/json; charset=utf-8", []),
    ],
)
def test_json_is_decoded(data: bytes, content_type: str, value: Any) -> None:
    assert decode(job_pb2.Payload(data=data, content_type=content_type)) == value


@pytest.mark.parametrize("data", [b"{", b"\xff\xfe\xfd", b"{'a': 1}"])
def test_broken_json_is_a_binding_error(data: bytes) -> None:
    with pytest.raises(BindingError, match="not valid JSON"):
        decode(job_pb2.Payload(data=data))
