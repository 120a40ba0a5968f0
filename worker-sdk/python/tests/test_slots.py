"""Which leases run and which wait."""

from __future__ import annotations

from drover.v1 import worker_service_pb2 as pb

from drover_worker.slots import Slots


def lease(token: str, task: str = "t", priority: int = 5) -> pb.Lease:
    return pb.Lease(token=token, task=task, priority=priority)


def started(slots: Slots) -> list[str]:
    tokens = []
    while (taken := slots.take()) is not None:
        tokens.append(taken.token)
    return tokens


def test_no_more_run_than_there_are_places() -> None:
    slots = Slots(2, {})
    for token in "abc":
        slots.put(lease(token))
    assert started(slots) == ["a", "b"]
    slots.free("t")
    assert started(slots) == ["c"]
    assert (slots.running, slots.waiting) == (2, 0)


def test_the_most_urgent_goes_first_then_the_oldest() -> None:
    slots = Slots(9, {})
    for token, priority in (("low", 0), ("first", 5), ("second", 5), ("high", 9)):
        slots.put(lease(token, priority=priority))
    assert started(slots) == ["high", "first", "second", "low"]


def test_a_task_at_its_own_bound_does_not_block_others() -> None:
    slots = Slots(3, {"slow": 1})
    for token, task in (("s1", "slow"), ("s2", "slow"), ("q1", "quick")):
        slots.put(lease(token, task))
    assert started(slots) == ["s1", "q1"]
    slots.free("slow")
    assert started(slots) == ["s2"]


def test_what_waits_can_be_withdrawn_and_what_runs_can_not() -> None:
    slots = Slots(1, {})
    for token in "abc":
        slots.put(lease(token))
    assert started(slots) == ["a"]
    assert slots.withdraw("a") is None
    withdrawn = slots.withdraw("b")
    assert withdrawn is not None
    assert withdrawn.token == "b"
    assert [left.token for left in slots.withdraw_all()] == ["c"]
    assert slots.waiting == 0
