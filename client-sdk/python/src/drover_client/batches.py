"""Cutting a long list of jobs into calls that the contract allows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from drover.v1 import job_pb2

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
