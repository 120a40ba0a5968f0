"""What is opened for each run and closed whatever becomes of it: a database session, a temporary folder."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .context import Context


class Resource:
    """A generator function, sync or async, that yields once. With a parameter it gets the run's Context.
    Raises TypeError for any other function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.is_async = inspect.isasyncgenfunction(function)
        if not self.is_async and not inspect.isgeneratorfunction(function):
            raise TypeError(f"resource {function.__name__} must be a generator function: yield what it opens")
        self.function = function
        self._takes_context = len(inspect.signature(function).parameters) > 0

    def open(self, context: Context) -> Any:
        """A context manager, an async one if `is_async`."""
        manage = contextlib.asynccontextmanager if self.is_async else contextlib.contextmanager
        return manage(self.function)(*(context,) if self._takes_context else ())


async def open_all(
    stack: contextlib.AsyncExitStack,
    resources: Mapping[str, Resource],
    names: Iterable[str],
    context: Context,
) -> dict[str, Any]:
    opened = {}
    for name in names:
        resource = resources[name]
        manager = resource.open(context)
        entered = stack.enter_async_context(manager) if resource.is_async else None
        opened[name] = stack.enter_context(manager) if entered is None else await entered
    return opened


def open_all_sync(
    stack: contextlib.ExitStack, resources: Mapping[str, Resource], names: Iterable[str], context: Context
) -> dict[str, Any]:
    return {name: stack.enter_context(resources[name].open(context)) for name in names}
