"""What keeps a worker alive whatever its handlers do: processes, threads and loops of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import shop
from drover_client import Client, Dag, JobFailed, JobRequest, RetryPolicy, chain, chord, group, step, task_ref

pytestmark = pytest.mark.usefixtures("worker")
PATIENCE = 45
ONCE = RetryPolicy(max_attempts=1)


@task_ref("math.add")
def add(a: Any, b: int = 0) -> Any: ...


@pytest.mark.parametrize(
    ("task", "payload", "message"),
    [
        ("process.exit", {"code": 3}, "the process that ran the handler ended with exit code 3"),
        ("process.crash", None, "the process that ran the handler was killed by SIGSEGV"),
    ],
)
async def test_a_child_that_ends_fails_its_job_alone(
    client: Client, task: str, payload: Any, message: str
) -> None:
    job = await client.submit(task, payload, retry=ONCE)
    with pytest.raises(JobFailed) as failed:
        await job.result(PATIENCE)
    failure = failed.value.job.failure
    assert (failure.type, failure.message) == ("HandlerProcessEnded", message)
    assert await (await client.submit("process.thread_count")).result(PATIENCE) >= 1


async def test_what_a_forked_child_returns_is_not_the_jobs_result(client: Client) -> None:
    assert await (await client.submit("process.fork")).result(PATIENCE) == "the parent's"
    assert await (await client.submit("process.fork")).result(PATIENCE) == "the parent's"


async def test_children_are_kept_and_replaced_after_n_runs_or_above_so_many_megabytes(
    client: Client, own_worker: Callable[..., Any]
) -> None:
    async def pids(queue: str, count: int) -> list[int]:
        found = []
        for _ in range(count):
            job = await client.submit("process.pid", queue=queue)
            found.append(await job.result(PATIENCE))
        return found

    own_worker("kept", concurrency=1)
    assert len(set(await pids("kept", 3))) == 1
    own_worker("replaced", concurrency=1, child_max_runs=2)
    first, second, third, fourth = await pids("replaced", 4)
    assert (first == second, third == fourth, first == third) == (True, True, False)
    own_worker("grown", concurrency=1, child_max_megabytes=1)
    assert len(set(await pids("grown", 3))) == 3


async def test_progress_reaches_the_job_from_a_child(client: Client) -> None:
    job = await client.submit("process.pid")
    seen = [told async for told in job.watch()]
    assert seen[-1].result > 0


async def test_handlers_that_hog_the_interpreter_and_the_loop_lose_no_lease(
    client: Client, own_worker: Callable[..., Any]
) -> None:
    own_worker("hogs", concurrency=2)
    # Longer than a broker waits for a sign of life.
    tasks = ("limits.cpu", "limits.never_yields")
    jobs = [await client.submit(task, {"seconds": 17}, queue="hogs") for task in tasks]
    assert await asyncio.gather(*(job.result(PATIENCE + 30) for job in jobs)) == ["burnt", "at last"]
    for job in jobs:
        status = await job.status()
        assert (status.attempt, status.crashes) == (1, 0)


async def test_inputs_beyond_what_a_lease_carries_are_read_in_pages(client: Client) -> None:
    header = [step("math.large", {"letter": letter}) for letter in "abcdefghijklmnopqrst"]
    flow = await client.submit_flow(chord(header, step("math.lengths")))
    assert await flow.result(PATIENCE) == [200_000] * 20


async def test_a_step_sees_the_failures_that_the_flow_went_on_after(client: Client) -> None:
    header = [add.s(1), step("rules.permanent", on_failure="continue")]
    flow = await client.submit_flow(chord(header, step("math.inputs")))
    assert await flow.result(PATIENCE) == [["succeeded", 1, None], ["failed", None, "Gone"]]


@pytest.mark.parametrize(
    ("node", "results"),
    [
        (chain(group([add.s(1), add.s(2)]), step("math.count")), [{"count": 2, "type": "list"}]),
        (chain(group([add.s(1)]), step("math.count")), [{"count": 1, "type": "list"}]),
        (chain(add.s(1), group([add.s(b=1), add.s(b=2)])), [2, 3]),
        (group([chain(add.s(1), add.s(b=1)), add.s(5)]), [2, 5]),
        (chain(chord([add.s(1), add.s(2)], step("math.total")), add.s(b=10)), [13]),
    ],
)
async def test_flows_nest(client: Client, node: Any, results: Any) -> None:
    flow = await client.submit_flow(node)
    assert await flow.results(PATIENCE) == results


async def test_any_graph(client: Client) -> None:
    dag = Dag()
    first, second = dag.add(add.s(1)), dag.add(add.s(2))
    both = dag.add(step("math.total"), after=[first, second])
    dag.add(add.s(b=100), after=[both])
    dag.add(add.s(b=10), after=[first])
    flow = await client.submit_flow(dag, key="a-graph", name="graph", labels={"who": "test"})
    assert await flow.results(PATIENCE) == [103, 11]
    status = await client.flow("a-graph").status()
    assert (status.name, status.labels, status.counts.succeeded) == ("graph", {"who": "test"}, 5)
    assert (await client.submit_flow(dag, key="a-graph")).key == "a-graph"


async def test_a_flow_is_cancelled_and_redriven(client: Client, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    flow = await client.submit_flow(chain(step("gate.wait", {"gate": str(gate)}), add.s(b="!")))
    told = await flow.cancel("not now")
    assert told.cancelled + told.requested == 2
    assert (await flow.wait(PATIENCE)).state.value == "cancelled"
    gate.touch()
    assert await flow.redrive() == 2
    assert await flow.result(PATIENCE) == "opened!"


async def test_an_unserialisable_result_and_a_none(client: Client) -> None:
    bad = await client.submit("bad.result", retry=ONCE)
    with pytest.raises(JobFailed) as failed:
        await bad.result(PATIENCE)
    assert failed.value.job.failure.type == "ResultError"
    assert await (await client.submit("bad.nothing")).result(PATIENCE) is None


async def test_many_submits_at_once(client: Client) -> None:
    jobs = await client.submit_batch([JobRequest("math.add", {"a": n}) for n in range(500)])
    waited = await client.wait([job.id for job in jobs], PATIENCE)  # type: ignore[union-attr]
    assert [job.result for job in waited.jobs] == list(range(500))  # type: ignore[union-attr]


async def test_the_worker_ran_its_hooks(client: Client) -> None:
    assert "started" in shop.events
