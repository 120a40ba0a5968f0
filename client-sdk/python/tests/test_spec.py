"""A job as its submitter describes it, on its way to the wire."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from drover.v1 import job_pb2

from drover_client import JobRequest, Payload, RetryPolicy
from drover_client.keys import new_key, uuid7


@dataclass
class Order:
    id: int
    placed: datetime


@pytest.mark.parametrize(
    ("payload", "data", "content_type"),
    [
        ({"a": 1}, b'{"a":1}', ""),
        ([1, "\u00fc"], '[1,"ü"]'.encode(), ""),
        (2**63, b"9223372036854775808", ""),
        (
            Order(1, datetime(2026, 1, 2, tzinfo=timezone.utc)),
            b'{"id":1,"placed":"2026-01-02T00:00:00Z"}',
            "",
        ),
        (Payload(b"\x00", "image/png"), b"\x00", "image/png"),
    ],
)
def test_payload(payload: Any, data: bytes, content_type: str) -> None:
    sent = JobRequest("t", payload).to_proto().payload
    assert (sent.data, sent.content_type) == (data, content_type)


def test_what_is_not_said_is_not_sent_so_that_the_broker_decides() -> None:
    spec = JobRequest("t", key="k").to_proto()
    assert spec == job_pb2.JobSpec(task="t", key="k")
    assert RetryPolicy().to_proto() == job_pb2.RetryPolicy()


def test_zero_is_said() -> None:
    spec = JobRequest(
        "t", priority=0, delay=0, result_retention=0, retry=RetryPolicy(max_crashes=0)
    ).to_proto()
    assert spec.HasField("priority")
    assert spec.HasField("delay")
    assert spec.HasField("result_retention")
    assert spec.retry.HasField("max_crashes")


def test_durations_are_seconds_or_timedeltas() -> None:
    spec = JobRequest("t", delay=1.5, soft_time_limit=timedelta(minutes=4), hard_time_limit=300).to_proto()
    assert (spec.delay.seconds, spec.delay.nanos) == (1, 500_000_000)
    assert (spec.soft_time_limit.seconds, spec.hard_time_limit.seconds) == (240, 300)


def test_a_point_in_time_keeps_its_zone() -> None:
    spec = JobRequest("t", run_at=datetime(2026, 7, 1, 12, 0, 0, 5, ZoneInfo("Europe/Berlin"))).to_proto()
    assert spec.run_at.ToJsonString() == "2026-07-01T10:00:00.000005Z"


@pytest.mark.parametrize("field", ["run_at", "start_by"])
def test_a_naive_datetime_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match=rf"{field} 2026-01-02T00:00:00 has no time zone"):
        JobRequest("t", **{field: datetime(2026, 1, 2)}).to_proto()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "soon"])
def test_a_delay_that_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"soon|delay must be a number"):
        JobRequest("t", delay=value).to_proto()


def test_an_empty_key_is_refused() -> None:
    with pytest.raises(ValueError, match="key must not be empty"):
        JobRequest("t", key="").to_proto()


def test_a_key_of_the_sdk_is_a_uuid_v7_that_sorts_by_time() -> None:
    early, late = uuid7(1_700_000_000_000, b"\xff" * 10), uuid7(1_700_000_000_001, b"\x00" * 10)
    assert early < late
    for key in (early, late, UUID(new_key())):
        assert (key.version, key.variant) == (7, "specified in RFC 4122")
    assert early.int >> 80 == 1_700_000_000_000
    assert len({new_key() for _ in range(1000)}) == 1000
