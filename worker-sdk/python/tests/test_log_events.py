"""How log events are written."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from drover_worker.log_events import JsonFormatter, TextFormatter


def record(**extra: object) -> logging.LogRecord:
    return logging.makeLogRecord(
        {
            "name": "drover.worker",
            "levelno": 20,
            "levelname": "INFO",
            "msg": "task_started",
            "created": 0.5,
            **extra,
        }
    )


@pytest.mark.parametrize(
    ("extra", "line"),
    [
        ({}, "1970-01-01T00:00:00.500Z INFO    drover.worker task_started"),
        ({"event": "task_started", "job_id": "t~k"}, "… task_started job_id=t~k"),
        ({"error": 'a "b"\nc', "empty": ""}, r'… task_started error="a \"b\"\nc" empty=""'),
    ],
)
def test_text_is_one_line_of_names_and_values(extra: dict[str, object], line: str) -> None:
    assert TextFormatter().format(record(**extra)).endswith(line.removeprefix("…"))


def test_json_is_one_object_a_line() -> None:
    line = JsonFormatter().format(record(event="task_started", job_id="t~k", attempt=1, odd=object))
    assert "\n" not in line
    told = json.loads(line)
    assert (told["time"], told["level"], told["job_id"], told["attempt"]) == (
        "1970-01-01T00:00:00.500Z", "info", "t~k", 1
    )  # fmt: skip


def test_a_stack_is_told_with_its_event() -> None:
    try:
        raise ValueError("no")
    except ValueError:
        info = sys.exc_info()
    assert "ValueError: no" in json.loads(JsonFormatter().format(record(exc_info=info)))["stack"]
    assert "ValueError: no" in TextFormatter().format(record(exc_info=info))
