"""A real broker for tests: a process with a free port and data of its own, gone when the tests are done."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
from pathlib import Path
from types import TracebackType

START_WITHIN = 60.0
"""Seconds; the first start on a machine may have to unpack nats-server."""
STOP_WITHIN = 10.0


class BrokerProcess:
    """`with BrokerProcess() as broker:` and `broker.address`.

    The broker is the command `drover-broker` (npm install @drover/broker), or what `command` or
    DROVER_BROKER_COMMAND says. Raises FileNotFoundError where there is none, RuntimeError with what it said
    when it does not start.
    """

    def __init__(self, command: str | None = None) -> None:
        said = command or os.environ.get("DROVER_BROKER_COMMAND") or "drover-broker"
        self._command = shlex.split(said)
        if shutil.which(self._command[0]) is None:
            raise FileNotFoundError(
                f"there is no {self._command[0]}: npm install -g @drover/broker, or name it in "
                "DROVER_BROKER_COMMAND"
            )
        self._data = tempfile.mkdtemp(prefix="drover-test-")
        self._port: int | None = None
        self._said: list[str] = []
        self._told = threading.Event()  # that it is ready, or has ended
        # Nothing that is set for somebody's own broker, but for the nats-server to use.
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("DROVER_") or name == "DROVER_NATS_SERVER"
        }
        self._env = {
            **inherited,
            "DROVER_GRPC_PORT": "0",
            "DROVER_HTTP_PORT": "0",
            "DROVER_DATA_DIR": self._data,
            "DROVER_LOG_FORMAT": "json",
        }
        self._process: subprocess.Popen[str] | None = None

    @property
    def address(self) -> str:
        """Raises RuntimeError before it has started: it takes a port that is free then."""
        if self._port is None:
            raise RuntimeError("the broker has no address yet: start it first")
        return f"127.0.0.1:{self._port}"

    def __enter__(self) -> BrokerProcess:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Returns once it is ready."""
        self._process = subprocess.Popen(
            self._command,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # Ctrl-C in a test run is for the tests: they stop it
        )
        threading.Thread(target=self._read, args=(self._process,), daemon=True).start()
        self._told.wait(START_WITHIN)
        if self._port is None:
            raise RuntimeError("the broker did not start:\n" + "\n".join(self._said[-20:]))

    def stop(self) -> None:
        """Ends it, nats-server and all, and removes its data."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(STOP_WITHIN)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if Path(self._data).exists():
            shutil.rmtree(self._data, ignore_errors=True)

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._said.append(line.rstrip())
            del self._said[:-500]
            if '"msg":"ready"' in line:
                self._port = json.loads(line)["grpcPort"]
                self._told.set()
        self._told.set()
