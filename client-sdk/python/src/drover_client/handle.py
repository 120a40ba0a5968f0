"""A job that was submitted, and what can be asked of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Generic

from .answers import Cancellation, Submitted
from .explanation import Explanation
from .job import Job
from .task_ref import R

if TYPE_CHECKING:
    from .client import Client


@dataclass(frozen=True)
class JobHandle(Submitted, Generic[R]):
    """Each method raises what the client's method of that name does."""

    _client: Client = field(repr=False, compare=False)

    async def status(self, *, include_payload: bool = False) -> Job:
        return await self._client.status(self.id, include_payload=include_payload)

    async def result(self, timeout: float | timedelta | None = None) -> R:
        result: R = await self._client.result(self.id, timeout)
        return result

    def watch(self) -> AsyncIterator[Job]:
        return self._client.watch(self.id)

    async def cancel(self, reason: str = "") -> Cancellation:
        return await self._client.cancel(self.id, reason)

    async def redrive(self) -> Job:
        return await self._client.redrive(self.id)

    async def explain(self) -> Explanation:
        return await self._client.explain(self.id)

    async def move(self, *, queue: str | None = None, priority: int | None = None) -> Job:
        return await self._client.move(self.id, queue=queue, priority=priority)
