from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import shop
from drover_client import Client
from drover_worker.testing import running


@pytest.fixture(scope="session")
def worker(drover_broker: str) -> Iterator[Any]:
    """One for all tests that do not ask for their own."""
    with running(
        shop.app, address=drover_broker, queues="default,urgent,reports", concurrency=50, worker_name="parity"
    ) as worker:
        yield worker


@pytest.fixture
async def client(drover_broker: str) -> AsyncIterator[Client]:
    async with Client(drover_broker) as client:
        yield client


@pytest.fixture
def own_worker(drover_worker: Callable[..., Any]) -> Callable[..., Any]:
    """A worker on queues of its own: `own_worker("queue", concurrency=1)`."""
    return lambda queues, **settings: drover_worker(shop.app, queues=queues, **settings)
