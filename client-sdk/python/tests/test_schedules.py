"""Schedules and limits as they go to the broker."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from drover.v1 import schedule_service_pb2

from drover_client import Debounce, JobRequest, Rate, RunLimits, Schedule, Unique, step

JOB = step("t", {"a": 1})


def test_a_rule_its_zone_and_its_policies() -> None:
    made = Schedule("s", JOB, cron="0 9 * * *", time_zone="Europe/Berlin", overlap="skip", misfire="catch_up")
    wire = made.to_proto()
    assert (wire.cron, wire.time_zone, wire.job.task, wire.job.key) == ("0 9 * * *", "Europe/Berlin", "t", "")
    assert wire.overlap == schedule_service_pb2.OVERLAP_POLICY_SKIP
    assert wire.misfire == schedule_service_pb2.MISFIRE_POLICY_CATCH_UP
    every = Schedule("s", JobRequest("t"), interval=timedelta(minutes=1), jitter=0.5).to_proto()
    assert (every.interval.seconds, every.jitter.nanos) == (60, 500_000_000)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "either cron or interval"),
        ({"cron": "@daily", "interval": 5}, "either cron or interval"),
        ({"interval": 5, "start_at": datetime(2030, 1, 1)}, "no time zone"),
    ],
)
def test_a_schedule_without_sense_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Schedule("s", JOB, **options).to_proto()


def test_a_schedules_job_has_no_key_of_its_own() -> None:
    with pytest.raises(ValueError, match="keys of their own"):
        Schedule("s", step("t", key="k"), interval=5).to_proto()


def test_limits_and_uniqueness() -> None:
    limits = RunLimits(rate=Rate(10, per=60), concurrency=5).to_proto()
    assert (limits.rate.count, limits.rate.period.seconds, limits.concurrency) == (10, 60, 5)
    assert not RunLimits().to_proto().HasField("rate")
    request = JobRequest("t", key="k", debounce=Debounce(5, max_wait=60), concurrency_key="c")
    spec = request.to_proto()
    assert (spec.debounce.wait.seconds, spec.debounce.max_wait.seconds, spec.concurrency_key) == (5, 60, "c")
    assert JobRequest("t", unique=Unique("u", 60)).to_proto().unique.period.seconds == 60
