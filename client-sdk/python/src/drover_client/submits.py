"""Submits that are in flight at the same time go up as batches: see gather."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from drover.v1 import job_pb2, job_service_pb2

from .batches import MAX_BYTES, MAX_JOBS
from .errors import BrokerError, error_of_item
from .gather import Gather

Send = Callable[[str, Any], Awaitable[Any]]
"""Sends one request of a method once; raises BrokerError."""

Answer = job_service_pb2.SubmitResponse | job_service_pb2.SubmitResult
"""Both say the same."""


@dataclass(frozen=True)
class _Submit:
    spec: job_pb2.JobSpec
    policy: job_service_pb2.ConflictPolicy


class Submits:
    def __init__(self, send: Send, patience: float) -> None:
        self._send = send
        self._gather: Gather[_Submit, Answer] = Gather(self._alone, self._together, _fitting, patience)

    async def submit(self, spec: job_pb2.JobSpec, policy: job_service_pb2.ConflictPolicy) -> Answer:
        """Raises BrokerError."""
        return await self._gather.ask(_Submit(spec, policy))

    def close(self) -> None:
        self._gather.close()

    async def _alone(self, submit: _Submit) -> Answer:
        request = job_service_pb2.SubmitRequest(job=submit.spec, on_conflict=submit.policy)
        answer: Answer = await self._send("Submit", request)
        return answer

    async def _together(self, submits: Sequence[_Submit]) -> list[Answer | BrokerError]:
        request = job_service_pb2.SubmitBatchRequest(
            jobs=[submit.spec for submit in submits], on_conflict=submits[0].policy
        )
        results = (await self._send("SubmitBatch", request)).results
        return [error_of_item(result.error) if result.HasField("error") else result for result in results]


def _fitting(submits: Iterable[_Submit]) -> int:
    """Of one policy, within the limits of a call."""
    count = size = 0
    policy = None
    for submit in submits:
        if count == MAX_JOBS or size >= MAX_BYTES or (count > 0 and submit.policy != policy):
            break
        policy = submit.policy
        size += submit.spec.ByteSize() + 8
        count += 1
    return count
