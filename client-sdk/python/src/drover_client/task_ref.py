"""Tasks as their submitters know them: a name, a signature, and how its jobs are submitted by default.

A reference is made from a function's signature alone, so that a web service can name a task, with its
arguments checked, without importing the code that runs it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, ParamSpec, TypeVar

from .spec import JobRequest

P = ParamSpec("P")
R = TypeVar("R")

OnFailure = Literal["fail_flow", "continue", "skip_dependents"]
"""What happens in a flow when a step fails for good: the flow ends, those after it run all the same and see
its failure among their inputs, or they are left out while the rest goes on."""


@dataclass(frozen=True)
class Step(Generic[R]):
    """One job to be: submitted alone, or as a part of a flow."""

    request: JobRequest
    on_failure: OnFailure = "fail_flow"
    name: str = ""
    """In a flow, for people: at most 128 characters."""

    def with_(
        self, *, on_failure: OnFailure | None = None, name: str | None = None, **options: Any
    ) -> Step[R]:
        """The same with other options: those of JobRequest, and what a flow knows of a step."""
        return Step(
            replace(self.request, **options),
            self.on_failure if on_failure is None else on_failure,
            self.name if name is None else name,
        )


class TaskRef(Generic[P, R]):
    """`task_ref` makes one. `options` are those of JobRequest that its jobs have unless a submit says
    otherwise."""

    def __init__(self, name: str, function: Callable[P, R], options: Mapping[str, Any]) -> None:
        self.name = name
        self._signature = inspect.signature(function)
        self._options = dict(options)
        JobRequest(name, **self._options)  # an unknown option is said here and not at the first submit

    def __repr__(self) -> str:
        return f"TaskRef({self.name}{self._signature})"

    def s(self, *args: Any, **kwargs: Any) -> Step[R]:
        """A step with these arguments, bound to names by the signature. Some may be missing: what comes
        before it in a flow fills the first of them. Raises TypeError for arguments that do not fit."""
        return self._step(self._signature.bind_partial(*args, **kwargs))

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Step[R]:
        """As `s`, with all arguments that the task needs."""
        return self._step(self._signature.bind(*args, **kwargs))

    def _step(self, bound: inspect.BoundArguments) -> Step[R]:
        payload: dict[str, Any] = {}
        for name, value in bound.arguments.items():
            match self._signature.parameters[name].kind:
                case inspect.Parameter.VAR_KEYWORD:
                    payload.update(value)
                case inspect.Parameter.VAR_POSITIONAL | inspect.Parameter.POSITIONAL_ONLY:
                    raise TypeError(f"{self.name}: parameter {name} has no name to bind a value to")
                case _:
                    payload[name] = value
        return Step(JobRequest(self.name, payload, **self._options))


def task_ref(name: str, **options: Any) -> Callable[[Callable[P, R]], TaskRef[P, R]]:
    """From a function that is never called, only its signature counts:

    ```python
    @task_ref("notifications.send_email", retry=RetryPolicy(max_attempts=4, initial_delay=60))
    def send_email(user_id: int, template: str = "plain") -> str: ...

    await client.submit(send_email.s(1), delay=300)
    ```

    The worker's `@app.task(send_email)` takes the name from it.
    """
    return lambda function: TaskRef(name, function, options)


def step(
    task: str, payload: Any = None, *, on_failure: OnFailure = "fail_flow", name: str = "", **options: Any
) -> Step[Any]:
    """A step of a task known by its name. Its delay counts from when it is its turn."""
    return Step(JobRequest(task, payload, **options), on_failure, name)
