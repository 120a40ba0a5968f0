"""Celery on Redis with no-op jobs: the task, and as a program the client that measures it.

The client submits, says so (its worker is started then), waits until all results are there, makes round trips and
prints its figures as JSON.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import redis
from celery import Celery, group

URL = os.environ["PEER_REDIS"]
QUICK = os.environ.get("PEER_QUICK") == "1"
TEXT = "x" * 188
# A thread of Python each: more than these only wait for the interpreter.
MOST_THREADS = 64

app = Celery("peer", broker=URL, backend=URL)
app.conf.update(
    broker_pool_limit=MOST_THREADS,
    redis_max_connections=4 * MOST_THREADS,
    worker_send_task_events=False,
    result_expires=3600,
    broker_connection_retry_on_startup=True,
)


@app.task(name="noop")
def noop(text: str) -> None:
    """Does nothing."""


def rate(jobs: int, work: Callable[[], object]) -> float:
    """Jobs per second that `work` gets through."""
    started = time.perf_counter()
    work()
    return jobs / (time.perf_counter() - started)


def in_flight(width: int, jobs: int) -> None:
    """Single submits by so many threads."""
    with ThreadPoolExecutor(min(width, MOST_THREADS)) as threads:
        list(threads.map(lambda _: noop.apply_async((TEXT,)), range(jobs)))


def in_bulk(jobs: int) -> None:
    """Submits in groups of 500."""
    for _ in range(jobs // 500):
        group(noop.s(TEXT) for _ in range(500)).apply_async()


def drained(store: redis.Redis, jobs: int) -> float:
    """Results a second, from the first on until all are there."""

    def results() -> int:
        return sum(1 for _ in store.scan_iter("celery-task-meta-*", count=10_000))

    while (first := results()) == 0:
        time.sleep(0.02)
    started = time.perf_counter()
    while store.llen("celery") > 0:
        time.sleep(0.02)
    while results() < jobs:
        time.sleep(0.02)
    return (jobs - first) / (time.perf_counter() - started)


def round_trips(count: int) -> list[float]:
    """Milliseconds of each, sorted."""
    trips = []
    for _ in range(count):
        started = time.perf_counter()
        noop.apply_async((TEXT,)).get(timeout=30)
        trips.append((time.perf_counter() - started) * 1000)
    return sorted(trips)


def main() -> None:
    """Measures."""
    jobs = 1_000 if QUICK else 3_000
    in_flight(1, 100)
    figures = {
        "submit_inflight1_per_s": rate(500, lambda: in_flight(1, 500)),
        "submit_inflight64_per_s": rate(jobs, lambda: in_flight(64, jobs)),
        "submit_inflight1000_per_s": rate(jobs, lambda: in_flight(1000, jobs)),
        "submit_bulk_per_s": rate(jobs, lambda: in_bulk(jobs)),
    }
    print("submitted", flush=True)
    figures["drain_per_s"] = drained(redis.Redis.from_url(URL), 600 + 3 * jobs)
    round_trips(20)
    trips = round_trips(100 if QUICK else 300)
    figures["roundtrip_p50_ms"] = trips[len(trips) // 2]
    figures["roundtrip_p99_ms"] = trips[int(len(trips) * 0.99)]
    print("figures", json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
