"""Retrying, batching and gathering: the rules, without a broker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from drover.v1 import job_pb2, job_service_pb2

from drover_client import BrokerError, Client, InvalidArgument, JobExists, Unavailable
from drover_client.batches import MAX_BYTES, MAX_JOBS, batches
from drover_client.calls import Caller, addresses_of, backoff
from drover_client.gather import BATCHES, SINGLE_CALLS
from drover_client.submits import Submits


@pytest.mark.parametrize(
    ("attempt", "retry_after", "jitter", "wait", "why"),
    [
        (1, None, 1.0, 0.05, "starts at 50 ms"),
        (3, None, 1.0, 0.2, "doubles"),
        (60, None, 1.0, 2.0, "never over 2 s"),
        (3, None, 0.0, 0.0, "jitter is full"),
        (1, 1.0, 0.0, 1.0, "never below what the broker asked for"),
    ],
)
def test_backoff(attempt: int, retry_after: float | None, jitter: float, wait: float, why: str) -> None:
    assert backoff(attempt, retry_after, jitter) == pytest.approx(wait), why


def failing(times: int, error: BrokerError) -> Callable[[], Any]:
    left = [times]

    async def send() -> str:
        await asyncio.sleep(0)
        if left[0] > 0:
            left[0] -= 1
            raise error
        return "sent"

    return send


AWAY = Unavailable("away", code="UNAVAILABLE")


async def test_a_call_is_repeated_while_no_broker_can_be_reached() -> None:
    assert await Caller(["a:1"], retry_for=10).retrying(failing(3, AWAY)) == "sent"


async def test_it_gives_up_when_its_time_is_over() -> None:
    with pytest.raises(Unavailable):
        await Caller(["a:1"], retry_for=0.2).retrying(failing(1000, AWAY))


async def test_it_does_not_wait_for_a_retry_it_has_no_time_for() -> None:
    later = Unavailable("away", code="UNAVAILABLE", retry_after=60)
    with pytest.raises(Unavailable):
        await asyncio.wait_for(Caller(["a:1"], retry_for=30).retrying(failing(1, later)), 20)


async def test_a_refusal_is_not_repeated() -> None:
    with pytest.raises(JobExists):
        await Caller(["a:1"], retry_for=10).retrying(failing(1, JobExists("there", code="ALREADY_EXISTS")))


async def test_a_client_without_a_broker_says_unavailable() -> None:
    async with Client("127.0.0.1:1", retry_for=0) as client:
        with pytest.raises(Unavailable):
            await client.submit("t")
        with pytest.raises(Unavailable):
            await client.status("t~k")
        with pytest.raises(Unavailable):
            await anext(aiter(client.watch("t~k")))


@pytest.mark.parametrize(
    ("given", "addresses"),
    [
        ("a:1", ("a:1",)),
        ("a:1, b:2", ("a:1", "b:2")),
        (["a:1"], ("a:1",)),
        (["a", "[::1]", "[::1]:9"], ("a:50051", "[::1]:50051", "[::1]:9")),
        (None, ("localhost:50051",)),
    ],
)
def test_addresses(given: Any, addresses: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DROVER_ADDRESS", raising=False)
    assert addresses_of(given) == addresses


def test_the_environment_names_the_brokers_where_the_code_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DROVER_ADDRESS", "b:2")
    assert addresses_of(None) == ("b:2",)
    assert addresses_of("a:1") == ("a:1",)


@pytest.mark.parametrize("given", ["", "a:b", ":1", "a:0", "a:70000", "http://a:1", []])
def test_an_address_that_is_none_is_refused(given: Any) -> None:
    with pytest.raises(ValueError, match="host:port"):
        Client(given or [])


def test_a_batch_is_bounded_in_number_and_in_bytes() -> None:
    small = [job_pb2.JobSpec(task="t")] * (2 * MAX_JOBS + 1)
    assert [len(batch) for batch in batches(small)] == [MAX_JOBS, MAX_JOBS, 1]
    large = [job_pb2.JobSpec(task="t", payload=job_pb2.Payload(data=b"x" * 512 * 1024))] * 20
    sizes = [job_service_pb2.SubmitBatchRequest(jobs=batch).ByteSize() for batch in batches(large)]
    assert len(sizes) > 2
    assert max(sizes) < MAX_BYTES + 600 * 1024
    assert list(batches([])) == []


class Wire:
    """Stands where the connection is, so that a test can see what would go up. Answers when told to."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int]] = []
        self.go = asyncio.Event()

    async def send(self, method: str, request: Any) -> Any:
        jobs = [request.job] if method == "Submit" else list(request.jobs)
        self.sent.append((method, len(jobs)))
        await self.go.wait()
        if method == "Submit":
            if jobs[0].task == "bad":
                raise InvalidArgument("told in full", code="INVALID_ARGUMENT")
            return job_service_pb2.SubmitResponse(id=jobs[0].key)
        answer = job_service_pb2.SubmitBatchResponse()
        for job in jobs:
            if job.task == "bad":
                answer.results.add(error=job_pb2.ItemStatus(code=3, reason="INVALID_ARGUMENT"))
            else:
                answer.results.add(id=job.key)
        return answer


RETURN, REJECT = (
    job_service_pb2.CONFLICT_POLICY_RETURN_EXISTING,
    job_service_pb2.CONFLICT_POLICY_REJECT,
)


async def gathered(wire: Wire, *jobs: tuple[str, Any]) -> list[Any]:
    submits = Submits(wire.send, patience=10)
    calls = [
        asyncio.create_task(submits.submit(job_pb2.JobSpec(task=task, key=f"k{index}"), policy))
        for index, (task, policy) in enumerate(jobs)
    ]
    for _ in range(3):
        await asyncio.sleep(0)
    wire.go.set()
    return await asyncio.gather(*calls, return_exceptions=True)


async def test_few_submits_go_at_once_as_calls_of_their_own() -> None:
    wire = Wire()
    await gathered(wire, *[("t", RETURN)] * SINGLE_CALLS)
    assert wire.sent == [("Submit", 1)] * SINGLE_CALLS


async def test_many_submits_at_a_time_gather_and_each_gets_its_own_answer() -> None:
    wire = Wire()
    count = 2500
    answers = await gathered(wire, *[("t", RETURN)] * count)
    assert [answer.id for answer in answers] == [f"k{index}" for index in range(count)]
    assert sum(jobs for _, jobs in wire.sent) == count
    assert len(wire.sent) <= SINGLE_CALLS + BATCHES + 3


async def test_jobs_of_different_conflict_policies_do_not_share_a_batch() -> None:
    wire = Wire()
    answers = await gathered(wire, *[("t", RETURN)] * 6, *[("t", REJECT)] * 2)
    assert len(answers) == 8
    assert sorted(jobs for method, jobs in wire.sent if method == "SubmitBatch") == [2, 2]


async def test_an_invalid_job_in_a_batch_fails_alone_and_is_told_in_full() -> None:
    wire = Wire()
    answers = await gathered(wire, *[("t", RETURN)] * 6, ("bad", RETURN), ("t", RETURN))
    assert [isinstance(answer, InvalidArgument) for answer in answers] == [False] * 6 + [True, False]
    assert str(answers[6]) == "told in full"


async def test_calls_that_fail_together_move_on_to_the_next_broker_together() -> None:
    calls = Caller(["a:1", "b:1"], retry_for=10)
    before = calls.turn
    await asyncio.gather(*(calls.retrying(failing(1, AWAY)) for _ in range(4)))
    assert calls.turn == before + 1


def test_clients_spread_over_the_brokers() -> None:
    # Of 200 all but never miss one of three.
    assert {Caller(["a:1", "b:1", "c:1"], retry_for=10).turn for _ in range(200)} == {0, 1, 2}


async def test_a_sending_that_hangs_ends_with_the_time_to_retry() -> None:
    sent = 0

    async def send() -> None:
        nonlocal sent
        sent += 1
        if sent == 1:
            raise AWAY
        await asyncio.Event().wait()

    with pytest.raises(Unavailable) as caught:
        await asyncio.wait_for(Caller(["a:1"], retry_for=0.2).retrying(send), 10)
    assert (sent, caught.value.code) == (2, "DEADLINE_EXCEEDED")


async def test_a_submit_does_not_wait_for_its_turn_without_end() -> None:
    wire = Wire()
    submits = Submits(wire.send, patience=0.1)
    calls = [
        asyncio.create_task(submits.submit(job_pb2.JobSpec(task="t", key=f"k{index}"), RETURN))
        for index in range(SINGLE_CALLS + 10)
    ]
    waiting = await asyncio.wait_for(asyncio.gather(*calls[SINGLE_CALLS:], return_exceptions=True), 10)
    assert [getattr(end, "code", end) for end in waiting] == ["DEADLINE_EXCEEDED"] * 10
    wire.go.set()
    await asyncio.gather(*calls[:SINGLE_CALLS])
