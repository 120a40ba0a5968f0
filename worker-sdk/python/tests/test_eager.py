"""The client that runs handlers on the spot."""

from __future__ import annotations

import dataclasses
import inspect

import drover_client
import pytest
from drover_client import sync

from drover_worker import App, Context, Permanent, Snooze
from drover_worker.testing import EagerClient, EagerJob, EagerRefusal, EagerState, EagerStatus

app = App()
broken = True


@app.task("flaky")
def flaky(value: int, context: Context) -> int:
    context.progress(0.5, {"at": context.attempt})
    if broken:
        raise ConnectionError(f"attempt {context.attempt}")
    return value + context.failures


@app.task("gone")
def gone() -> None:
    raise Permanent("no such user")


@app.task("patient")
def patient(context: Context) -> str:
    if context.attempt == 1:
        raise Snooze(30)
    return "done"


@pytest.fixture(autouse=True)
def _broken() -> None:
    global broken
    broken = True


@pytest.mark.parametrize("name", [name for name in dir(sync.JobHandle) if not name.startswith("_")])
def test_all_that_a_real_handle_has(name: str) -> None:
    real, eager = getattr(sync.JobHandle, name), getattr(EagerJob, name)
    assert list(inspect.signature(eager).parameters) == list(inspect.signature(real).parameters)
    assert {field.name for field in dataclasses.fields(sync.JobHandle)} - {"_client"} <= set(
        dir(EagerClient(app).submit("gone"))
    )


@pytest.mark.parametrize(
    ("real", "asked"),
    [
        (drover_client.Job, lambda job: job.status()),
        (drover_client.Job, lambda job: next(job.watch())),
        (drover_client.Attempt, lambda job: job.status().history[0]),
        (drover_client.Failure, lambda job: job.status().failure),
        (drover_client.Progress, lambda job: job.status().progress),
        (drover_client.Cancellation, lambda job: job.cancel()),
        (drover_client.Explanation, lambda job: job.explain()),
    ],
)
def test_answers_are_of_the_real_shape(real: type, asked: object) -> None:
    answer = asked(EagerClient(app).submit("flaky", {"value": 1}))  # type: ignore[operator]
    names = {field.name for field in dataclasses.fields(real)}
    assert {field.name for field in dataclasses.fields(answer)} == names


def test_a_job_as_it_stands() -> None:
    job = EagerClient(app).submit("flaky", {"value": 1}, key="k", queue="mail", priority=7, labels={"a": "b"})
    status = job.status(include_payload=True)
    assert (status.id, status.queue, status.priority, status.labels) == ("flaky~k", "mail", 7, {"a": "b"})
    assert (status.state, status.attempt, status.failures) == (drover_client.JobState.FAILED, 4, 4)
    assert status.state.has_ended
    assert status.payload == {"value": 1}
    assert job.status().payload is None
    assert (status.failure.reason, status.failure.type) == ("error", "ConnectionError")
    assert [attempt.outcome for attempt in status.history] == ["failed"] * 4
    assert (status.progress.value, status.progress.detail) == (0.5, {"at": 4})
    assert EagerClient(app).submit("gone").status().failure.reason == "permanent"
    assert [attempt.outcome for attempt in EagerClient(app).submit("patient").status().history] == [
        "snoozed",
        "succeeded",
    ]


def test_a_redrive_runs_a_failed_job_again() -> None:
    global broken
    client = EagerClient(app)
    job, same = client.submit("flaky", {"value": 1}, key="k"), client.submit("flaky", key="k")
    assert (job.deduplicated, same.deduplicated) == (False, True)
    broken = False
    again = job.redrive()
    assert (again.state, again.attempt, again.failures) == (EagerState.SUCCEEDED, 5, 0)
    assert [attempt.number for attempt in again.history] == [1, 2, 3, 4, 5]
    assert (job.result(), same.result(), job.delays) == (1, 1, ())


def test_a_redrive_that_fails_again() -> None:
    job = EagerClient(app).submit("flaky", {"value": 1})
    assert (job.redrive().state, job.attempt, job.status().failures) == (EagerState.FAILED, 8, 4)
    with pytest.raises(ConnectionError, match="attempt 8"):
        job.result()


def test_what_a_job_that_has_ended_refuses() -> None:
    job = EagerClient(app).submit("patient", key="k")
    with pytest.raises(EagerRefusal, match="patient~k is SUCCEEDED: only a FAILED job") as refused:
        job.redrive()
    assert refused.value.reason == "NOT_FAILED"
    with pytest.raises(EagerRefusal, match="only a job that waits") as refused:
        job.move(queue="other")
    assert refused.value.reason == "NOT_WAITING"
    assert job.cancel("no more").outcome == drover_client.CancelOutcome.ALREADY_FINISHED
    assert job.explain().summary == "patient~k has ended: SUCCEEDED"
    assert list(job.watch()) == [job.status()]
    assert isinstance(job.status(), EagerStatus)
