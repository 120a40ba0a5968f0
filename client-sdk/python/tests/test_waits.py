"""Waits and looks that are under way together share calls: the rules, without a broker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from drover.v1 import job_pb2, job_service_pb2

from drover_client import BrokerError, InvalidArgument, JobNotFound, Unavailable, WaitTimeout
from drover_client.gather import BATCHES, SINGLE_CALLS
from drover_client.job import JobState
from drover_client.looks import MAX_LOOKS, MAX_LOOKS_WITH_PAYLOAD, Looks
from drover_client.waits import MAX_ROUND, MAX_ROUNDS, Waits, rest_before_asking

AWAY = Unavailable("away", code="UNAVAILABLE")


class EndingBroker:
    """Holds waits until one of their jobs has ended."""

    def __init__(self, *ended: str) -> None:
        self.ended = {*ended}
        self.calls: list[int] = []
        """Jobs of each."""
        self.under_way = 0
        self.away = False
        self._moved = asyncio.Event()

    def end(self, *ids: str) -> None:
        self.ended.update(ids)
        self._moved.set()
        self._moved = asyncio.Event()

    async def ask(self, ids: Sequence[str]) -> list[job_service_pb2.StatusResult]:
        self.calls.append(len(ids))
        self.under_way += 1
        try:
            await asyncio.sleep(0)
            if self.away:
                raise AWAY
            if "no id" in ids:
                raise InvalidArgument("not an id", code="INVALID_ARGUMENT")
            while not any(id in self.ended or id == "nobody's" for id in ids):
                await self._moved.wait()
            return [self._result(id) for id in ids]
        finally:
            self.under_way -= 1

    def _result(self, id: str) -> job_service_pb2.StatusResult:
        if id == "nobody's":
            return job_service_pb2.StatusResult(error=job_pb2.ItemStatus(code=5, reason="JOB_NOT_FOUND"))
        state = job_pb2.JOB_STATE_SUCCEEDED if id in self.ended else job_pb2.JOB_STATE_RUNNING
        return job_service_pb2.StatusResult(job=job_pb2.Job(id=id, state=state))


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def until(reached: Callable[[], bool]) -> None:
    while not reached():  # noqa: ASYNC110  it tells nobody
        await asyncio.sleep(0)


def waiting(waits: Waits, *ids: str, timeout: float | None = None) -> list[asyncio.Task[Any]]:
    return [asyncio.create_task(waits.wait(id, timeout)) for id in ids]


async def test_many_waits_share_a_few_calls_and_each_gets_its_own_job() -> None:
    ids = [f"a~{index}" for index in range(2 * MAX_ROUND + 1)]
    broker = EndingBroker(*ids)
    jobs = await asyncio.gather(*waiting(Waits(broker.ask, 10), *ids))
    assert [job.id for job in jobs] == ids
    assert broker.calls == [MAX_ROUND, MAX_ROUND, 1]


async def test_waits_for_the_same_job_are_one() -> None:
    broker = EndingBroker("a~1")
    jobs = await asyncio.gather(*waiting(Waits(broker.ask, 10), *["a~1"] * 50))
    assert len(jobs) == 50
    assert broker.calls == [1]


async def test_a_wait_alone_is_asked_for_at_once_and_told_at_once() -> None:
    broker = EndingBroker()
    (wait,) = waiting(Waits(broker.ask, 10), "a~1")
    await turns()
    assert broker.calls == [1]
    broker.end("a~1")
    await turns()
    assert wait.done()


@pytest.mark.parametrize(("count", "seconds"), [(1, 0), (16, 0), (17, 0.0017), (1000, 0.1), (50_000, 1)])
def test_the_more_are_waited_for_the_longer_a_round_rests(count: int, seconds: float) -> None:
    assert rest_before_asking(count) == pytest.approx(seconds)


async def test_the_end_of_one_job_does_not_end_the_wait_for_others() -> None:
    broker = EndingBroker()
    waits = waiting(Waits(broker.ask, 10), "a~0", "a~1", "a~2")
    for index, wait in enumerate(waits):
        await turns()
        assert not wait.done()
        broker.end(f"a~{index}")
        assert (await wait).id == f"a~{index}"
    assert broker.calls == [3, 2, 1]


async def test_who_asks_for_a_job_just_as_its_end_is_told_hears_of_it_too() -> None:
    broker = EndingBroker("a~1")
    waits = Waits(broker.ask, 10)
    late: list[asyncio.Task[Any]] = []
    ask = broker.ask

    async def asking(ids: Sequence[str]) -> list[job_service_pb2.StatusResult]:
        results = await ask(ids)
        if not late:
            # Its turn comes after the answer is told, and before whoever waited has left.
            late.extend(waiting(waits, "a~1"))
        return results

    waits._ask = asking
    (first,) = waiting(waits, "a~1")
    await asyncio.wait_for(first, 5)
    assert (await asyncio.wait_for(late[0], 5)).id == "a~1"


async def test_a_wait_that_is_given_up_knows_where_its_job_stands_and_is_asked_for_no_more() -> None:
    broker = EndingBroker("a~2")
    waits = Waits(broker.ask, 10)
    (given_up,) = waiting(waits, "a~1", timeout=1)
    (told,) = waiting(waits, "a~2")
    assert (await told).id == "a~2"
    with pytest.raises(WaitTimeout) as timeout:
        await given_up
    assert (timeout.value.id, timeout.value.state) == ("a~1", JobState.RUNNING)
    await turns()
    assert broker.under_way == 0


async def test_cancelling_one_wait_leaves_the_others() -> None:
    broker = EndingBroker()
    gone, other = waiting(Waits(broker.ask, 10), "a~1", "a~2")
    await turns()
    gone.cancel()
    await turns()
    broker.end("a~2")
    assert (await other).id == "a~2"
    assert gone.cancelled()


@pytest.mark.parametrize(
    ("id", "error"), [("nobody's", JobNotFound), ("no id", InvalidArgument)], ids=["unknown", "malformed"]
)
async def test_an_id_that_is_none_does_not_fail_the_waits_for_others(
    id: str, error: type[BrokerError]
) -> None:
    ids = [f"a~{index}" for index in range(100)]
    broker = EndingBroker(*ids)
    told = await asyncio.gather(*waiting(Waits(broker.ask, 10), *ids, id), return_exceptions=True)
    assert [job.id for job in told[:-1]] == ids  # type: ignore[union-attr]
    assert isinstance(told[-1], error)


async def test_a_wait_outlives_a_broker_that_is_away_for_a_while() -> None:
    broker = EndingBroker("a~1")
    broker.away = True
    (wait,) = waiting(Waits(broker.ask, 10), "a~1")
    await until(lambda: len(broker.calls) == 3)
    broker.away = False
    assert (await wait).id == "a~1"


async def test_it_gives_up_after_its_time_to_retry_unless_it_said_how_long_it_waits() -> None:
    broker = EndingBroker()
    broker.away = True
    waits = Waits(broker.ask, retry_for=0)
    endless, limited = [*waiting(waits, "a~1"), *waiting(waits, "a~1", timeout=30)]
    with pytest.raises(Unavailable):
        await endless
    broker.away = False
    broker.end("a~1")
    assert (await limited).id == "a~1"


async def test_an_answer_of_the_wrong_length_is_an_error_and_no_hang() -> None:
    async def ask(ids: Sequence[str]) -> list[job_service_pb2.StatusResult]:
        return []

    with pytest.raises(BrokerError, match="0 answers for 1"):
        await Waits(ask, 10).wait("a~1", 5)


async def test_rounds_are_bounded_in_number() -> None:
    broker = EndingBroker()
    waits = Waits(broker.ask, 10)
    tasks: list[asyncio.Task[Any]] = []
    for index in range(3 * MAX_ROUNDS):
        tasks += waiting(waits, f"a~{index}")
        # Each is asked for before the next one comes.
        await until(lambda: sum(broker.calls) > index)  # noqa: B023  called right here
    assert broker.under_way <= MAX_ROUNDS
    broker.end(*(f"a~{index}" for index in range(3 * MAX_ROUNDS)))
    assert len(await asyncio.gather(*tasks)) == 3 * MAX_ROUNDS


async def test_a_client_that_is_closed_leaves_nobody_waiting() -> None:
    broker = EndingBroker()
    waits = Waits(broker.ask, 10)
    tasks = waiting(waits, "a~1", "a~2")
    await turns()
    waits.close()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert [task.cancelled() for task in tasks] == [True, True]
    assert broker.under_way == 0


class Wire:
    """Stands where the connection is. Answers when told to."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int, bool]] = []
        self.go = asyncio.Event()

    async def send(self, method: str, request: Any) -> Any:
        ids = [request.id] if method == "Status" else list(request.ids)
        self.sent.append((method, len(ids), request.include_payload))
        await self.go.wait()
        if method == "Status":
            return job_service_pb2.StatusResponse(job=job_pb2.Job(id=ids[0]))
        answer = job_service_pb2.StatusBatchResponse()
        for id in ids:
            if id == "nobody's":
                answer.results.add(error=job_pb2.ItemStatus(code=5, reason="JOB_NOT_FOUND"))
            else:
                answer.results.add(job=job_pb2.Job(id=id))
        return answer


async def looked(wire: Wire, *looks: tuple[str, bool]) -> list[Any]:
    gathered = Looks(wire.send, patience=10)
    tasks = [asyncio.create_task(gathered.status(id, payload)) for id, payload in looks]
    await turns(3)
    wire.go.set()
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_few_looks_go_at_once_as_calls_of_their_own() -> None:
    wire = Wire()
    await looked(wire, *[("a~1", False)] * SINGLE_CALLS)
    assert wire.sent == [("Status", 1, False)] * SINGLE_CALLS


async def test_many_looks_at_a_time_gather_and_each_gets_its_own_answer() -> None:
    wire = Wire()
    ids = [f"a~{index}" for index in range(1000)]
    jobs = await looked(wire, *((id, False) for id in ids))
    assert [job.id for job in jobs] == ids
    assert max(count for _, count, _ in wire.sent) == MAX_LOOKS
    assert len(wire.sent) <= SINGLE_CALLS + BATCHES + 1000 // MAX_LOOKS


async def test_looks_with_payloads_go_apart_in_smaller_batches() -> None:
    wire = Wire()
    await looked(wire, *[("a~1", False)] * 10, *[("a~2", True)] * (MAX_LOOKS_WITH_PAYLOAD + 1))
    batches = [(count, payload) for method, count, payload in wire.sent if method == "StatusBatch"]
    assert sorted(batches) == [(1, True), (10 - SINGLE_CALLS, False), (MAX_LOOKS_WITH_PAYLOAD, True)]


async def test_a_look_at_a_job_that_nobody_knows_fails_alone() -> None:
    wire = Wire()
    told = await looked(wire, *[("a~1", False)] * 10, ("nobody's", False), ("a~1", False))
    assert [isinstance(answer, JobNotFound) for answer in told] == [False] * 10 + [True, False]


async def test_who_has_gone_takes_no_place_in_a_batch() -> None:
    wire = Wire()
    gathered = Looks(wire.send, patience=10)
    tasks = [asyncio.create_task(gathered.status(f"a~{index}", False)) for index in range(10)]
    await turns(1)
    for task in tasks[SINGLE_CALLS:-1]:
        task.cancel()
    wire.go.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert wire.sent == [("Status", 1, False)] * SINGLE_CALLS + [("StatusBatch", 1, False)]


async def test_a_closed_client_leaves_no_look_waiting() -> None:
    wire = Wire()
    gathered = Looks(wire.send, patience=10)
    tasks = [asyncio.create_task(gathered.status(f"a~{index}", False)) for index in range(10)]
    await turns(3)
    gathered.close()
    wire.go.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert [task.cancelled() for task in tasks] == [False] * SINGLE_CALLS + [True] * (10 - SINGLE_CALLS)
