"""A broker that hangs hangs nobody: whatever a client is asked ends with an error once its time is over."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from brokers import hanging, mute, serving
from drover.v1 import (
    flow_service_pb2,
    flow_service_pb2_grpc,
    job_pb2,
    job_service_pb2,
    job_service_pb2_grpc,
)

from drover_client import (
    Client,
    FlowTimeout,
    JobHandle,
    JobRequest,
    JobState,
    Unavailable,
    WaitTimeout,
    step,
    sync,
)
from drover_client.limits import RunLimits

TIME = 0.3
"""Seconds that a client is given, and that a wait is told."""
PATIENCE = 30.0
"""Seconds after which a call counts as one that hangs."""


def handle(client: Any) -> Any:
    kind = sync.JobHandle if isinstance(client, sync.Client) else JobHandle
    return kind("t~k", False, JobState.READY, client)


CALLS: dict[str, Callable[[Any], Any]] = {
    "Client.submit": lambda client: client.submit("t"),
    "Client.submit_batch": lambda client: client.submit_batch([JobRequest("t")] * 2500),
    "Client.submit_flow": lambda client: client.submit_flow(step("t")),
    "Client.status": lambda client: client.status("t~k"),
    "Client.result": lambda client: client.result("t~k", TIME),
    "Client.wait": lambda client: client.wait(["t~k"], TIME),
    "Client.watch": lambda client: client.watch("t~k"),
    "Client.cancel": lambda client: client.cancel("t~k"),
    "Client.redrive": lambda client: client.redrive("t~k"),
    "Client.explain": lambda client: client.explain("t~k"),
    "Client.move": lambda client: client.move("t~k", queue="q"),
    "JobHandle.status": lambda client: handle(client).status(),
    "JobHandle.result": lambda client: handle(client).result(TIME),
    "JobHandle.watch": lambda client: handle(client).watch(),
    "JobHandle.cancel": lambda client: handle(client).cancel(),
    "JobHandle.redrive": lambda client: handle(client).redrive(),
    "JobHandle.explain": lambda client: handle(client).explain(),
    "JobHandle.move": lambda client: handle(client).move(queue="q"),
    "FlowHandle.status": lambda client: client.flow("f").status(),
    "FlowHandle.members": lambda client: client.flow("f").members(),
    "FlowHandle.watch": lambda client: client.flow("f").watch(),
    "FlowHandle.wait": lambda client: client.flow("f").wait(TIME),
    "FlowHandle.outcomes": lambda client: client.flow("f").outcomes(TIME),
    "FlowHandle.results": lambda client: client.flow("f").results(TIME),
    "FlowHandle.result": lambda client: client.flow("f").result(TIME),
    "FlowHandle.cancel": lambda client: client.flow("f").cancel(),
    "FlowHandle.redrive": lambda client: client.flow("f").redrive(),
    "Queues.list": lambda client: client.queues.list(),
    "Queues.get": lambda client: client.queues.get("q"),
    "Queues.pause": lambda client: client.queues.pause("q"),
    "Queues.resume": lambda client: client.queues.resume("q"),
    "Queues.purge": lambda client: client.queues.purge("q", timeout=TIME),
    "Routes.list": lambda client: client.routes.list(),
    "Routes.put": lambda client: client.routes.put("o", []),
    "Inspection.workers": lambda client: client.inspect.workers(),
    "Inspection.active": lambda client: client.inspect.active(),
    "Inspection.registered": lambda client: client.inspect.registered(),
    "Limits.set_task": lambda client: client.limits.set_task("t", RunLimits()),
    "Limits.set_queue": lambda client: client.limits.set_queue("q", RunLimits()),
    "Schedules.put": lambda client: client.schedules.put("o", []),
    "Schedules.get": lambda client: client.schedules.get("s"),
    "Schedules.list": lambda client: client.schedules.list(),
    "Schedules.delete": lambda client: client.schedules.delete("s"),
    "Schedules.pause": lambda client: client.schedules.pause("s"),
    "Schedules.resume": lambda client: client.schedules.resume("s"),
    "Schedules.trigger": lambda client: client.schedules.trigger("s"),
    "Schedules.preview": lambda client: client.schedules.preview("s"),
}
"""Every method of a client and of its parts and handles that asks a broker."""

ASKS_NOBODY = {"Client.flow", "Client.close", "Client.run", "Client.iterate"}

WAITS = {
    "Client.result": WaitTimeout,
    "JobHandle.result": WaitTimeout,
    "FlowHandle.wait": FlowTimeout,
    "FlowHandle.outcomes": FlowTimeout,
    "FlowHandle.results": FlowTimeout,
    "FlowHandle.result": FlowTimeout,
}
"""Who waits is told so: what is waited for goes on."""


@pytest.mark.parametrize("kind", [Client, sync.Client])
def test_no_method_is_left_out_here(kind: Any) -> None:
    client = kind("127.0.0.1:1")
    parts = [part for name, part in vars(client).items() if not name.startswith("_")]
    found = {
        f"{type(part).__name__}.{name}"
        for part in [client, handle(client), client.flow("f"), *parts]
        for name, method in vars(type(part)).items()
        if inspect.isfunction(method) and not name.startswith("_")
    }
    assert found - ASKS_NOBODY == set(CALLS)


async def ending(call: Callable[[], Any]) -> None:
    """To its end, whatever it tells on the way; raises also what it tells as an error."""
    told = call()
    if inspect.isawaitable(told):
        raise_told(await told)
    else:
        async for _ in told:
            pass


def ending_in_this_thread(call: Callable[[], Any]) -> None:
    told = call()
    if inspect.isgenerator(told):
        for _ in told:
            pass
    else:
        raise_told(told)


def raise_told(told: Any) -> None:
    if isinstance(told, list) and told and isinstance(told[-1], Exception):
        raise told[-1]


BROKERS = pytest.mark.parametrize("broker", [mute, hanging])


def check(ends: dict[str, Any]) -> None:
    expected = {name: WAITS.get(name, Unavailable) for name in CALLS}
    assert {name: type(end) for name, end in ends.items()} == expected
    codes = {end.code for end in ends.values() if isinstance(end, Unavailable)}
    assert codes == {"DEADLINE_EXCEEDED"}


@BROKERS
async def test_with_a_broker_that_hangs_every_call_ends(broker: Any) -> None:
    async with broker() as address, Client(address, retry_for=0, timeout=TIME) as client:
        ends = await asyncio.gather(
            *(asyncio.wait_for(ending(lambda call=call: call(client)), PATIENCE) for call in CALLS.values()),
            return_exceptions=True,
        )
    check(dict(zip(CALLS, ends, strict=True)))


@BROKERS
async def test_with_a_broker_that_hangs_every_call_without_asyncio_ends(broker: Any) -> None:
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(len(CALLS)) as threads:
        async with broker() as address:
            client = sync.Client(address, retry_for=0, timeout=TIME)
            calls = [
                loop.run_in_executor(threads, ending_in_this_thread, lambda call=call: call(client))
                for call in CALLS.values()
            ]
            try:
                waiting = asyncio.gather(*calls, return_exceptions=True)
                ends = await asyncio.wait_for(waiting, PATIENCE)
            finally:
                await loop.run_in_executor(None, client.close)
    check(dict(zip(CALLS, ends, strict=True)))


async def test_of_many_batches_only_the_first_waits_for_a_broker_that_hangs() -> None:
    async with hanging() as address, Client(address, retry_for=0, timeout=TIME) as client:
        told = await client.submit_batch([JobRequest("t")] * 2500)
    assert len(told) == 2500
    assert len({id(error) for error in told}) == 1
    assert isinstance(told[0], Unavailable)


@BROKERS
async def test_who_says_how_long_to_wait_waits_little_longer_than_that(broker: Any) -> None:
    async with broker() as address, Client(address) as client:
        called = asyncio.gather(
            client.wait(["t~k"], TIME),
            client.wait(["t~k"], 0),
            client.result("t~k", TIME),
            client.flow("f").wait(TIME),
            return_exceptions=True,
        )
        # Long before its broker would count as dead.
        ends = await asyncio.wait_for(called, client._calls.timeout - 2)
    assert [type(end) for end in ends] == [Unavailable, Unavailable, WaitTimeout, FlowTimeout]


class Done(job_service_pb2_grpc.JobServiceServicer):
    """Any job has succeeded."""

    async def Wait(self, request: Any, context: Any) -> Any:  # noqa: N802
        ended = [job_pb2.Job(id=id, state=job_pb2.JOB_STATE_SUCCEEDED) for id in request.ids]
        return job_service_pb2.WaitResponse(
            done=True, results=[job_service_pb2.StatusResult(job=job) for job in ended]
        )


class DoneFlows(flow_service_pb2_grpc.FlowServiceServicer):
    """Any flow has succeeded."""

    async def Watch(self, request: Any, context: Any) -> Any:  # noqa: N802
        flow = flow_service_pb2.Flow(key=request.key, state=flow_service_pb2.FLOW_STATE_SUCCEEDED)
        yield flow_service_pb2.FlowServiceWatchResponse(flow=flow)


def add_done(server: grpc.aio.Server) -> None:
    job_service_pb2_grpc.add_JobServiceServicer_to_server(Done(), server)
    flow_service_pb2_grpc.add_FlowServiceServicer_to_server(DoneFlows(), server)


@pytest.mark.parametrize(
    "wait",
    [
        lambda client: client.wait(["t~k"], TIME),
        lambda client: client.result("t~k", TIME),
        lambda client: client.flow("f").wait(TIME),
    ],
)
async def test_who_waits_again_is_not_kept_at_a_broker_that_hangs(wait: Any) -> None:
    async with (
        hanging() as hung,
        serving(add_done) as sound,
        Client([hung, sound]) as client,
    ):
        client._calls._at = 0
        with pytest.raises((Unavailable, WaitTimeout, FlowTimeout)):
            await wait(client)
        await wait(client)
