"""What is sent again: a submit under the key of its first sending, so that a job whose answer was lost is not
made twice."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from brokers import serving
from drover.v1 import (
    flow_service_pb2,
    flow_service_pb2_grpc,
    job_pb2,
    job_service_pb2,
    job_service_pb2_grpc,
    schedule_service_pb2_grpc,
)

from drover_client import Client, JobRequest, JobState, Unavailable, chain, step

LOST = 2
"""Answers that are lost before one arrives."""


class Jobs(job_service_pb2_grpc.JobServiceServicer):
    def __init__(self) -> None:
        self.keys: list[tuple[str, ...]] = []
        self.watched = 0
        self.redriven = 0

    async def Submit(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self.asked([request.job], context)
        return job_service_pb2.SubmitResponse(id=f"t~{request.job.key}")

    async def SubmitBatch(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self.asked(request.jobs, context)
        results = [job_service_pb2.SubmitResult(id=f"t~{job.key}") for job in request.jobs]
        return job_service_pb2.SubmitBatchResponse(results=results)

    async def asked(self, jobs: Any, context: Any) -> None:
        self.keys.append(tuple(job.key for job in jobs))
        if len(self.keys) <= LOST:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the connection was lost")

    async def Redrive(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.redriven += 1
        await context.abort(grpc.StatusCode.UNAVAILABLE, "the connection was lost")

    async def Watch(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.watched += 1
        if self.watched == 1:
            yield job_service_pb2.WatchResponse(job=job_pb2.Job(id="t~k", state=job_pb2.JOB_STATE_READY))
        await context.abort(grpc.StatusCode.UNAVAILABLE, "the connection was lost")


class Flows(flow_service_pb2_grpc.FlowServiceServicer):
    def __init__(self) -> None:
        self.keys: list[tuple[str, ...]] = []

    async def Submit(self, request: Any, context: Any) -> Any:  # noqa: N802
        flow = request.flow
        self.keys.append((flow.key, *(member.job.key for member in flow.members)))
        if len(self.keys) <= LOST:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the connection was lost")
        return flow_service_pb2.FlowServiceSubmitResponse(key=flow.key)


class Schedules(schedule_service_pb2_grpc.ScheduleServiceServicer):
    triggered = 0

    async def Trigger(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.triggered += 1
        await context.abort(grpc.StatusCode.UNAVAILABLE, "the connection was lost")


@pytest.mark.parametrize(
    ("submit", "jobs"),
    [
        (lambda client: client.submit("t"), 1),
        (lambda client: client.submit_batch([JobRequest("t"), JobRequest("t")]), 2),
    ],
)
async def test_a_key_that_the_client_made_is_kept_for_every_sending(
    submit: Callable[[Client], Any], jobs: int
) -> None:
    service = Jobs()
    add = job_service_pb2_grpc.add_JobServiceServicer_to_server
    async with serving(lambda server: add(service, server)) as address, Client(address) as client:
        await submit(client)
    assert len(service.keys) == LOST + 1
    assert len(set(service.keys)) == 1
    assert len(set(service.keys[0])) == jobs
    assert all(re.fullmatch(r"[0-9a-f-]{36}", key) for key in service.keys[0])


async def test_a_flow_keeps_its_key_and_those_of_its_members() -> None:
    service = Flows()
    add = flow_service_pb2_grpc.add_FlowServiceServicer_to_server
    async with serving(lambda server: add(service, server)) as address, Client(address) as client:
        await client.submit_flow(chain(step("t"), step("t")))
    assert len(service.keys) == LOST + 1
    assert len(set(service.keys)) == 1
    assert re.fullmatch(r"[0-9a-f-]{36}", service.keys[0][0])


async def test_what_must_not_happen_twice_is_sent_once() -> None:
    jobs, schedules = Jobs(), Schedules()

    def add(server: grpc.aio.Server) -> None:
        job_service_pb2_grpc.add_JobServiceServicer_to_server(jobs, server)
        schedule_service_pb2_grpc.add_ScheduleServiceServicer_to_server(schedules, server)

    async with serving(add) as address, Client(address) as client:
        with pytest.raises(Unavailable):
            await client.schedules.trigger("s")
        with pytest.raises(Unavailable):
            await client.redrive("t~k")
    assert (schedules.triggered, jobs.redriven) == (1, 1)


async def test_a_watch_that_was_lost_is_opened_again_and_ends_when_no_broker_tells_more() -> None:
    service = Jobs()
    add = job_service_pb2_grpc.add_JobServiceServicer_to_server
    seen: list[JobState] = []

    async def watching(client: Client) -> None:
        async for job in client.watch("t~k"):
            seen.append(job.state)

    async with (
        serving(lambda server: add(service, server)) as address,
        Client(address, retry_for=3) as client,
    ):
        with pytest.raises(Unavailable):
            await watching(client)
    assert seen == [JobState.READY]
    assert service.watched > 2


class Silent(job_service_pb2_grpc.JobServiceServicer):
    """Tells how a job stands and then nothing, until its stream is broken; then it is away for a moment."""

    def __init__(self) -> None:
        self.watched = 0
        self.broken = asyncio.Event()

    async def Watch(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.watched += 1
        if self.watched != 2:
            state = job_pb2.JOB_STATE_RUNNING if self.watched == 1 else job_pb2.JOB_STATE_SUCCEEDED
            yield job_service_pb2.WatchResponse(job=job_pb2.Job(id="t~k", state=state))
            await self.broken.wait()
        await context.abort(grpc.StatusCode.UNAVAILABLE, "lost")


async def test_a_watch_goes_on_after_a_stream_that_broke_in_a_long_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = Silent()
    add = job_service_pb2_grpc.add_JobServiceServicer_to_server
    loop = asyncio.get_running_loop()
    real = loop.time
    seen: list[JobState] = []

    def an_hour_later() -> None:
        monkeypatch.setattr(loop, "time", lambda: real() + 3600)
        service.broken.set()

    async with serving(lambda server: add(service, server)) as address, Client(address) as client:
        async for job in client.watch("t~k"):
            seen.append(job.state)
            if service.watched == 1:
                loop.call_soon(an_hour_later)  # once the next message is waited for
    assert seen == [JobState.RUNNING, JobState.SUCCEEDED]
    assert service.watched == 3
