"""The golden files of test/contract: what travels is the same in every language."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from drover.v1 import job_pb2
from running import ended, start

from drover_worker import Context, Permanent, Retry
from drover_worker.payload import encode

FOLDER = Path(__file__).parents[3] / "test/contract/golden"
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def golden(file: str, part: str) -> Any:
    """A parameter for each entry, by its name."""
    entries = json.loads((FOLDER / file).read_text(encoding="utf-8"))[part]
    return pytest.mark.parametrize("entry", [pytest.param(entry, id=entry["name"]) for entry in entries])


def exact(text: str | bytes) -> Any:
    """A JSON value with its numbers by value, whatever their form."""
    return json.loads(text, parse_int=Fraction, parse_float=Fraction)


async def outcome_of(handler: Any, payload: str) -> Any:
    _, heard = start(handler, payload.encode("utf-8", "surrogatepass"))
    return (await ended(heard)).outcomes[0]


@golden("payloads.json", "values")
async def test_a_value_comes_back_as_it_was(entry: dict[str, Any]) -> None:
    def echo(value: Any) -> Any:
        return value

    outcome = await outcome_of(echo, f'{{"value":{entry["text"]}}}')
    assert exact(outcome.success.result.data) == exact(entry["text"])


@golden("payloads.json", "timestamps")
async def test_a_point_in_time(entry: dict[str, Any]) -> None:
    at = EPOCH + timedelta(milliseconds=entry["unix_ms"])
    assert json.loads(encode(at).data) in entry["texts"]
    read: list[datetime] = []

    def note(at: datetime) -> None:
        read.append(at)

    for text in entry["texts"]:
        await outcome_of(note, json.dumps({"at": text}))
    assert read == [at] * len(entry["texts"])


@golden("payloads.json", "bytes")
async def test_bytes(entry: dict[str, Any]) -> None:
    plain = bytes.fromhex(entry["hex"])
    read: list[bytes] = []

    def note(data: bytes) -> dict[str, bytes]:
        read.append(data)
        return {"data": data}

    outcome = await outcome_of(note, json.dumps({"data": entry["base64"]}))
    assert (read, json.loads(outcome.success.result.data)) == ([plain], {"data": entry["base64"]})


@golden("payloads.json", "refused")
async def test_what_is_no_payload(entry: dict[str, Any]) -> None:
    outcome = await outcome_of(lambda value=None: value, entry["text"])
    assert outcome.failure.reason == job_pb2.FAILURE_REASON_PERMANENT


@golden("failures.json", "failures")
async def test_a_failure(entry: dict[str, Any]) -> None:
    message = entry.get("message", "")

    def fail() -> Any:
        match entry["handler"]:
            case "permanent":
                raise Permanent(message)
            case "retry":
                raise Retry(message, after=timedelta(milliseconds=entry["after_ms"]))
            case "unserialisable":
                return object()
        raise OSError(message)

    outcome = await outcome_of(fail, "{" if entry["handler"] == "payload_not_json" else "")
    failure = outcome.failure
    assert job_pb2.FailureReason.Name(failure.reason) == f"FAILURE_REASON_{entry['reason']}"
    if "message" in entry:
        assert failure.message == message
    told = failure.retry_after.ToMilliseconds() if failure.HasField("retry_after") else None
    assert told == entry.get("retry_after_ms")


@golden("progress.json", "progress")
async def test_progress(entry: dict[str, Any]) -> None:
    value, detail = entry.get("value"), entry.get("detail")

    def work(ctx: Context) -> None:
        ctx.progress(value, None if detail is None else json.loads(detail))

    _, heard = start(work)
    (told,) = (await ended(heard)).progress
    assert (told.value if told.HasField("value") else None) == value
    assert (exact(told.detail) if told.detail else None) == (None if detail is None else exact(detail))
