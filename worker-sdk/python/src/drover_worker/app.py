"""The app: tasks by name, and how a worker for them is started."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

from drover.sdk.access import Metadata, Tls

from .process import ensure_logging, run_process
from .resources import Resource
from .settings import Settings, resolve
from .task import Pool, Task
from .worker import Hook, Worker

F = TypeVar("F", bound=Callable[..., Any])
H = TypeVar("H", bound=Hook)
C = TypeVar("C", bound=Callable[[], None])


class Named(Protocol):
    """What a task's name can be taken from."""

    name: str


class App:
    """Tasks and how to run them.

    Args:
        address: brokers, `host:port`, several as a list or separated by commas. Default `localhost:50051`.
        queues: names, or a mapping of name to share (1 to 100). Default `default`.
        concurrency: runs at a time, 1 to 10,000. Default 8.
        prefetch: leases taken beyond that, 0 to 10,000. Default 0.
        drain_timeout: seconds that running handlers get when the worker stops. Default 20.
        pool: `thread` (default; async handlers run in the event loop) or `process`: in child processes, whose
            hard time limit is a kill. Each task may say so for itself.
        child_max_runs: runs after which a child process is replaced. Default 0: any number.
        child_max_megabytes: memory above which it is replaced after a run. Default 0: any amount.
        tls: True for gRPC's own list of authorities, or files. Default: plain text.
        metadata: sent with each session, for example `{"authorization": "Bearer ..."}`, or a function that
            is asked for it.

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
        pool: Pool | None = None,
        child_max_runs: int | None = None,
        child_max_megabytes: int | None = None,
        tls: Tls | bool | None = None,
        metadata: Metadata | None = None,
    ) -> None:
        self._settings = {
            "address": address,
            "queues": queues,
            "concurrency": concurrency,
            "prefetch": prefetch,
            "drain_timeout": drain_timeout,
            "pool": pool,
            "child_max_runs": child_max_runs,
            "child_max_megabytes": child_max_megabytes,
            "tls": tls,
            "metadata": metadata,
        }
        self._tasks: dict[str, Task] = {}
        self._resources: dict[str, Resource] = {}
        self._on_start: list[Hook] = []
        self._on_stop: list[Hook] = []
        self._on_child_start: list[Callable[[], None]] = []

    @property
    def tasks(self) -> Mapping[str, Task]:
        return MappingProxyType(self._tasks)

    def task(
        self,
        name: str | Named,
        *,
        permanent_errors: tuple[type[BaseException], ...] = (),
        retried_errors: tuple[type[BaseException], ...] | None = None,
        concurrency: int | None = None,
        soft_time_limit: float | timedelta | None = None,
        hard_time_limit: float | timedelta | None = None,
        pool: Pool | None = None,
    ) -> Callable[[F], F]:
        """Register a function, sync or async, as the handler of task `name`. The function itself stays as
        it is.

        Args:
            name: 1 to 128 characters of A-Za-z0-9_.-, or what has such a `name` (a client's TaskRef).
            permanent_errors: exception types after which there is no retry.
            retried_errors: if given, only these are retried, and all others are permanent.
            concurrency: runs of this task at a time in one worker; None: no bound but the worker's.
            soft_time_limit: seconds (or a timedelta) up to 30 days after which the handler is told to end,
                for jobs that name none.
            hard_time_limit: after which the attempt is over, for jobs that name none.
            pool: `thread` or `process`; None: as the app says.

        Raises ValueError for a bad or taken name, TypeError for a signature that cannot be bound by name.
        """
        named = name if isinstance(name, str) else name.name

        def register(function: F) -> F:
            if named in self._tasks:
                raise ValueError(f"task {named} is registered twice")
            self._tasks[named] = Task(
                named,
                function,
                permanent_errors,
                concurrency,
                retried_errors=retried_errors,
                soft_time_limit=soft_time_limit,
                hard_time_limit=hard_time_limit,
                pool=pool,
                resources=self._resources,
            )
            return function

        return register

    def resource(self, function: F) -> F:
        """Register a generator function, sync or async, that opens something for one run, yields it, and
        closes it whatever becomes of the run. Handlers that have a parameter of its name get it; with a
        parameter of its own it gets the run's Context. Sync handlers take sync ones only.

        Raises ValueError for a taken name, TypeError for a function that is no generator."""
        name = function.__name__
        if name in self._resources:
            raise ValueError(f"resource {name} is registered twice")
        self._resources[name] = Resource(function)
        return function

    def on_start(self, hook: H) -> H:
        """Register a function without parameters, sync or async, that is called in the worker's event loop
        before anything is leased. What it raises ends the worker."""
        self._on_start.append(hook)
        return hook

    def on_stop(self, hook: H) -> H:
        """As `on_start`, after the drain."""
        self._on_stop.append(hook)
        return hook

    def on_child_start(self, hook: C) -> C:
        """Register a function without parameters that is called in each child process of `pool="process"`
        before its first run."""
        self._on_child_start.append(hook)
        return hook

    def worker(self, **settings: Any) -> Worker:
        """A worker for a running event loop: `await worker.run()` until `worker.stop()`. Settings as for
        `run`.

        Raises SettingsError for wrong settings, TypeError for a handler whose annotations cannot be resolved.
        """
        return self._worker(self.settings(**settings), child_logs=False)

    def worker_with_logs(self, settings: Settings) -> Worker:
        """For a process of the worker's own: its children log as it does."""
        return self._worker(settings, child_logs=True)

    def _worker(self, settings: Settings, child_logs: bool) -> Worker:
        for task in self._tasks.values():
            task.prepare()  # now, so that what is wrong with it is said at start
        return Worker(
            dict(self._tasks),
            settings,
            on_start=tuple(self._on_start),
            on_stop=tuple(self._on_stop),
            on_child_start=tuple(self._on_child_start),
            child_logs=child_logs,
        )

    def settings(self, **settings: Any) -> Settings:
        """What a worker made with `settings` would go by. Raises SettingsError, which lists every mistake."""
        return resolve(self._settings, settings)

    def run(self, **settings: Any) -> None:
        """Run a worker in this process until SIGTERM or SIGINT; then drain and return. A second signal ends
        the process at once (exit code 1). Sets up logging, unless the program has done so.

        Settings are those of `App`, and worker_name, log_level (debug, info, warn, error, silent), log_format
        (auto, text, json).
        """
        chosen = self.settings(**settings)
        ours = ensure_logging(chosen)
        run_process(self._worker(chosen, child_logs=ours))
