"""Every setting: where it comes from and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from drover_worker import SettingsError
from drover_worker.settings import Settings, resolve


def test_defaults() -> None:
    settings = resolve({}, {}, env={})
    assert settings.addresses == ("localhost:50051",)
    assert settings.queues == {"default": 1}
    assert (settings.concurrency, settings.prefetch, settings.drain_timeout) == (8, 0, 20.0)
    assert ":" in settings.name


def test_the_command_wins_over_the_environment_which_wins_over_the_code() -> None:
    env = {"DROVER_CONCURRENCY": "2", "DROVER_QUEUES": "env"}
    settings = resolve(
        {"concurrency": 1, "queues": "code", "prefetch": 7}, {"concurrency": "3", "queues": None}, env=env
    )
    assert (settings.concurrency, settings.queues, settings.prefetch) == (3, {"env": 1}, 7)


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [
        ({"address": "a:1, b:2"}, "addresses", ("a:1", "b:2")),
        ({"address": ["a:1"]}, "addresses", ("a:1",)),
        ({"address": "[::1]:50051"}, "addresses", ("[::1]:50051",)),
        ({"queues": "high=3,low"}, "queues", {"high": 3, "low": 1}),
        ({"queues": ["a", "b"]}, "queues", {"a": 1, "b": 1}),
        ({"queues": {"a": 2}}, "queues", {"a": 2}),
        ({"drain_timeout": "0.5"}, "drain_timeout", 0.5),
        ({"log_level": "DEBUG"}, "log_level", "debug"),
        ({"worker_name": "me"}, "name", "me"),
    ],
)
def test_reads(given: dict[str, Any], field: str, value: Any) -> None:
    assert getattr(resolve(given, env={}), field) == value


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"address": "a:b"}, "address: 'a:b' is no host:port"),
        ({"address": ""}, "address: at least one host:port needed"),
        ({"queues": "a b"}, "queues: 'a b' is no queue name"),
        ({"queues": "a=101"}, "queues: must be a whole number from 1 to 100, not '101'"),
        ({"queues": {"a": 0}}, "queues: the weight of a must be 1 to 100, not 0"),
        ({"concurrency": 0}, "concurrency: must be a whole number from 1 to 10,000, not 0"),
        ({"concurrency": "many"}, "concurrency: must be a whole number from 1 to 10,000, not 'many'"),
        ({"drain_timeout": "-1"}, "drain_timeout: must be 0 to 86,400 seconds, not '-1'"),
        ({"log_level": "loud"}, "log_level: must be one of debug, info, warn, error, silent, not 'loud'"),
        ({"concurency": 1}, "concurency: unknown setting"),
    ],
)
def test_refuses(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        resolve(given, env={})
    assert problem in str(caught.value)


def test_every_mistake_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        resolve({"concurrency": 0, "prefetch": -1}, env={"DROVER_LOG_LEVEL": "loud"})
    assert len(str(caught.value).splitlines()) == 3


def test_credit_is_what_runs_and_what_waits_up_to_the_contracts_limit() -> None:
    assert Settings(concurrency=8, prefetch=4).credit == 12
    assert Settings(concurrency=10_000, prefetch=10_000).credit == 10_000
