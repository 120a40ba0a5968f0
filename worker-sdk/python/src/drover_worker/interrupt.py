"""Raising an error of our choice inside a coroutine, at whatever it awaits.

asyncio can only cancel a task, and what the coroutine then sees is a bare CancelledError. Here the
handler's coroutine is driven step by step, so that the cancellation asyncio delivers can be swapped for
SoftTimeLimitExceeded on its way in. Cancelling (and not just throwing) is what makes asyncio give up the
future the handler waits for.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from .errors import SoftTimeLimitExceeded


class Interruption:
    """At most one is on its way at a time; a second one replaces it."""

    def __init__(self) -> None:
        self._make: Callable[[], asyncio.CancelledError] | None = None

    def send(self, task: asyncio.Task[Any], make: Callable[[], asyncio.CancelledError]) -> None:
        """Interrupt `task`, which must be inside `drive`, with the error that `make` gives. From its event
        loop."""
        self._make = make
        task.cancel()

    def swap(self, cancelled: asyncio.CancelledError) -> asyncio.CancelledError:
        if self._make is None:
            return cancelled
        make, self._make = self._make, None
        error = make()
        task = asyncio.current_task()
        if isinstance(error, SoftTimeLimitExceeded) and task is not None and hasattr(task, "uncancel"):
            # The handler may go on cleaning up, and must not count as cancelled then: time-outs and task
            # groups would take that for theirs. (Before Python 3.11 nothing counts.)
            task.uncancel()
        return error


@types.coroutine
def drive(coroutine: Coroutine[Any, Any, Any], interruption: Interruption) -> Generator[Any, Any, Any]:
    """Await `coroutine`, swapping cancellations for what `interruption` says."""
    error: BaseException | None = None
    while True:
        try:
            awaited = coroutine.send(None) if error is None else coroutine.throw(error)
        except StopIteration as returned:
            return returned.value
        error = None
        try:
            yield awaited
        except asyncio.CancelledError as cancelled:
            error = interruption.swap(cancelled)
        except GeneratorExit:
            coroutine.close()
            raise
        except BaseException as other:
            error = other
