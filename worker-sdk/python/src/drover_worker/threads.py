"""Threads for sync handlers.

Not concurrent.futures: the interpreter joins its threads before it exits, so one handler that never ends
would keep a stopped worker from going away. These are daemons. Threads are made on demand and kept.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable


class HandlerThreads:
    """At most as many threads as were ever busy at once; the caller bounds that."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._free = 0
        self._threads = 0

    def run(self, work: Callable[[], None]) -> None:
        """Run `work`, which must not raise, on a free thread or on a new one."""
        with self._lock:
            if self._free > 0:
                self._free -= 1
            else:
                self._threads += 1
                name = f"{self._name}-{self._threads}"
                threading.Thread(target=self._serve, name=name, daemon=True).start()
        self._work.put(work)

    def close(self) -> None:
        """Let the threads go as they become free."""
        with self._lock:
            for _ in range(self._threads):
                self._work.put(None)

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            with self._lock:
                self._free += 1
