"""The app: tasks by name, and how a worker for them is started."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from .process import run_process
from .settings import Settings, resolve
from .task import Task
from .worker import Worker

F = TypeVar("F", bound=Callable[..., Any])


class App:
    """Tasks and how to run them.

    Args:
        address: brokers, `host:port`, several as a list or separated by commas. Default `localhost:50051`.
        queues: names, or a mapping of name to share (1 to 100). Default `default`.
        concurrency: runs at a time, 1 to 10,000. Default 8.
        prefetch: leases taken beyond that, 0 to 10,000. Default 0.
        drain_timeout: seconds that running handlers get when the worker stops. Default 20.

    The environment (DROVER_ADDRESS, DROVER_QUEUES, DROVER_CONCURRENCY, DROVER_PREFETCH, DROVER_DRAIN_TIMEOUT,
    DROVER_WORKER_NAME, DROVER_LOG_LEVEL, DROVER_LOG_FORMAT) wins over what is said here; what the command
    line or `run()` says wins over both. Wrong settings raise SettingsError when the worker is made.
    """

    def __init__(
        self,
        *,
        address: str | Iterable[str] | None = None,
        queues: str | Iterable[str] | Mapping[str, int] | None = None,
        concurrency: int | None = None,
        prefetch: int | None = None,
        drain_timeout: float | None = None,
    ) -> None:
        self._settings = {
            "address": address,
            "queues": queues,
            "concurrency": concurrency,
            "prefetch": prefetch,
            "drain_timeout": drain_timeout,
        }
        self._tasks: dict[str, Task] = {}

    @property
    def tasks(self) -> Mapping[str, Task]:
        return MappingProxyType(self._tasks)

    def task(
        self,
        name: str,
        *,
        permanent_errors: tuple[type[BaseException], ...] = (),
        concurrency: int | None = None,
    ) -> Callable[[F], F]:
        """Register a function, sync or async, as the handler of task `name`. The function itself stays as
        it is.

        Args:
            name: 1 to 128 characters of A-Za-z0-9_.-
            permanent_errors: exception types after which there is no retry.
            concurrency: runs of this task at a time in one worker; None: no bound but the worker's.

        Raises ValueError for a bad or taken name, TypeError for a signature that cannot be bound by name.
        """

        def register(function: F) -> F:
            if name in self._tasks:
                raise ValueError(f"task {name} is registered twice")
            self._tasks[name] = Task(name, function, permanent_errors, concurrency)
            return function

        return register

    def worker(self, **settings: Any) -> Worker:
        """A worker for a running event loop: `await worker.run()` until `worker.stop()`. Settings as for
        `run`.

        Raises SettingsError for wrong settings, TypeError for a handler whose annotations cannot be resolved.
        """
        for task in self._tasks.values():
            task.binder.plan  # noqa: B018  made now, so that what is wrong with it is said at start
        return Worker(dict(self._tasks), self.settings(**settings))

    def settings(self, **settings: Any) -> Settings:
        """What a worker made with `settings` would go by. Raises SettingsError, which lists every mistake."""
        return resolve(self._settings, settings)

    def run(self, **settings: Any) -> None:
        """Run a worker in this process until SIGTERM or SIGINT; then drain and return. A second signal ends
        the process at once (exit code 1). Sets up logging, unless the program has done so.

        Settings are those of `App`, and worker_name, log_level (debug, info, warn, error, silent), log_format
        (auto, text, json).
        """
        run_process(self.worker(**settings), self.settings(**settings))
