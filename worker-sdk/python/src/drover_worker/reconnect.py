"""When and where to attach again. No clock and no randomness of its own, so that a test can pin both."""

from __future__ import annotations

from collections.abc import Callable, Sequence

FIRST_WAIT = 0.05
"""Upper bound of the first wait, in seconds; doubled per failure in a row."""
LONGEST_WAIT = 5.0
"""Upper bound of every wait, in seconds."""
SETTLED_AFTER = 1.0
"""A session that lived for so many seconds was a good one: the next attempt does not wait."""


class Reconnect:
    """`random` yields [0, 1). It begins anywhere, so that many workers spread over the brokers."""

    def __init__(self, addresses: Sequence[str], random: Callable[[], float]) -> None:
        self._addresses = addresses
        self._random = random
        self._at = int(random() * len(addresses))
        self._failures = 0

    @property
    def address(self) -> str:
        return self._addresses[self._at % len(self._addresses)]

    def elsewhere(self) -> None:
        """The next attempt goes to the next address."""
        self._at += 1

    def after_session(self, lived: float, elsewhere: bool) -> float:
        """Seconds to wait after a session that was attached for `lived` seconds. `elsewhere`: this broker
        is not heard any more."""
        if lived < SETTLED_AFTER:
            # One that takes us in and drops us at once must not be called in a tight loop.
            return self.after_failure()
        if elsewhere:
            self.elsewhere()
        self._failures = 0
        return 0.0

    def after_failure(self) -> float:
        """Seconds to wait after an attempt that never attached; the next one goes to the next address."""
        self._at += 1
        bound = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(self._failures, 20))
        self._failures += 1
        return bound * self._random()
