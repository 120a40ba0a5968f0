"""Seconds, timedeltas and protobuf durations."""

from __future__ import annotations

import math
from datetime import timedelta

from google.protobuf.duration_pb2 import Duration

MAX_DELAY = timedelta(days=30).total_seconds()
"""Longest wait before a next run, in seconds."""


def seconds_of(value: float | timedelta) -> float:
    return value.total_seconds() if isinstance(value, timedelta) else float(value)


def in_range(name: str, value: float | timedelta, maximum: float) -> float:
    """`value` in seconds. Raises ValueError unless it lies within 0 to `maximum` seconds."""
    seconds = seconds_of(value)
    if not (math.isfinite(seconds) and 0 <= seconds <= maximum):
        raise ValueError(f"{name} must be 0 to {maximum:.0f} seconds, not {value!r}")
    return seconds


def duration(seconds: float) -> Duration:
    whole, nanos = divmod(round(seconds * 1_000_000_000), 1_000_000_000)
    return Duration(seconds=whole, nanos=nanos)


def seconds_in(value: Duration) -> float:
    return float(value.seconds) + float(value.nanos) / 1e9
