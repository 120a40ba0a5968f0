"""Why a run is to end before its handler returned by itself, and the signal that says so."""

from __future__ import annotations

import asyncio
import threading
from enum import IntEnum

from .errors import JobCancelled, SoftTimeLimitExceeded


class CancelReason(IntEnum):
    """Ordered: a later reason replaces an earlier one, never the other way round."""

    SOFT_TIME_LIMIT = 1
    """The soft time limit has passed: clean up and end."""
    SHUTDOWN = 2
    """The worker stops and its drain time-out is over; the job is given back."""
    REQUESTED = 3
    """Somebody cancelled the job."""
    TIME_LIMIT = 4
    """The hard time limit has passed; nothing the handler does counts any more."""
    LEASE_LOST = 5
    """The attempt was given up, somebody else may run the job now; nothing the handler does counts any
    more."""

    def __str__(self) -> str:
        return self.name.lower().replace("_", " ")


class CancelSignal:
    """Set at most once per reason, from the worker's event loop; read from any thread."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.reason: CancelReason | None = None

    def raise_to(self, reason: CancelReason) -> bool:
        """Whether that was news."""
        if self.reason is not None and reason <= self.reason:
            return False
        self.reason = reason
        self.event.set()
        return True

    def error(self) -> BaseException:
        """What says it inside a handler that asks."""
        if self.reason is CancelReason.SOFT_TIME_LIMIT:
            return SoftTimeLimitExceeded("soft time limit exceeded")
        return JobCancelled(str(self.reason))

    def error_inside_coroutine(self) -> asyncio.CancelledError:
        """What says it inside an async handler, at whatever it awaits."""
        if self.reason is CancelReason.SOFT_TIME_LIMIT:
            return SoftTimeLimitExceeded("soft time limit exceeded")
        return asyncio.CancelledError(str(self.reason))
