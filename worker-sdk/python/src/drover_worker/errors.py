"""What a handler raises to say how its attempt ends, and what is raised in it to make it end."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from .durations import MAX_DELAY, in_range


class Retry(Exception):
    """Run the job again after `after` instead of after what its retry policy says. Counts as a failure all
    the same.

    `after` is in seconds (or a timedelta), 0 to 30 days; outside of that ValueError. Raised `from` another
    error the job's failure shows that error's type, and its message unless a message is given here.
    """

    def __init__(self, message: str = "", *, after: float | timedelta) -> None:
        super().__init__(message)
        self.after = in_range("after", after, MAX_DELAY)


class Permanent(Exception):
    """The job has failed for good: no retry. Raised `from` another error the failure shows that error's
    type."""


class Snooze(Exception):
    """Put the job off: it runs again after `delay` seconds (or a timedelta), 0 to 30 days. Costs neither a
    failure nor a crash."""

    def __init__(self, delay: float | timedelta) -> None:
        super().__init__()
        self.delay = in_range("delay", delay, MAX_DELAY)


class Release(Exception):
    """Give the job back unfinished: it is ready again at once, for any worker, without a penalty."""


class SoftTimeLimitExceeded(asyncio.CancelledError):
    """Raised inside an async handler when its soft time limit has passed: clean up and end.

    It is a CancelledError because that is what asyncio's own task groups and time-outs, and the database
    and HTTP clients built on it, know how to unwind; it also means that `except Exception` does not swallow
    it. Left uncaught it is an ordinary failure, which the retry policy decides about.
    """


class JobCancelled(Exception):
    """Raised by `Context.check()` once the run is to end for any other reason than its soft time limit."""


class BindingError(Exception):
    """The payload does not fit the handler's parameters. Permanent: the same payload will never fit."""


class ResultError(Exception):
    """The handler returned something that is no JSON value. Permanent: running it again would not change
    that."""
