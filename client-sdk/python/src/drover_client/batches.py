"""Submits of many jobs: cut into calls that the contract allows; and such a call, until each has a result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from drover.v1 import job_pb2, job_service_pb2

from .answers import Submitted, batch_item
from .calls import Caller
from .errors import BrokerError, Unavailable

MAX_JOBS = 1000
"""In one SubmitBatch; the contract's limit."""
MAX_BYTES = 3 * 1024 * 1024
"""In one SubmitBatch: with the largest single job on top still under gRPC's 4 MiB."""


def batches(specs: Iterable[job_pb2.JobSpec]) -> Iterator[list[job_pb2.JobSpec]]:
    batch: list[job_pb2.JobSpec] = []
    size = 0
    for spec in specs:
        if len(batch) == MAX_JOBS or size >= MAX_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(spec)
        size += spec.ByteSize() + 8
    if batch:
        yield batch


async def submit_batch(
    calls: Caller, specs: list[job_pb2.JobSpec], own_keys: list[bool], policy: job_service_pb2.ConflictPolicy
) -> list[Submitted | BrokerError]:
    """One batch, with a result for each job. `own_keys`: which of the keys the SDK has made."""
    results: list[Submitted | BrokerError | None] = [None] * len(specs)
    pending = list(range(len(specs)))

    async def send() -> None:
        """Sends what is not stored yet; raises Unavailable while that may change."""
        request = job_service_pb2.SubmitBatchRequest(
            jobs=[specs[index] for index in pending], on_conflict=policy
        )
        response = await calls.once("SubmitBatch", request)
        for index, result in zip(pending, response.results, strict=True):
            results[index] = batch_item(specs[index], result, own_keys[index])
        pending[:] = [index for index in pending if isinstance(results[index], Unavailable)]
        for index in pending:
            raise results[index]  # type: ignore[misc]  # an Unavailable, as just filtered

    try:
        await calls.retrying(send)
    except BrokerError as error:
        for index in pending:
            results[index] = error
    return [result for result in results if result is not None]
