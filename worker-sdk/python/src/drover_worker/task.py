"""A task as a worker knows it: a name, a function and what the decorator said about it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from .binding import Binder
from .settings import NAME

MAX_CONCURRENCY = 10_000
"""Of a worker, hence of a task."""


class Task:
    """Raises ValueError for a bad name or bound, TypeError for a function whose parameters cannot be bound
    by name or for permanent_errors that are no exception types."""

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        permanent_errors: tuple[type[BaseException], ...] = (),
        concurrency: int | None = None,
    ) -> None:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise ValueError(f"task name {name!r} must be 1 to 128 characters of A-Za-z0-9_.-")
        if concurrency is not None and not 1 <= concurrency <= MAX_CONCURRENCY:
            raise ValueError(f"task {name}: concurrency must be 1 to {MAX_CONCURRENCY:,}, not {concurrency}")
        for error in permanent_errors:
            if not (isinstance(error, type) and issubclass(error, BaseException)):
                raise TypeError(f"task {name}: permanent_errors has {error!r}, which is no exception type")
        self.name = name
        self.function = function
        self.permanent_errors = tuple(permanent_errors)
        self.concurrency = concurrency
        """Runs of this task at a time in one worker; None: no bound but the worker's."""
        # Also a wrapped one: either the wrapper is a coroutine function, or what it wraps and hands through
        # is.
        self.is_async = any(map(inspect.iscoroutinefunction, (function, inspect.unwrap(function))))
        try:
            self.binder = Binder(function)
        except TypeError as error:
            raise TypeError(f"task {name}: {error}") from None
