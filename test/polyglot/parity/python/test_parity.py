"""What a Celery user does, row by row, against a real broker: the row's number is in each test's name."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import shop
from drover_client import (
    BrokerError,
    Client,
    FlowFailed,
    JobFailed,
    JobNotFound,
    JobRequest,
    JobState,
    ObstacleKind,
    Rate,
    RetryPolicy,
    Route,
    RunLimits,
    Schedule,
    WaitTimeout,
    chain,
    chord,
    group,
    step,
    sync,
    task_ref,
)
from drover_client.schedules import Schedules
from drover_worker import App, Context
from drover_worker.testing import BrokerProcess, EagerClient

pytestmark = pytest.mark.usefixtures("worker")
PATIENCE = 45
"""Seconds for whatever is waited for: machines may be busy."""
NO_WAIT = RetryPolicy(max_attempts=4, initial_delay=0, jitter=0)


@task_ref("users.process")
def process_user(user_id: int, greeting: str = "hello") -> dict[str, Any]: ...


@task_ref("math.add")
def add(a: Any, b: int = 0) -> Any: ...


@task_ref("math.total")
def total(numbers: list[int], base: int = 0) -> int: ...


async def until(what: str, found: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        value = found()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        await asyncio.sleep(0.02)
    raise AssertionError(f"waited in vain for {what}")


async def test_01_simple_task(client: Client) -> None:
    job = await client.submit("users.process", {"user_id": 7})
    assert await job.result(PATIENCE) == {"user": 7, "said": "hello"}
    typed = await client.submit(process_user.call(8, greeting="hi"))
    assert await typed.result(PATIENCE) == {"user": 8, "said": "hi"}
    assert shop.process_user(9) == {"user": 9, "said": "hello"}
    with pytest.raises(TypeError, match="user_id"):
        process_user.call()  # type: ignore[call-arg]


async def test_02_async_tasks_run_together_with_resources_closed_whatever_happens(client: Client) -> None:
    jobs = [await client.submit("many.wait", {"seconds": 0.5}) for _ in range(8)]
    assert max(await asyncio.gather(*(job.result(PATIENCE) for job in jobs))) > 1
    assert shop.events[0] == "started"
    good = await client.submit("users.load", {"user_id": 1})
    assert await good.result(PATIENCE) == f"1 by session of {good.id}"
    bad = await client.submit("users.load", {"user_id": -1})
    with pytest.raises(JobFailed):
        await bad.result(PATIENCE)
    for job in (good, bad):
        assert [event for event in shop.events if job.id in event] == [f"opened {job.id}", f"closed {job.id}"]
    assert await (await client.submit("users.files")).result(PATIENCE) == "/tmp/folder"


async def test_03_submit_from_a_web_route_is_safe_to_repeat(client: Client, drover_broker: str) -> None:
    first = await client.submit("users.process", {"user_id": 1}, key="order-1")
    again = await client.submit("users.process", {"user_id": 1}, key="order-1")
    assert (again.id, again.deduplicated) == (first.id, True)
    with sync.Client(drover_broker) as flask:  # a handler that knows no asyncio
        job = await asyncio.to_thread(flask.submit, "users.process", {"user_id": 2})
        assert (await asyncio.to_thread(job.result, PATIENCE))["user"] == 2


async def test_04_status_endpoint(client: Client, drover_broker: str) -> None:
    job = await client.submit("users.process", {"user_id": 1})
    assert quote(job.id, safe="") == job.id
    await job.result(PATIENCE)
    async with Client(drover_broker) as elsewhere:
        status = await elsewhere.status(job.id)
    assert (status.state, status.result["user"], status.attempt) == (JobState.SUCCEEDED, 1, 1)
    assert status.submitted_at <= status.started_at <= status.finished_at
    with pytest.raises(JobNotFound):
        await client.status("users.process~nobody")


@pytest.mark.parametrize("task", ["users.labels", "process.labels"])
async def test_04_the_labels_of_a_submit_are_told_by_its_status_and_to_its_handler(
    client: Client, task: str
) -> None:
    labels = {"tenant": "acme", "region": "eu"}
    job = await client.submit(task, labels=labels)
    assert (await job.status()).labels == labels
    assert await job.result(PATIENCE) == labels


async def test_05_progress_is_seen_by_status_and_watch(client: Client, tmp_path: Path) -> None:
    job = await client.submit("gate.wait", {"gate": str(tmp_path / "gate")})
    seen = []
    async for told in job.watch():
        seen.append(told)
        if told.progress is not None and not told.state.has_ended:
            assert (told.progress.value, told.progress.detail) == (0.5, {"step": "half"})
            (tmp_path / "gate").touch()
    assert seen[-1].result == "opened"
    assert any(told.progress for told in seen)


async def test_06_automatic_retry(client: Client) -> None:
    job = await client.submit("flaky.fail", {"failures": 3}, retry=NO_WAIT)
    assert await job.result(PATIENCE) == 4
    spent = await client.submit("flaky.fail", {"failures": 9}, retry=NO_WAIT)
    with pytest.raises(JobFailed) as failed:
        await spent.result(PATIENCE)
    assert (failed.value.job.failures, failed.value.job.failure.type) == (4, "ConnectionError")


async def test_06_a_failed_job_is_redriven(client: Client, drover_broker: str, tmp_path: Path) -> None:
    mended = tmp_path / "mended"
    job = await client.submit("files.read", {"path": str(mended)}, retry=RetryPolicy(max_attempts=1))
    with pytest.raises(JobFailed):
        await job.result(PATIENCE)
    again = await job.redrive()
    assert (again.id, again.state, again.failures) == (job.id, JobState.READY, 0)
    with pytest.raises(JobFailed):
        await job.result(PATIENCE)
    mended.write_text("it is there")
    with sync.Client(drover_broker) as flask:
        await asyncio.to_thread(flask.redrive, job.id)
    assert await job.result(PATIENCE) == "it is there"
    with pytest.raises(BrokerError) as refused:
        await job.redrive()
    assert refused.value.reason == "NOT_FAILED"


async def test_07_exponential_backoff_to_the_second(client: Client) -> None:
    policy = RetryPolicy(max_attempts=4, initial_delay=60, factor=2, jitter=0)
    job = await client.submit("flaky.fail", {"failures": 9}, retry=policy)
    status = await until("the first failure", lambda: _retrying(client, job.id))
    assert abs((status.due_at - status.history[-1].ended_at) - timedelta(seconds=60)) < timedelta(seconds=1)
    await job.cancel()
    assert EagerClient(shop.app).submit("flaky.fail", {"failures": 9}, retry=policy).delays == (60, 120, 240)


async def test_08_temporary_error_overrides_the_delay(client: Client) -> None:
    job = await client.submit("flaky.later", retry=NO_WAIT)
    status = await until("the first failure", lambda: _retrying(client, job.id))
    assert abs((status.due_at - status.history[-1].ended_at) - timedelta(seconds=300)) < timedelta(seconds=1)
    await job.cancel()


async def _retrying(client: Client, id: str) -> Any:
    status = await client.status(id)
    return status if status.state is JobState.RETRYING and status.history else None


@pytest.mark.parametrize(
    ("task", "payload", "type_name"),
    [("rules.permanent", None, "Gone"), ("rules.retried", {"kind": "other"}, "RuntimeError")],
)
async def test_09_permanent_error(client: Client, task: str, payload: Any, type_name: str) -> None:
    job = await client.submit(task, payload, retry=NO_WAIT)
    with pytest.raises(JobFailed) as failed:
        await job.result(PATIENCE)
    failure, failures = failed.value.job.failure, failed.value.job.failures
    assert (failure.reason, failure.type, failures) == ("permanent", type_name, 1)
    assert failure.message
    assert "Traceback" in failure.stack


async def test_09_an_error_that_the_rules_retry(client: Client) -> None:
    job = await client.submit("rules.retried", {"kind": "connection"}, retry=NO_WAIT)
    with pytest.raises(JobFailed) as failed:
        await job.result(PATIENCE)
    assert failed.value.job.failures == 4


async def test_10_countdown(client: Client) -> None:
    later = await client.submit("users.process", {"user_id": 1}, delay=3600)
    assert (await later.status()).state is JobState.SCHEDULED
    job = await client.submit("users.process", {"user_id": 1}, delay=0.5)
    await job.result(PATIENCE)
    status = await job.status()
    assert status.started_at - status.submitted_at >= timedelta(seconds=0.5)


async def test_11_eta(client: Client) -> None:
    eta = datetime.now(timezone(timedelta(hours=2))) + timedelta(seconds=0.5)
    job = await client.submit("users.process", {"user_id": 1}, run_at=eta)
    await job.result(PATIENCE)
    assert (await job.status()).started_at >= eta - timedelta(milliseconds=1)
    with pytest.raises(ValueError, match="time zone"):
        await client.submit("users.process", {"user_id": 1}, run_at=datetime(2030, 1, 1))


CRONS = {
    "daily": ("0 9 * * *", "2030-01-01T08:00:00Z"),
    "half-hourly": ("*/30 * * * *", "2030-01-01T00:30:00Z"),
    "mondays": ("0 8 * * mon", "2030-01-07T07:00:00Z"),
    "midnight": ("@midnight", "2030-01-01T23:00:00Z"),
}


@pytest.fixture
def schedules(client: Client) -> Schedules:
    return client.schedules


async def test_12_periodic_by_cron(client: Client, schedules: Schedules) -> None:
    # Half a minute past midnight in Berlin is an hour earlier in UTC.
    start = datetime(2030, 1, 1, 0, 0, 30, tzinfo=timezone.utc)
    crons = [
        Schedule(
            f"p-{name}",
            step("users.process", {"user_id": 1}),
            cron=cron,
            time_zone="Europe/Berlin",
            start_at=start,
        )
        for name, (cron, _) in CRONS.items()
    ]
    declared = await schedules.put("parity", crons)
    assert sorted(declared.added) == sorted(f"p-{name}" for name in CRONS)
    assert sorted((await schedules.put("parity", crons)).unchanged) == sorted(declared.added)
    for name, (_, first) in CRONS.items():
        status = await schedules.get(f"p-{name}")
        assert status.next_at == datetime.fromisoformat(first.replace("Z", "+00:00")), name
    job = await schedules.trigger("p-daily")
    assert (await client.result(job, PATIENCE))["user"] == 1
    removed = await schedules.put("parity", [], remove_undeclared=True)
    assert sorted(removed.undeclared) == sorted(declared.added)
    assert await schedules.list(owner="parity") == []


async def test_13_periodic_by_interval(client: Client, schedules: Schedules) -> None:
    await schedules.put("parity-13", [Schedule("p-tick", step("users.process", {"user_id": 3}), interval=1)])

    async def fired() -> Any:
        firings = (await schedules.get("p-tick")).firings
        return firings if len(firings) >= 2 else None

    firings = await until("two firings", fired)
    assert (await client.result(firings[-1].job_id, PATIENCE))["user"] == 3
    assert firings[0].planned_at - firings[1].planned_at == timedelta(seconds=1)
    await schedules.delete("p-tick")


async def test_14_priority_and_15_queue(client: Client, own_worker: Callable[..., Any]) -> None:
    shop.order.clear()
    # Submitted before there is a worker: what it runs first is the priority's doing.
    for priority in (0, 5, 9):
        await client.submit("order.note", {"name": str(priority)}, queue="parity-order", priority=priority)
    own_worker("parity-order", concurrency=1)
    await until("all three", lambda: len(shop.order) == 3)
    assert shop.order == ["9", "5", "0"]


async def test_16_routes(client: Client) -> None:
    await client.routes.put("parity", [Route(name="parity-r", task="users.*", queue="reports", priority=8)])
    try:
        routed = await client.submit("users.process", {"user_id": 1})
        explicit = await client.submit("users.process", {"user_id": 1}, queue="urgent")
        status = await routed.status()
        assert (status.queue, status.priority) == ("reports", 8)
        assert (await explicit.status()).queue == "urgent"
        assert [route.name for route in await client.routes.list()] == ["parity-r"]
    finally:
        await client.routes.put("parity", [])


async def test_17_fire_and_forget(client: Client) -> None:
    job = await client.submit("users.process", {"user_id": 1}, key="forget", result_retention=0)
    waited = await client.wait([job.id], PATIENCE)
    assert waited.done
    status = await job.status()
    assert (status.state, status.result) == (JobState.SUCCEEDED, None)
    assert (await client.submit("users.process", {"user_id": 1}, key="forget")).deduplicated


async def test_18_wait_for_a_result_with_a_timeout(client: Client, tmp_path: Path) -> None:
    job = await client.submit("gate.wait", {"gate": str(tmp_path / "gate")})
    with pytest.raises(WaitTimeout) as late:
        await job.result(timeout=0.2)
    assert late.value.id == job.id
    (tmp_path / "gate").touch()
    assert await client.result(late.value.id, PATIENCE) == "opened"


async def test_19_chain(client: Client) -> None:
    flow = await client.submit_flow(chain(add.s(1, b=2), add.s(b=10), add.s(b=100)))
    assert await flow.result(PATIENCE) == 113
    broken = await client.submit_flow(chain(add.s(1), step("rules.permanent"), add.s(b=1)))
    with pytest.raises(FlowFailed) as failed:
        await broken.result(PATIENCE)
    assert (failed.value.flow.failed_member, failed.value.flow.failure.type) == (1, "Gone")


async def test_20_group(client: Client) -> None:
    flow = await client.submit_flow(group(add.s(n, b=1) for n in range(10)))
    assert await flow.results(PATIENCE) == list(range(1, 11))
    partly = await client.submit_flow(
        group([add.s(1), step("rules.permanent", on_failure="skip_dependents"), add.s(3)])
    )
    with pytest.raises(FlowFailed) as failed:
        await partly.results(PATIENCE)
    assert [outcome.state.value for outcome in failed.value.outcomes] == ["succeeded", "failed", "succeeded"]
    assert [outcome.result for outcome in failed.value.outcomes] == [1, None, 3]


@pytest.mark.parametrize("size", [1, 5])
async def test_21_chord(client: Client, size: int) -> None:
    flow = await client.submit_flow(chord([add.s(n) for n in range(size)], total.s(base=1000)))
    assert await flow.result(PATIENCE) == 1000 + sum(range(size))
    callbacks = [member for member in await flow.members() if member.depends_on]
    assert len(callbacks) == 1


async def test_22_unit_test_by_a_call() -> None:
    assert shop.flaky(0, Context(attempt=3)) == 3
    assert await shop.load_user(1, "a session") == "1 by a session"


async def test_23_integration_test(drover_broker: str, drover_worker: Callable[..., Any]) -> None:
    app = App()
    ran_in: list[int] = []
    app.task("own.note")(lambda: ran_in.append(os.getpid()))
    with BrokerProcess() as broker:
        assert broker.address != drover_broker
        drover_worker(app, address=broker.address)
        async with Client(broker.address, retry_for=0) as client:
            await (await client.submit("own.note")).result(PATIENCE)
            assert ran_in == [os.getpid()]
            broker.stop()
            with pytest.raises(BrokerError):
                await client.submit("own.note")


async def test_24_eager() -> None:
    eager = EagerClient(shop.app)
    assert eager.submit("users.process", {"user_id": 1}).result() == {"user": 1, "said": "hello"}
    assert eager.submit("users.load", {"user_id": 1}, key="k").result() == "1 by session of users.load~k"
    retried = eager.submit("flaky.fail", {"failures": 2})
    assert (retried.result(), retried.delays) == (3, (1, 2))
    gone = eager.submit("rules.permanent")
    assert (gone.state, gone.attempt) == ("failed", 1)
    with pytest.raises(shop.Gone):
        gone.result()
    assert eager.submit("flaky.later").delays == (300,)


async def test_25_structured_logs(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="drover.worker")
    good = await client.submit("users.process", {"user_id": 1})
    bad = await client.submit("rules.permanent")
    await client.wait([good.id, bad.id], PATIENCE)

    def told(id: str) -> list[str]:
        return [record.event for record in caplog.records if getattr(record, "job_id", "") == id]

    await until("the logs", lambda: len(told(good.id)) == len(told(bad.id)) == 2)
    assert told(good.id) == ["task_started", "task_completed"]
    assert told(bad.id) == ["task_started", "task_failed"]
    ends = [record for record in caplog.records if record.event in ("task_completed", "task_failed")]
    assert all(record.duration_ms >= 0 and record.attempt == 1 and record.task for record in ends)


@pytest.mark.parametrize("task", ["limits.async", "process.soft", "process.soft_async"])
async def test_26_soft_time_limit_is_an_exception_in_the_task(client: Client, task: str) -> None:
    job = await client.submit(task, soft_time_limit=0.5, hard_time_limit=60)
    assert await job.result(PATIENCE) == "cleaned up"


async def test_27_hard_time_limit_kills(client: Client, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"

    async def begun_and_ended() -> bool:
        """The limit counts from the lease: on a busy machine it may be over before the handler begins."""
        job = await client.submit(
            "process.deaf", {"pid_file": str(pid_file)}, hard_time_limit=2, retry=RetryPolicy(max_attempts=1)
        )
        with pytest.raises(JobFailed) as failed:
            await job.result(PATIENCE)
        assert failed.value.job.failure.reason == "time_limit"
        return pid_file.exists() and pid_file.read_text() != ""

    await until("a handler that had begun", begun_and_ended)
    await until("the process to be gone", lambda: not _alive(int(pid_file.read_text())))


async def test_27_a_handler_that_never_yields_is_fenced_off(
    client: Client, own_worker: Callable[..., Any], tmp_path: Path
) -> None:
    own_worker("parity-deaf")

    async def told_by_the_worker() -> bool:
        gate = tmp_path / str(time.monotonic_ns())
        job = await client.submit(
            "limits.blocks",
            {"gate": str(gate)},
            queue="parity-deaf",
            hard_time_limit=0.5,
            retry=RetryPolicy(max_attempts=1),
        )
        with pytest.raises(JobFailed) as failed:
            await job.result(PATIENCE)
        gate.touch()  # so it was told while the loop was blocked
        assert failed.value.job.failure.reason == "time_limit"
        return failed.value.job.failure.message == "hard time limit of 0.5 s exceeded"

    # Where a machine holds the worker up for two seconds more the broker ends the run by itself.
    await until("the worker to tell", told_by_the_worker)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] == "Z")


async def test_28_rate_limit(client: Client) -> None:
    await client.limits.set_task("limits.rated", RunLimits(rate=Rate(4, per=1)))
    try:
        jobs = [await client.submit("limits.rated") for _ in range(5)]
        await asyncio.gather(*(job.result(PATIENCE) for job in jobs))
        starts = sorted([(await job.status()).started_at for job in jobs])
        assert starts[-1] - starts[0] >= timedelta(seconds=0.9)
    finally:
        await client.limits.set_task("limits.rated", RunLimits())


async def test_30_inspect_active_and_31_registered(client: Client, tmp_path: Path) -> None:
    job = await client.submit("gate.wait", {"gate": str(tmp_path / "gate")})

    async def active() -> Any:
        return next((entry for entry in await client.inspect.active() if entry.job_id == job.id), None)

    entry = await until("it to run", active)
    assert (entry.worker, entry.attempt) == ("parity", 1)
    assert abs(datetime.now(timezone.utc) - entry.started_at) < timedelta(minutes=1)
    tasks = {entry.task: entry for entry in await client.inspect.registered()}
    assert "parity" in tasks["users.process"].workers
    assert "parity" in [worker.name for worker in await client.inspect.workers()]
    (tmp_path / "gate").touch()
    await job.result(PATIENCE)


async def test_31_a_job_that_waits_says_why_and_is_moved(client: Client, drover_broker: str) -> None:
    job = await client.submit("nobody.serves", {}, queue="far", delay=3600)
    explained = await job.explain()
    assert [obstacle.kind for obstacle in explained.obstacles] == [
        ObstacleKind.NO_WORKER,
        ObstacleKind.NOT_DUE,
    ]
    assert explained.obstacles[1].until == (await job.status()).due_at
    moved = await job.move(queue="near", priority=9)
    assert (moved.id, moved.queue, moved.priority) == (job.id, "near", 9)
    await job.cancel()
    with pytest.raises(BrokerError) as refused:
        await job.move(queue="far")
    assert refused.value.reason == "NOT_WAITING"
    with sync.Client(drover_broker) as blocking:
        assert blocking.explain(job.id).obstacles == ()


async def test_32_purge_after_a_dry_run(client: Client) -> None:
    requests = [JobRequest("users.process", {"user_id": n}, queue="parity-purge") for n in range(5)]
    stored = await client.submit_batch(requests)
    assert (await client.queues.purge("parity-purge", dry_run=True)).ready == 5
    assert (await client.queues.purge("parity-purge")).ready == 5
    with pytest.raises(JobNotFound):
        await client.status(stored[0].id)  # type: ignore[union-attr]


async def test_33_revoke(client: Client, tmp_path: Path) -> None:
    scheduled = await client.submit("users.process", {"user_id": 1}, delay=3600)
    ready = await client.submit("users.process", {"user_id": 1}, queue="parity-nobody")
    running = await client.submit("gate.wait", {"gate": str(tmp_path / "never")})

    async def runs() -> bool:
        return (await running.status()).state is JobState.RUNNING

    await until("it to run", runs)
    told = [await job.cancel("not needed") for job in (scheduled, ready, running)]
    assert [answer.previous_state.value for answer in told] == ["scheduled", "ready", "running"]
    waited = await client.wait([scheduled.id, ready.id, running.id], PATIENCE)
    assert [job.state for job in waited.jobs] == [JobState.CANCELLED] * 3  # type: ignore[union-attr]


async def test_33_revoke_ends_an_isolated_run_for_real(client: Client, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    job = await client.submit("process.wait", {"pid_file": str(pid_file)})
    await until("it to run", lambda: pid_file.exists() and pid_file.read_text())
    await job.cancel()
    await until("the process to be gone", lambda: not _alive(int(pid_file.read_text())))
    await client.wait([job.id], PATIENCE)
    assert (await job.status()).state is JobState.CANCELLED


async def test_34_idempotent_also_when_a_route_has_changed(client: Client) -> None:
    first = await client.submit("users.process", {"user_id": 1}, key="route-34")
    await client.routes.put("parity-34", [Route(name="r-34", task="users.process", queue="reports")])
    try:
        again = await client.submit("users.process", {"user_id": 1}, key="route-34")
    finally:
        await client.routes.put("parity-34", [])
    assert (again.id, again.deduplicated) == (first.id, True)
