"""Structured log events. Each record's message is the event's name; its fields are attributes of the
record, so any formatter can show them. Payloads and results are never logged."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime, timezone
from typing import Any

# The words are the broker's: one environment may speak to both.
LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "silent": logging.CRITICAL + 1,
}
FORMATS = ("auto", "text", "json")
"""auto = text on a terminal, JSON otherwise."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

log = logging.getLogger("drover.worker")


def event(level: int, name: str, exc_info: BaseException | None = None, **fields: Any) -> None:
    """Logs event `name` with its fields as `drover.worker`."""
    if log.isEnabledFor(level):
        log.log(level, name, exc_info=exc_info, extra={"event": name, **fields})


def configure(level: str, fmt: str) -> None:
    """Sends all logging to stderr at `level` (one of LEVELS) in `fmt` (one of FORMATS)."""
    handler = logging.StreamHandler(sys.stderr)
    as_json = fmt == "json" or (fmt == "auto" and not sys.stderr.isatty())
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(LEVELS[level])


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """What was passed as `extra`."""
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _time_of(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, then the fields."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _time_of(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **fields_of(record),
        }
        if record.exc_info:
            line["stack"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """`time LEVEL logger message name=value ...`"""

    def format(self, record: logging.LogRecord) -> str:
        fields = fields_of(record)
        fields.pop("event", None)
        told = "".join(f" {name}={_shown(value)}" for name, value in fields.items())
        line = f"{_time_of(record)} {record.levelname:<7} {record.name} {record.getMessage()}{told}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _shown(value: Any) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if not text or any(c in text for c in ' "=\n') else text
