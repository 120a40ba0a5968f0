"""Every setting of a worker: name, default, range, where it comes from. The only reader of the environment.

A setting given to the command or to `app.run()` wins over the environment, which wins over `App(...)`.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from drover.sdk.access import Metadata, Tls
from drover.sdk.addresses import DEFAULT_ADDRESS, addresses_of

from .log_events import FORMATS, LEVELS

NAME = re.compile(r"[A-Za-z0-9_.\-]{1,128}")
"""What a task or a queue may be called."""


class SettingsError(ValueError):
    """Lists every mistake at once, a line each."""


def _own_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"[-128:]


@dataclass(frozen=True)
class Settings:
    addresses: tuple[str, ...] = (DEFAULT_ADDRESS,)
    """Brokers, `host:port`; tried in turn."""
    queues: Mapping[str, int] = field(default_factory=lambda: {"default": 1})
    """Queue -> share among the worker's queues, 1 to 100."""
    concurrency: int = 8
    """Runs at a time, 1 to 10,000."""
    prefetch: int = 0
    """Leases taken beyond the concurrency, so that a place need not wait for the broker: 0 to 10,000. They
    wait here while other workers may be idle: worth it for many short jobs, wrong for long ones."""
    drain_timeout: float = 20.0
    """Seconds that running handlers get to finish when the worker stops, 0 to 86,400."""
    name: str = field(default_factory=_own_name)
    """For people, 1 to 128 characters."""
    log_level: str = "info"
    log_format: str = "auto"
    pool: str = "thread"
    """Where handlers run that do not say so: `thread` (async ones: the event loop) or `process`."""
    child_max_runs: int = 0
    """Runs after which a child process is replaced, up to 1,000,000; 0: any number."""
    child_max_megabytes: int = 0
    """Memory after a run above which a child process is replaced, up to 1,000,000; 0: any amount."""
    tls: Tls | bool = False
    metadata: Metadata | None = field(default=None, repr=False)
    """What each session carries, for example a token."""

    @property
    def credit(self) -> int:
        return min(self.concurrency + self.prefetch, 10_000)


def resolve(*sources: Mapping[str, Any], env: Mapping[str, str] | None = None) -> Settings:
    """Settings from `sources`, the later ones winning; `env` (the process's own by default) comes before
    the last. A value of None says nothing. Raises SettingsError."""
    environment = _from_environment(os.environ if env is None else env)
    *lower, upper = sources or ({},)
    chosen: dict[str, Any] = {}
    for source in (*lower, environment, upper):
        chosen.update({name: value for name, value in source.items() if value is not None})
    problems: list[str] = []
    values = {}
    for name, value in chosen.items():
        if name not in _READ:
            problems.append(f"{name}: unknown setting")
            continue
        field_name, read = _READ[name]
        try:
            values[field_name] = read(value)
        except (ValueError, TypeError) as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise SettingsError("\n".join(problems))
    return Settings(**values)


def _from_environment(env: Mapping[str, str]) -> dict[str, str]:
    found = {name: env.get(f"DROVER_{name.upper()}") for name in _READ if name != "metadata"}
    return {name: value for name, value in found.items() if value}


def _listed(value: str | Iterable[str]) -> list[str]:
    parts = value.split(",") if isinstance(value, str) else [*value]
    return [part.strip() for part in parts if part.strip()]


def _queues(value: str | Iterable[str] | Mapping[str, int]) -> dict[str, int]:
    if isinstance(value, Mapping):
        queues = {name: int(weight) for name, weight in value.items()}
    else:
        pairs = (entry.partition("=") for entry in _listed(value))
        queues = {name: _whole(1, 100)(weight) if equals else 1 for name, equals, weight in pairs}
    if not 1 <= len(queues) <= 100:
        raise ValueError("1 to 100 queues needed")
    for name, weight in queues.items():
        if not NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no queue name (1 to 128 characters of A-Za-z0-9_.-)")
        if not 1 <= weight <= 100:
            raise ValueError(f"the weight of {name} must be 1 to 100, not {weight}")
    return queues


def _whole(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        try:
            number = int(value)
        except (ValueError, TypeError):
            number = low - 1
        if isinstance(value, float) or not low <= number <= high:
            raise ValueError(f"must be a whole number from {low} to {high:,}, not {value!r}")
        return number

    return read


def _seconds(value: Any) -> float:
    try:
        number = float(value)
    except (ValueError, TypeError):
        number = -1.0
    if not 0 <= number <= 86_400:
        raise ValueError(f"must be 0 to 86,400 seconds, not {value!r}")
    return number


def _one_of(choices: Collection[str]) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if str(value).lower() not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}, not {value!r}")
        return str(value).lower()

    return read


def _name(value: Any) -> str:
    if not 1 <= len(str(value)) <= 128:
        raise ValueError("must have 1 to 128 characters")
    return str(value)


def _tls(value: Any) -> Tls | bool:
    if isinstance(value, (Tls, bool)):
        return value
    if str(value).lower() in ("true", "false"):
        return str(value).lower() == "true"
    raise ValueError(f"must be true, false or a Tls, not {value!r}")


# Setting as users write it -> field, parser. In the environment DROVER_<SETTING>.
_READ: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "address": ("addresses", addresses_of),
    "queues": ("queues", _queues),
    "concurrency": ("concurrency", _whole(1, 10_000)),
    "prefetch": ("prefetch", _whole(0, 10_000)),
    "drain_timeout": ("drain_timeout", _seconds),
    "worker_name": ("name", _name),
    "log_level": ("log_level", _one_of(LEVELS)),
    "log_format": ("log_format", _one_of(FORMATS)),
}

_READ |= {
    "pool": ("pool", _one_of(("thread", "process"))),
    "child_max_runs": ("child_max_runs", _whole(0, 1_000_000)),
    "child_max_megabytes": ("child_max_megabytes", _whole(0, 1_000_000)),
    "tls": ("tls", _tls),
    "metadata": ("metadata", lambda value: value),
}

assert {name for name, _ in _READ.values()} == {entry.name for entry in fields(Settings)}
