"""Registering tasks, and the command that runs them."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drover_worker import App, Context
from drover_worker.cli import AppNotFoundError, load_app, main
from drover_worker.task import Task


def test_the_function_stays_callable_directly() -> None:
    app = App()

    @app.task("math.double", permanent_errors=(ValueError,), concurrency=2)
    def double(n: int, ctx: Context | None = None) -> int:
        return 2 * n

    assert double(4) == 8
    assert app.tasks["math.double"].function is double
    assert app.tasks["math.double"].concurrency == 2


def test_a_handler_that_wants_a_context_can_be_called_with_a_made_up_one() -> None:
    def handler(ctx: Context) -> int:
        ctx.progress(0.5)
        ctx.logger.info("half way")
        ctx.check()
        return ctx.attempt

    assert handler(Context(attempt=3)) == 3


async def plain() -> None: ...


def passes_through(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@pytest.mark.parametrize(
    ("function", "is_async"),
    [(plain, True), (passes_through(plain), True), (lambda: None, False), (functools.partial(plain), True)],
)
def test_async_functions_are_known_also_when_wrapped(function: Callable[..., Any], is_async: bool) -> None:
    assert Task("t", function).is_async is is_async


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Task("no spaces", plain), ValueError, "must be 1 to 128 characters"),
        (lambda: Task("", plain), ValueError, "must be 1 to 128 characters"),
        (lambda: Task("x" * 129, plain), ValueError, "must be 1 to 128 characters"),
        (lambda: Task("t", plain, concurrency=0), ValueError, "concurrency must be 1 to 10,000"),
        (lambda: Task("t", plain, permanent_errors=(ValueError(),)), TypeError, "no exception type"),
        (lambda: Task("t", lambda *a: None), TypeError, "task t: parameter"),
        (lambda: App().worker(), ValueError, "at least one task"),
    ],
)
def test_mistakes_are_told_at_once(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_a_name_can_be_taken_once_only() -> None:
    app = App()
    app.task("t")(plain)
    with pytest.raises(ValueError, match="registered twice"):
        app.task("t")(plain)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "shop_under_test.py").write_text(
        "from drover_worker import App\n"
        "app = App()\nother = App()\nnot_app = 1\n"
        "@app.task('shop.pay')\ndef pay(order_id: int) -> None: ...\n"
    )
    (tmp_path / "broken_under_test.py").write_text("import nothing_of_that_name\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_the_app_is_found_by_module_and_name(project: Path) -> None:
    assert list(load_app("shop_under_test:app").tasks) == ["shop.pay"]
    assert list(load_app("shop_under_test").tasks) == ["shop.pay"]
    assert list(load_app("shop_under_test:other").tasks) == []


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("no_such_module:app", "there is no module no_such_module"),
        ("shop_under_test.tasks:app", "there is no module shop_under_test.tasks"),
        ("shop_under_test:missing", "shop_under_test:missing is not there"),
        ("shop_under_test:not_app", "shop_under_test:not_app is no App"),
        ("broken_under_test:app", "No module named 'nothing_of_that_name'"),
    ],
)
def test_an_app_that_cannot_be_had_says_why(project: Path, reference: str, message: str) -> None:
    with pytest.raises(AppNotFoundError) as caught:
        load_app(reference)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no_such_module:app"], "there is no module"),
        (["shop_under_test:app", "--concurrency", "0"], "concurrency: must be a whole number"),
        (["shop_under_test:other"], "at least one task"),
    ],
)
def test_a_wrong_command_line_exits_with_2(
    project: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_a_worker_whose_broker_is_away_stops_at_once_when_told(project: Path) -> None:
    command = [sys.executable, "-m", "drover_worker", "shop_under_test:app", "--address", "127.0.0.1:1"]
    with subprocess.Popen([*command, "--log-format", "json"], cwd=project, stderr=subprocess.PIPE) as worker:
        assert worker.stderr is not None
        assert b"worker_started" in worker.stderr.readline()
        assert b"attach_failed" in worker.stderr.readline()
        worker.terminate()
        assert worker.wait(timeout=15) == 0
        assert b"worker_stopped" in worker.stderr.read()
