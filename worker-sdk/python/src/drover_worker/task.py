"""A task as a worker knows it: a name, a function and what the decorator said about it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Literal

from .binding import Binder
from .durations import MAX_DELAY, in_range
from .report import ErrorRules
from .resources import Resource
from .settings import NAME

MAX_CONCURRENCY = 10_000
"""Of a worker, hence of a task."""

Pool = Literal["thread", "process"]


class Task:
    """Raises ValueError for a bad name or bound, TypeError for a function whose parameters cannot be bound
    by name or for error rules that are no exception types."""

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        permanent_errors: tuple[type[BaseException], ...] = (),
        concurrency: int | None = None,
        *,
        retried_errors: tuple[type[BaseException], ...] | None = None,
        soft_time_limit: float | timedelta | None = None,
        hard_time_limit: float | timedelta | None = None,
        pool: Pool | None = None,
        resources: Mapping[str, Resource] | None = None,
    ) -> None:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise ValueError(f"task name {name!r} must be 1 to 128 characters of A-Za-z0-9_.-")
        if concurrency is not None and not 1 <= concurrency <= MAX_CONCURRENCY:
            raise ValueError(f"task {name}: concurrency must be 1 to {MAX_CONCURRENCY:,}, not {concurrency}")
        if pool not in (None, "thread", "process"):
            raise ValueError(f"task {name}: pool must be 'thread' or 'process', not {pool!r}")
        for rule, errors in (
            ("permanent_errors", permanent_errors),
            ("retried_errors", retried_errors or ()),
        ):
            for error in errors:
                if not (isinstance(error, type) and issubclass(error, BaseException)):
                    raise TypeError(f"task {name}: {rule} has {error!r}, which is no exception type")
        self.name = name
        self.function = function
        self.rules = ErrorRules(
            tuple(permanent_errors), None if retried_errors is None else tuple(retried_errors)
        )
        self.concurrency = concurrency
        """Runs of this task at a time in one worker; None: no bound but the worker's."""
        self.soft_time_limit = _limit(name, "soft_time_limit", soft_time_limit)
        """Seconds; for jobs that say none themselves."""
        self.hard_time_limit = _limit(name, "hard_time_limit", hard_time_limit)
        self.pool = pool
        self.resources = {} if resources is None else resources
        # Also a wrapped one: either the wrapper is a coroutine function, or what it wraps and hands through
        # is.
        self.is_async = any(map(inspect.iscoroutinefunction, (function, inspect.unwrap(function))))
        try:
            self.binder = Binder(function, self.resources)
        except TypeError as error:
            raise TypeError(f"task {name}: {error}") from None

    def prepare(self) -> None:
        """What is only known once everything is declared. Raises TypeError for annotations that cannot be
        resolved, or a resource that a sync handler cannot use."""
        for name in self.binder.plan.resources:
            if self.resources[name].is_async and not self.is_async:
                raise TypeError(f"task {self.name}: a sync handler cannot use the async resource {name}")


def _limit(task: str, name: str, value: float | timedelta | None) -> float | None:
    return None if value is None else in_range(f"task {task}: {name}", value, MAX_DELAY)
