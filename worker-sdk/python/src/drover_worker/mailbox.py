"""From any thread into an event loop's, in order. Calls that gather while the loop is busy are made together:
waking a loop costs more than most of what it is woken for."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Any


class Mailbox:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._calls: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._waking = False

    def post(self, call: Callable[..., None], *arguments: Any) -> None:
        """`call` is made in the loop's thread, soon; never if the loop is closed: whoever was to hear of it
        has gone."""
        self._calls.append((call, arguments))
        if not self._waking:
            self._waking = True
            with contextlib.suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        # Before the calls are taken: whoever posts from now on either is seen below or wakes the loop again.
        self._waking = False
        while self._calls:
            call, arguments = self._calls.popleft()
            try:
                call(*arguments)
            except Exception as error:
                self.loop.call_exception_handler({"message": "a posted call failed", "exception": error})
