"""Calling a handler: arguments in, resources opened, what it returned or raised out. Everything is caught,
also SystemExit: nothing that a handler does may take a worker down."""

from __future__ import annotations

import contextlib
import inspect
import os
from collections.abc import Awaitable
from typing import Any

from drover.v1 import job_pb2

from .context import Context
from .interrupt import Interruption, drive
from .payload import decode, encode
from .report import Raised, Returned
from .resources import open_all, open_all_sync
from .task import Task
from .trace import traced


async def call_async(
    task: Task, payload: job_pb2.Payload, context: Context, interruption: Interruption | None
) -> Returned | Raised:
    """With an `interruption` it can be made to raise what that says, at whatever it awaits."""
    try:
        work = _called(task, payload, context)
        return Returned(encode(await (work if interruption is None else drive(work, interruption))))
    except BaseException as error:
        return Raised(error)


def call_sync(task: Task, payload: job_pb2.Payload, context: Context) -> Returned | Raised:
    try:
        arguments = task.binder.bind(decode(payload), context)
        with traced(context), contextlib.ExitStack() as stack:
            arguments |= open_all_sync(stack, task.resources, task.binder.plan.resources, context)
            process = os.getpid()
            try:
                result = task.function(**arguments)
            finally:
                _leave_if_forked(process)
        return Returned(encode(result))
    except BaseException as error:
        return Raised(error)


async def _called(task: Task, payload: job_pb2.Payload, context: Context) -> Any:
    arguments = task.binder.bind(decode(payload), context)
    with traced(context):
        if not task.binder.plan.resources:
            return await _result_of(task, arguments)
        async with contextlib.AsyncExitStack() as stack:
            arguments |= await open_all(stack, task.resources, task.binder.plan.resources, context)
            return await _result_of(task, arguments)


async def _result_of(task: Task, arguments: dict[str, Any]) -> Any:
    process = os.getpid()
    try:
        result = task.function(**arguments)
        if inspect.iscoroutine(result) or isinstance(result, Awaitable):
            return await result
        return result
    finally:
        _leave_if_forked(process)


def _leave_if_forked(process: int) -> None:
    """A handler that forked comes back in both processes. In the child the job is not ours to report, its
    resources not ours to close, and the loops and connections are copies of the worker's, which it would
    listen to in the worker's place."""
    if os.getpid() != process:
        os._exit(0)
