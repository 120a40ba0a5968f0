"""Fixtures, found by pytest as soon as drover-worker is installed. Nothing is started before a test asks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def drover_broker() -> Iterator[str]:
    """The address of a real broker with data of its own, one for the whole test run."""
    from .broker import BrokerProcess

    with BrokerProcess() as broker:
        yield broker.address


@pytest.fixture
def drover_worker(drover_broker: str) -> Iterator[Callable[..., Any]]:
    """`drover_worker(app, **settings)` runs a worker in this process until the test is over, attached when it
    returns."""
    from .running import running

    with contextlib.ExitStack() as workers:
        yield lambda app, **settings: workers.enter_context(
            running(app, **{"address": drover_broker, **settings})
        )
