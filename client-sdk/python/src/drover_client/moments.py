"""Between Python's times and protobuf's."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def duration(name: str, value: float | timedelta) -> Duration:
    """Seconds or a timedelta. Raises ValueError for what is no number of seconds."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if not abs(seconds) < 1e11:  # also false for nan
        raise ValueError(f"{name} must be a number of seconds, not {value!r}")
    whole, nanos = divmod(round(seconds * 1_000_000_000), 1_000_000_000)
    if whole < 0 and nanos:  # protobuf wants both of one sign
        whole, nanos = whole + 1, nanos - 1_000_000_000
    return Duration(seconds=whole, nanos=nanos)


def timestamp(name: str, value: datetime) -> Timestamp:
    """Raises ValueError for a naive datetime: it names no point in time."""
    if value.tzinfo is None or value.utcoffset() is None:
        raise ValueError(
            f"{name} {value.isoformat()} has no time zone; say which one is meant, "
            "for example datetime.now(timezone.utc) or .replace(tzinfo=ZoneInfo('Europe/Berlin'))"
        )
    microseconds = (value - EPOCH) // timedelta(microseconds=1)
    seconds, rest = divmod(microseconds, 1_000_000)
    return Timestamp(seconds=seconds, nanos=rest * 1000)


def seconds_in(value: Duration) -> float:
    return float(value.seconds) + float(value.nanos) / 1e9


def datetime_in(value: Timestamp) -> datetime:
    """In UTC, to the microsecond."""
    return EPOCH + timedelta(seconds=value.seconds, microseconds=value.nanos // 1000)
