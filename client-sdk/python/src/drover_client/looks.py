"""Looks at jobs that are made at the same time go up as batches: see gather."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from drover.v1 import job_service_pb2

from .answers import job_or_error
from .errors import BrokerError
from .gather import Gather
from .job import Job, job_of
from .submits import Send

MAX_LOOKS = 200
"""In one StatusBatch: each may bring 256 KiB of result, and an answer has 64 MiB."""
MAX_LOOKS_WITH_PAYLOAD = 50
"""The same where each may bring 512 KiB of payload too."""


@dataclass(frozen=True)
class _Look:
    id: str
    include_payload: bool


class Looks:
    def __init__(self, send: Send, patience: float) -> None:
        self._send = send
        self._gather: Gather[_Look, Job] = Gather(self._alone, self._together, _fitting, patience)

    async def status(self, id: str, include_payload: bool) -> Job:
        """Raises BrokerError, for example JobNotFound."""
        return await self._gather.ask(_Look(id, include_payload))

    def close(self) -> None:
        self._gather.close()

    async def _alone(self, look: _Look) -> Job:
        request = job_service_pb2.StatusRequest(id=look.id, include_payload=look.include_payload)
        return job_of((await self._send("Status", request)).job)

    async def _together(self, looks: Sequence[_Look]) -> list[Job | BrokerError]:
        request = job_service_pb2.StatusBatchRequest(
            ids=[look.id for look in looks], include_payload=looks[0].include_payload
        )
        return [job_or_error(result) for result in (await self._send("StatusBatch", request)).results]


def _fitting(looks: Iterable[_Look]) -> int:
    """Of one kind, within what an answer has room for."""
    count = 0
    include_payload = False
    for look in looks:
        if count == 0:
            include_payload = look.include_payload
        most = MAX_LOOKS_WITH_PAYLOAD if include_payload else MAX_LOOKS
        if count == most or look.include_payload != include_payload:
            break
        count += 1
    return count
