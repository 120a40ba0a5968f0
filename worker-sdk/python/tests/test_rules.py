"""Error rules, resources and the processes' names: what is refused when an app is made."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from drover_worker import App, BindingError, Permanent, Retry, SoftTimeLimitExceeded
from drover_worker.report import ErrorRules


@pytest.mark.parametrize(
    ("error", "permanent"),
    [
        (ConnectionError(), False),
        (ConnectionResetError(), False),
        (KeyError(), True),
        (Permanent(), True),
        (BindingError(), True),
        (Retry(after=1), False),
        (SoftTimeLimitExceeded(), False),
    ],
)
def test_with_retried_errors_all_others_are_permanent(error: BaseException, permanent: bool) -> None:
    assert ErrorRules(retried=(ConnectionError,)).is_permanent(error) is permanent


def test_permanent_wins_over_retried() -> None:
    rules = ErrorRules(permanent=(ConnectionResetError,), retried=(ConnectionError,))
    assert rules.is_permanent(ConnectionResetError())


def test_a_resource_is_a_generator() -> None:
    with pytest.raises(TypeError, match="generator"):
        App().resource(lambda: None)


def test_a_sync_handler_cannot_have_an_async_resource() -> None:
    app = App()

    @app.resource
    async def session() -> AsyncIterator[int]:
        yield 1

    @app.task("t")
    def handler(session: int) -> None: ...

    with pytest.raises(TypeError, match="cannot use the async resource session"):
        app.worker()


def test_resources_are_closed_in_reverse_also_after_an_error() -> None:
    from drover_worker.testing import EagerClient

    app, told = App(), []

    @app.resource
    def first() -> Iterator[str]:
        yield "1"
        told.append("first closed")

    @app.resource
    def second() -> Iterator[str]:
        try:
            yield "2"
        finally:
            told.append("second closed")

    @app.task("t")
    def handler(first: str, second: str, fail: bool = False) -> str:
        if fail:
            raise Permanent("no")
        return first + second

    assert EagerClient(app).submit("t").result() == "12"
    assert told == ["second closed", "first closed"]
    assert EagerClient(app).submit("t", {"fail": True}).state == "failed"
    assert told[2:] == ["second closed"]


def test_a_process_needs_a_function_with_an_importable_name() -> None:
    app = App()

    @app.task("local", pool="process")
    def local() -> None: ...

    with pytest.raises(TypeError, match="task local: pool='process' needs a function"):
        app.worker()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pool": "greenlet"}, "pool must be"),
        ({"soft_time_limit": -1}, "soft_time_limit"),
        ({"retried_errors": ("no",)}, "retried_errors"),
    ],
)
def test_wrong_options_of_a_task_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        App().task("t", **options)(lambda: None)


async def test_a_task_takes_its_name_from_a_reference() -> None:
    class Reference:
        name = "from.elsewhere"

    app = App()
    app.task(Reference())(lambda: None)
    assert list(app.tasks) == ["from.elsewhere"]


async def test_a_start_hook_that_fails_ends_the_worker() -> None:
    app, told = App(), []
    app.task("t")(lambda: None)

    @app.on_start
    async def connect() -> None:
        raise ConnectionError("no database")

    app.on_stop(lambda: told.append("stopped"))
    with pytest.raises(ConnectionError, match="no database"):
        await app.worker().run()
    assert told == ["stopped"]
