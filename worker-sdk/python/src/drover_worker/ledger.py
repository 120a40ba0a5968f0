"""Which leases this worker holds, and which outcomes the broker has not settled yet.

Tokens are what lasts: a lease id names a lease inside one session only, so every reconnect gives new ones.
An outcome stays here until `settled` has named its lease, because a stream that broke says nothing about
what was on its way. No clock, no IO.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from drover.v1 import worker_service_pb2

from .report import release_report

MAX_OUTCOMES = 1000
"""In one message; the contract's limit."""
MAX_OUTCOME_BYTES = 2 * 1024 * 1024
"""In one message: with the largest single outcome on top still well under gRPC's 4 MiB."""


@dataclass
class _Held:
    lease_id: int | None
    """None outside of a session."""
    outcome: worker_service_pb2.Outcome | None = None
    sent: bool = False
    """In this session."""


class Ledger:
    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}
        self._tokens: dict[int, str] = {}
        self._unsent: dict[str, None] = {}  # an ordered set

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, token: str) -> bool:
        return token in self._held

    @property
    def tokens(self) -> list[str]:
        """Of the leases still held or finished but unsettled: what an attach has to name."""
        return list(self._held)

    @property
    def unsettled(self) -> int:
        return sum(1 for held in self._held.values() if held.outcome is not None)

    def take(self, lease: worker_service_pb2.Lease) -> bool:
        """Whether it is news: a lease that is held already only gets its name in this session."""
        known = lease.token in self._held
        if not known:
            self._held[lease.token] = _Held(lease.lease_id)
        self._name(lease.token, lease.lease_id)
        return not known

    def token_of(self, lease_id: int) -> str | None:
        return self._tokens.get(lease_id)

    def lease_id_of(self, token: str) -> int | None:
        held = self._held.get(token)
        return held.lease_id if held is not None else None

    def finish(self, token: str, outcome: worker_service_pb2.Outcome) -> bool:
        """Keeps the outcome until it is settled. False when the lease is not held (any more) or has its
        outcome."""
        held = self._held.get(token)
        if held is None or held.outcome is not None:
            return False
        held.outcome = outcome
        self._unsent[token] = None
        return True

    def next_outcomes(self) -> list[worker_service_pb2.Outcome]:
        """What is to go up in one message, oldest first; from then on it counts as sent in this session."""
        batch: list[worker_service_pb2.Outcome] = []
        size = 0
        for token in list(self._unsent):
            held = self._held[token]
            if held.lease_id is None or held.outcome is None:
                continue
            if len(batch) == MAX_OUTCOMES or size > MAX_OUTCOME_BYTES:
                break
            held.outcome.lease_id = held.lease_id
            held.sent = True
            del self._unsent[token]
            size += held.outcome.ByteSize()
            batch.append(held.outcome)
        return batch

    def settle(self, lease_id: int, token: str = "") -> str | None:
        """The outcome of that lease is recorded or refused. Its token, None for a lease that is not held."""
        settled = self._tokens.get(lease_id) or token
        return settled if self._drop(settled) else None

    def give_up(self, token: str) -> None:
        """The attempt is over. An outcome on its way stays until the broker has answered it, all else is
        dropped."""
        held = self._held.get(token)
        if held is not None and not held.sent:
            self._drop(token)

    def detach(self) -> None:
        """The session is over: its names mean nothing any more, and what it carried may never have
        arrived."""
        self._tokens.clear()
        for held in self._held.values():
            held.lease_id = None
            held.sent = False
        self._unsent = {token: None for token, held in self._held.items() if held.outcome is not None}

    def attach(self, held: Iterable[tuple[str, int]]) -> list[str]:
        """Takes the names of a new session; the tokens it does not name are lost, dropped and returned.

        A token that is not held any more was settled by the old session while the new one attached. Should
        the new broker think otherwise, it must not wait for an outcome for ever: the lease is given back,
        which is refused where it had been settled."""
        for token, lease_id in held:
            if token not in self._held:
                self._held[token] = _Held(lease_id)
                self.finish(token, release_report())
            self._name(token, lease_id)
        lost = [token for token, entry in self._held.items() if entry.lease_id is None]
        for token in lost:
            self._drop(token)
        return lost

    def _name(self, token: str, lease_id: int) -> None:
        self._held[token].lease_id = lease_id
        self._tokens[lease_id] = token

    def _drop(self, token: str) -> bool:
        held = self._held.pop(token, None)
        if held is None:
            return False
        self._unsent.pop(token, None)
        if held.lease_id is not None:
            self._tokens.pop(held.lease_id, None)
        return True
