"""The same client for code that does not use asyncio: Flask, Django, scripts.

```python
with Client("localhost:50051") as client:
    job = client.submit("notifications.send_email", {"user_id": 1})
    print(job.result(timeout=30))
```

The asyncio client does the work, in one thread of its own, so that submits of many threads at the same time
still go up together. May be used from any number of threads. The thread is made at the first call: a client
made before a server forks its workers is fine as long as it was not used before the fork, and one that was
used raises RuntimeError in the child.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Generic, Literal, TypeVar, overload

from drover.sdk.access import Metadata, Tls

from . import client as asynchronous
from . import flows
from .answers import Cancellation, Submitted, WaitResult
from .calls import addresses_of
from .errors import BrokerError
from .explanation import Explanation
from .flow_builders import Node
from .flows import FlowCancellation, FlowMember, FlowStatus
from .job import Job
from .loop_thread import LoopThread
from .spec import JobRequest
from .sync_parts import Inspection, Limits, Queues, Routes, Schedules
from .task_ref import R, Step

T = TypeVar("T")


@dataclass(frozen=True)
class JobHandle(Submitted, Generic[R]):
    """Each method raises what the client's method of that name does."""

    _client: Client = field(repr=False, compare=False)

    def status(self, *, include_payload: bool = False) -> Job:
        return self._client.status(self.id, include_payload=include_payload)

    def result(self, timeout: float | timedelta | None = None) -> R:
        result: R = self._client.result(self.id, timeout)
        return result

    def watch(self) -> Iterator[Job]:
        return self._client.watch(self.id)

    def cancel(self, reason: str = "") -> Cancellation:
        return self._client.cancel(self.id, reason)

    def redrive(self) -> Job:
        return self._client.redrive(self.id)

    def explain(self) -> Explanation:
        return self._client.explain(self.id)

    def move(self, *, queue: str | None = None, priority: int | None = None) -> Job:
        return self._client.move(self.id, queue=queue, priority=priority)


class Client:
    """As `drover_client.Client`: the same arguments, the same calls, the same errors."""

    def __init__(
        self,
        address: str | Iterable[str] | None = None,
        *,
        retry_for: float = 30.0,
        timeout: float = 10.0,
        tls: Tls | bool = False,
        metadata: Metadata | None = None,
    ) -> None:
        addresses = addresses_of(address)
        self._make: Callable[[], asynchronous.Client] = lambda: asynchronous.Client(
            addresses, retry_for=retry_for, timeout=timeout, tls=tls, metadata=metadata
        )
        self._loop = LoopThread()
        self._made: asynchronous.Client | None = None
        self.queues = Queues(self)
        self.routes = Routes(self)
        self.inspect = Inspection(self)
        self.limits = Limits(self)
        self.schedules = Schedules(self)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the thread. Calls that other threads wait for raise CancelledError."""
        if self._made is not None:
            self._loop.run(self._made.close())
            self._made = None
        self._loop.stop()

    @overload
    def submit(
        self, task: Step[R], *, on_conflict: asynchronous.OnConflict = ..., **options: Any
    ) -> JobHandle[R]: ...
    @overload
    def submit(
        self, task: str, payload: Any = None, *, on_conflict: asynchronous.OnConflict = ..., **options: Any
    ) -> JobHandle[Any]: ...
    def submit(self, task: Any, payload: Any = None, **options: Any) -> JobHandle[Any]:
        stored = self.run(lambda client: client.submit(task, payload, **options))
        return JobHandle(stored.id, stored.deduplicated, stored.state, self)

    def submit_batch(
        self,
        requests: Iterable[JobRequest | Step[Any]],
        *,
        on_conflict: asynchronous.OnConflict = "return_existing",
    ) -> list[Submitted | BrokerError]:
        asked = list(requests)
        return self.run(lambda client: client.submit_batch(asked, on_conflict=on_conflict))

    def submit_flow(
        self,
        node: Node,
        *,
        key: str | None = None,
        name: str = "",
        deadline: datetime | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> FlowHandle:
        handle = self.run(
            lambda client: client.submit_flow(node, key=key, name=name, deadline=deadline, labels=labels)
        )
        return FlowHandle(self, handle.key)

    def flow(self, key: str) -> FlowHandle:
        return FlowHandle(self, key)

    def status(self, id: str, *, include_payload: bool = False) -> Job:
        return self.run(lambda client: client.status(id, include_payload=include_payload))

    def result(self, id: str, timeout: float | timedelta | None = None) -> Any:
        return self.run(lambda client: client.result(id, timeout))

    def wait(
        self,
        ids: Iterable[str],
        timeout: float | timedelta | None = None,
        *,
        mode: Literal["all", "any"] = "all",
    ) -> WaitResult:
        return self.run(lambda client: client.wait(ids, timeout, mode=mode))

    def watch(self, id: str) -> Iterator[Job]:
        return self.iterate(lambda client: client.watch(id))

    def cancel(self, id: str, reason: str = "") -> Cancellation:
        return self.run(lambda client: client.cancel(id, reason))

    def redrive(self, id: str) -> Job:
        return self.run(lambda client: client.redrive(id))

    def explain(self, id: str) -> Explanation:
        return self.run(lambda client: client.explain(id))

    def move(self, id: str, *, queue: str | None = None, priority: int | None = None) -> Job:
        return self.run(lambda client: client.move(id, queue=queue, priority=priority))

    def run(self, call: Callable[[asynchronous.Client], Coroutine[Any, Any, T]]) -> T:
        """What an asyncio call answers, waited for in this thread."""

        async def calling() -> T:
            if self._made is None:  # made inside of the loop that it belongs to
                self._made = self._make()
            return await call(self._made)

        return self._loop.run(calling())

    def iterate(self, call: Callable[[asynchronous.Client], Any]) -> Iterator[Any]:
        """What an asyncio iterator tells, one by one. Closed with the generator."""
        told: Any = None

        async def following(client: asynchronous.Client) -> Any:
            nonlocal told
            told = told or call(client)
            try:
                return await told.__anext__()
            except StopAsyncIteration:
                return _END

        try:
            while (item := self.run(following)) is not _END:
                yield item
        finally:
            if told is not None:
                self.run(lambda client: _close(told))


class FlowHandle:
    """As `drover_client.FlowHandle`."""

    def __init__(self, client: Client, key: str) -> None:
        self._client = client
        self.key = key

    def status(self) -> FlowStatus:
        return self._run(lambda flow: flow.status())

    def members(self, *, last_only: bool = False) -> list[FlowMember]:
        return self._run(lambda flow: flow.members(last_only=last_only))

    def watch(self) -> Iterator[FlowStatus]:
        return self._client.iterate(lambda client: client.flow(self.key).watch())

    def wait(self, timeout: float | timedelta | None = None) -> FlowStatus:
        return self._run(lambda flow: flow.wait(timeout))

    def outcomes(self, timeout: float | timedelta | None = None) -> list[FlowMember]:
        return self._run(lambda flow: flow.outcomes(timeout))

    def results(self, timeout: float | timedelta | None = None) -> list[Any]:
        return self._run(lambda flow: flow.results(timeout))

    def result(self, timeout: float | timedelta | None = None) -> Any:
        return self._run(lambda flow: flow.result(timeout))

    def cancel(self, reason: str = "") -> FlowCancellation:
        return self._run(lambda flow: flow.cancel(reason))

    def redrive(self) -> int:
        return self._run(lambda flow: flow.redrive())

    def _run(self, call: Callable[[flows.FlowHandle], Coroutine[Any, Any, T]]) -> T:
        return self._client.run(lambda client: call(client.flow(self.key)))


_END: Any = object()


async def _close(told: Any) -> None:
    await told.aclose()
