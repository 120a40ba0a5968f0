"""The command `drover-worker package.module:app`."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from .app import App
from .log_events import FORMATS, LEVELS, configure
from .process import run_process
from .settings import SettingsError
from .version import __version__

USAGE_ERROR = 2
"""Exit code for a command line, an app or a setting that is wrong."""


class AppNotFoundError(Exception):
    """What stands before or after the colon is not there."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = vars(_parser().parse_args(arguments))
    # As `python -m` does: an app is found from the directory that the command is given in.
    sys.path.insert(0, os.getcwd())
    try:
        app = load_app(options.pop("app"))
        settings = app.settings(**options)
        configure(settings.log_level, settings.log_format)
        worker = app.worker_with_logs(settings)
    except (AppNotFoundError, SettingsError, TypeError, ValueError) as error:
        print(f"drover-worker: {error}", file=sys.stderr)
        return USAGE_ERROR
    run_process(worker)
    return 0


def load_app(reference: str) -> App:
    """The App that `package.module:name` refers to; without a name `app`. Raises AppNotFoundError."""
    module_name, _, name = reference.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name + ".").startswith(error.name + "."):
            raise AppNotFoundError(f"there is no module {error.name}") from None
        raise AppNotFoundError(f"importing {module_name} failed:\n{traceback.format_exc()}") from error
    except Exception as error:
        raise AppNotFoundError(f"importing {module_name} failed:\n{traceback.format_exc()}") from error
    found: Any = getattr(module, name or "app", None)
    if not isinstance(found, App):
        what = "is no App" if found is not None else "is not there"
        raise AppNotFoundError(f"{module_name}:{name or 'app'} {what}")
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="drover-worker",
        description="Run a worker for the tasks of an app.",
        epilog="Each option may also be given in the environment, --log-level as DROVER_LOG_LEVEL and so on.",
    )
    parser.add_argument("app", metavar="MODULE:APP", help="where the App is, for example shop.tasks:app")
    parser.add_argument("--address", help="brokers, host:port, separated by commas (localhost:50051)")
    parser.add_argument(
        "--queues", help="queues, separated by commas, with shares if wanted: a=3,b (default)"
    )
    parser.add_argument("--concurrency", help="jobs that run at a time (8)")
    parser.add_argument("--prefetch", help="jobs taken beyond that, for many short ones (0)")
    parser.add_argument("--drain-timeout", help="seconds that running jobs get to finish at the end (20)")
    parser.add_argument("--worker-name", help="what people see it as (host:pid)")
    parser.add_argument("--log-level", help=f"{', '.join(LEVELS)} (info)")
    parser.add_argument("--log-format", help=f"{', '.join(FORMATS)} (auto: text on a terminal)")
    parser.add_argument("--pool", help="thread or process: where handlers run that do not say so (thread)")
    parser.add_argument("--child-max-runs", help="runs after which a child process is replaced (0: any)")
    parser.add_argument("--child-max-megabytes", help="memory above which it is replaced (0: any)")
    parser.add_argument("--version", action="version", version=f"drover-worker {__version__}")
    return parser
