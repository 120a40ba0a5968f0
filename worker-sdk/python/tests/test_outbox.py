"""What goes up next in a session."""

from __future__ import annotations

from drover.v1 import job_pb2
from drover.v1 import worker_service_pb2 as pb

from drover_worker.ledger import Ledger
from drover_worker.outbox import Outbox


def outbox_holding(*tokens: str) -> Outbox:
    ledger = Ledger()
    for lease_id, token in enumerate(tokens, 1):
        ledger.take(pb.Lease(token=token, lease_id=lease_id))
    return Outbox(ledger)


def sent(outbox: Outbox) -> list[str]:
    kinds = []
    while (request := outbox.next_request()) is not None:
        kinds.append(request.WhichOneof("message"))
    return kinds


async def test_signs_of_life_go_first_and_outcomes_last() -> None:
    outbox = outbox_holding("a", "b")
    outbox.outcome("a", pb.Outcome(release=pb.Release()))
    outbox.progress("b", job_pb2.Progress(value=0.5))
    outbox.credit(0)
    outbox.drain()
    outbox.pong()
    outbox.pong()
    assert sent(outbox) == ["pong", "pong", "drain", "credit", "progress", "outcomes"]
    assert sent(outbox) == []


async def test_only_the_latest_progress_of_a_run_goes_up() -> None:
    outbox = outbox_holding("a")
    for value in (0.1, 0.2, 0.3):
        outbox.progress("a", job_pb2.Progress(value=value))
    request = outbox.next_request()
    assert request is not None
    assert [(report.lease_id, report.progress.value) for report in request.progress.reports] == [(1, 0.3)]


async def test_progress_of_a_run_that_has_ended_is_dropped() -> None:
    outbox = outbox_holding("a")
    outbox.progress("a", job_pb2.Progress(value=1))
    outbox.outcome("a", pb.Outcome(release=pb.Release()))
    outbox.progress("unknown", job_pb2.Progress(value=1))
    assert sent(outbox) == ["outcomes"]


async def test_a_new_session_starts_without_the_old_ones_pongs() -> None:
    outbox = outbox_holding()
    outbox.pong()
    outbox.reset()
    assert sent(outbox) == []


async def test_a_new_session_is_told_again_that_the_worker_drains() -> None:
    outbox = outbox_holding()
    outbox.drain()
    assert sent(outbox) == ["drain"]
    outbox.reset()
    assert sent(outbox) == ["drain"]


async def test_while_another_broker_takes_over_only_signs_of_life_go_up() -> None:
    outbox = outbox_holding("a")
    outbox.outcome("a", pb.Outcome(release=pb.Release()))
    outbox.pong()
    outbox.pause()
    assert sent(outbox) == ["pong"]
    outbox.resume()
    assert sent(outbox) == ["outcomes"]
