"""The golden files of test/contract: what travels is the same in every language."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from drover.v1 import job_pb2

from drover_client import Payload
from drover_client.job import job_of
from drover_client.payload import decode, encode

FOLDER = Path(__file__).parents[3] / "test/contract/golden"
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def golden(file: str, part: str) -> Any:
    """A parameter for each entry, by its name."""
    entries = json.loads((FOLDER / file).read_text(encoding="utf-8"))[part]
    return pytest.mark.parametrize("entry", [pytest.param(entry, id=entry["name"]) for entry in entries])


def exact(text: str | bytes) -> Any:
    """A JSON value with its numbers by value, whatever their form."""
    return json.loads(text, parse_int=Fraction, parse_float=Fraction)


@golden("payloads.json", "values")
def test_a_value_comes_back_as_it_was(entry: dict[str, Any]) -> None:
    data = entry["text"].encode("utf-8", "surrogatepass")
    assert exact(encode(decode(job_pb2.Payload(data=data))).data) == exact(entry["text"])


@golden("payloads.json", "timestamps")
def test_a_point_in_time(entry: dict[str, Any]) -> None:
    at = EPOCH + timedelta(milliseconds=entry["unix_ms"])
    assert json.loads(encode(at).data) in entry["texts"]


@golden("payloads.json", "bytes")
def test_bytes(entry: dict[str, Any]) -> None:
    assert json.loads(encode({"data": bytes.fromhex(entry["hex"])}).data) == {"data": entry["base64"]}


@golden("payloads.json", "refused")
def test_what_is_no_payload_is_shown_as_it_is(entry: dict[str, Any]) -> None:
    data = entry["text"].encode()
    assert decode(job_pb2.Payload(data=data)) == Payload(data, "")


@golden("progress.json", "progress")
def test_progress(entry: dict[str, Any]) -> None:
    value, detail = entry.get("value"), entry.get("detail")
    told = job_pb2.Progress(value=value, detail=b"" if detail is None else detail.encode())
    progress = job_of(job_pb2.Job(progress=told)).progress
    assert progress is not None
    assert progress.value == value
    assert progress.detail == (None if detail is None else json.loads(detail))
