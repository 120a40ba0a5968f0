"""The synchronous client's thread. What it says to a broker is held by the parity tests."""

from __future__ import annotations

import os
import threading

import pytest

from drover_client import Unavailable
from drover_client.sync import Client

NOBODY = "127.0.0.1:1"


def test_it_has_no_thread_before_its_first_call_and_none_after_its_end() -> None:
    def threads() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name == "drover-client"]

    client = Client(NOBODY, retry_for=0)
    assert threads() == []
    with pytest.raises(Unavailable):
        client.status("t~k")
    assert threads() == ["drover-client"]
    client.close()
    assert threads() == []


def test_it_can_be_used_again_after_its_end() -> None:
    client = Client(NOBODY, retry_for=0)
    for _ in range(2):
        with pytest.raises(Unavailable):
            client.status("t~k")
        client.close()


def test_used_before_a_fork_it_says_so_in_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(NOBODY, retry_for=0)
    with pytest.raises(Unavailable):
        client.status("t~k")
    own = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: own + 1)  # as a child sees it
    with pytest.raises(RuntimeError, match="forked"):
        client.status("t~k")
    monkeypatch.undo()
    client.close()


def test_an_address_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="host:port"):
        Client("no:where")
