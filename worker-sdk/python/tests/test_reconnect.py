"""When and where to attach again."""

from __future__ import annotations

import pytest

from drover_worker.reconnect import LONGEST_WAIT, Reconnect

ALWAYS_LONGEST = lambda: 1.0  # noqa: E731


def test_the_bound_doubles_from_50_ms_to_5_s() -> None:
    reconnect = Reconnect(["a:1"], ALWAYS_LONGEST)
    waits = [reconnect.after_failure() for _ in range(10)]
    assert waits == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5])


def test_jitter_is_full() -> None:
    assert Reconnect(["a:1"], lambda: 0.0).after_failure() == 0.0
    assert Reconnect(["a:1"], lambda: 0.5).after_failure() == 0.025


def test_it_goes_on_for_ever() -> None:
    reconnect = Reconnect(["a:1"], ALWAYS_LONGEST)
    assert [reconnect.after_failure() for _ in range(5000)][-1] == LONGEST_WAIT


@pytest.mark.parametrize(("random", "first"), [(0.0, "a:1"), (0.34, "b:1"), (0.99, "c:1")])
def test_workers_spread_over_the_brokers(random: float, first: str) -> None:
    assert Reconnect(["a:1", "b:1", "c:1"], lambda: random).address == first


def test_addresses_rotate_on_failure() -> None:
    reconnect = Reconnect(["a:1", "b:1", "c:1"], ALWAYS_LONGEST)
    tried = []
    for _ in range(4):
        tried.append(reconnect.address)
        reconnect.after_failure()
    assert tried == ["a:1", "b:1", "c:1", "a:1"]


def test_a_broken_session_is_taken_up_again_at_once_at_the_same_broker() -> None:
    reconnect = Reconnect(["a:1", "b:1"], ALWAYS_LONGEST)
    assert reconnect.after_session(lived=60, elsewhere=False) == 0.0
    assert reconnect.address == "a:1"


def test_a_broker_that_stops_is_left_for_another_at_once() -> None:
    reconnect = Reconnect(["a:1", "b:1"], ALWAYS_LONGEST)
    assert reconnect.after_session(lived=60, elsewhere=True) == 0.0
    assert reconnect.address == "b:1"


def test_a_broker_that_drops_us_at_once_is_not_called_in_a_tight_loop() -> None:
    reconnect = Reconnect(["a:1"], ALWAYS_LONGEST)
    waits = [reconnect.after_session(lived=0.01, elsewhere=False) for _ in range(3)]
    assert waits == pytest.approx([0.05, 0.1, 0.2])


def test_a_good_session_forgets_earlier_failures() -> None:
    reconnect = Reconnect(["a:1"], ALWAYS_LONGEST)
    for _ in range(5):
        reconnect.after_failure()
    reconnect.after_session(lived=60, elsewhere=False)
    assert reconnect.after_failure() == pytest.approx(0.05)
