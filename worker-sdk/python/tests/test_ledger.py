"""Leases held and outcomes not yet settled, through sessions that come and go."""

from __future__ import annotations

from drover.v1 import worker_service_pb2 as pb

from drover_worker.ledger import MAX_OUTCOME_BYTES, MAX_OUTCOMES, Ledger


def lease(token: str, lease_id: int) -> pb.Lease:
    return pb.Lease(token=token, lease_id=lease_id)


def success(size: int = 1) -> pb.Outcome:
    outcome = pb.Outcome()
    outcome.success.result.data = b"x" * size
    return outcome


def holding(*tokens: str) -> Ledger:
    ledger = Ledger()
    for lease_id, token in enumerate(tokens, 1):
        ledger.take(lease(token, lease_id))
    return ledger


def test_an_outcome_goes_up_once_and_stays_until_settled() -> None:
    ledger = holding("a")
    assert ledger.finish("a", success())
    assert [outcome.lease_id for outcome in ledger.next_outcomes()] == [1]
    assert ledger.next_outcomes() == []
    assert ledger.tokens == ["a"]
    assert ledger.settle(1) == "a"
    assert ledger.tokens == []


def test_outcomes_that_gathered_go_up_together_in_order() -> None:
    ledger = holding("a", "b", "c")
    for token in ("b", "a", "c"):
        ledger.finish(token, success())
    assert [outcome.lease_id for outcome in ledger.next_outcomes()] == [2, 1, 3]


def test_only_the_first_outcome_of_a_lease_counts() -> None:
    ledger = holding("a")
    assert ledger.finish("a", success())
    assert not ledger.finish("a", success())


def test_an_outcome_of_a_lease_that_is_not_held_is_dropped() -> None:
    assert not Ledger().finish("a", success())


def test_a_message_is_bounded_in_number() -> None:
    tokens = [f"t{n}" for n in range(MAX_OUTCOMES + 1)]
    ledger = holding(*tokens)
    for token in tokens:
        ledger.finish(token, success())
    assert [len(ledger.next_outcomes()) for _ in range(3)] == [MAX_OUTCOMES, 1, 0]


def test_a_message_is_bounded_in_bytes() -> None:
    tokens = [f"t{n}" for n in range(20)]
    ledger = holding(*tokens)
    for token in tokens:
        ledger.finish(token, success(256 * 1024))
    sizes = []
    while batch := ledger.next_outcomes():
        sizes.append(pb.Outcomes(outcomes=batch).ByteSize())
    assert len(sizes) > 1
    assert max(sizes) < MAX_OUTCOME_BYTES + 300 * 1024


def test_a_session_that_ends_leaves_what_was_sent_to_be_sent_again_under_its_new_name() -> None:
    ledger = holding("a", "b")
    ledger.finish("a", success())
    ledger.next_outcomes()
    ledger.detach()
    assert ledger.tokens == ["a", "b"]
    assert ledger.attach([("b", 8), ("a", 9)]) == []
    assert [outcome.lease_id for outcome in ledger.next_outcomes()] == [9]
    assert ledger.settle(9) == "a"


def test_an_outcome_of_a_run_that_ends_between_sessions_waits_for_the_next() -> None:
    ledger = holding("a")
    ledger.detach()
    assert ledger.finish("a", success())
    assert ledger.next_outcomes() == []
    ledger.attach([("a", 5)])
    assert [outcome.lease_id for outcome in ledger.next_outcomes()] == [5]


def test_a_token_the_broker_does_not_name_is_lost_with_its_outcome() -> None:
    ledger = holding("a", "b")
    ledger.finish("b", success())
    ledger.detach()
    assert ledger.attach([("a", 5)]) == ["b"]
    assert ledger.tokens == ["a"]
    assert ledger.next_outcomes() == []


def test_a_lease_settled_while_another_broker_took_over_is_given_back_there() -> None:
    ledger = holding("a")
    ledger.settle(1)
    ledger.detach()
    assert ledger.attach([("a", 5)]) == []
    assert [(outcome.lease_id, outcome.WhichOneof("report")) for outcome in ledger.next_outcomes()] == [
        (5, "release")
    ]


def test_names_of_an_old_session_mean_nothing_in_the_next() -> None:
    ledger = holding("a", "b")
    ledger.detach()
    ledger.attach([("a", 2), ("b", 1)])
    assert ledger.token_of(1) == "b"
    assert ledger.settle(2) == "a"
    assert ledger.tokens == ["b"]


def test_a_lease_that_comes_again_is_no_second_one() -> None:
    ledger = holding("a")
    assert not ledger.take(lease("a", 7))
    assert ledger.token_of(7) == "a"


def test_a_refusal_may_name_its_lease_by_token() -> None:
    ledger = holding("a")
    assert ledger.settle(0, "a") == "a"


def test_settling_a_lease_nobody_holds_changes_nothing() -> None:
    ledger = holding("a")
    assert ledger.settle(99, "z") is None
    assert ledger.tokens == ["a"]


def test_a_given_up_attempt_drops_its_outcome_unless_it_is_on_its_way() -> None:
    ledger = holding("running", "finished", "sent")
    ledger.finish("sent", success())
    ledger.next_outcomes()
    ledger.finish("finished", success())
    for token in ("running", "finished", "sent"):
        ledger.give_up(token)
    assert ledger.tokens == ["sent"]
    assert ledger.next_outcomes() == []
