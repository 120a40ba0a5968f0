"""The web service: `uvicorn web:api`. A POST answers as soon as the job is durable, its id is asked for later."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from contracts import process_user
from drover_client import Client, JobNotFound, WaitTimeout
from fastapi import FastAPI, HTTPException, Request, status


@asynccontextmanager
async def lifespan(api: FastAPI) -> AsyncIterator[None]:
    async with Client() as api.state.drover:  # DROVER_ADDRESS, or localhost:50051
        yield


api = FastAPI(lifespan=lifespan)


@api.post("/users/{user_id}/process", status_code=status.HTTP_202_ACCEPTED)
async def process(user_id: int, request: Request, order: str | None = None) -> dict[str, str]:
    """With `order` the request may be repeated: the same order of a user is the same job."""
    key = None if order is None else f"{user_id}-{order}"
    job = await request.app.state.drover.submit(process_user.call(user_id), key=key)
    return {"id": job.id, "status": f"/jobs/{job.id}"}


@api.get("/jobs/{id}")
async def job_status(id: str, request: Request) -> dict[str, Any]:
    try:
        job = await request.app.state.drover.status(id)
    except JobNotFound:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "no such job") from None
    return {
        "state": job.state.value,
        "progress": job.progress and job.progress.detail,
        "result": job.result,
        "error": job.failure and job.failure.message,
        "attempt": job.attempt,
    }


@api.get("/jobs/{id}/result")
async def job_result(id: str, request: Request, timeout: float = 30) -> dict[str, Any]:
    """Waits for the end; 202 with the job's state where that takes longer."""
    try:
        return {"result": await request.app.state.drover.result(id, timeout=min(timeout, 30))}
    except JobNotFound:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "no such job") from None
    except WaitTimeout as late:
        raise HTTPException(status.HTTP_202_ACCEPTED, {"id": late.id, "state": late.state.value}) from None
