"""Row 29, the command: processes of their own, and what signals do to them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from drover_client import Client

PATIENCE = 45
COMMAND = Path(sys.executable).with_name("drover-worker")


class Command:
    """`drover-worker shop:app` with these flags, and what it logs."""

    def __init__(self, broker: str, *flags: str) -> None:
        self._process = subprocess.Popen(
            [COMMAND, "shop:app", *flags],
            cwd=Path(__file__).parent,
            env={**os.environ, "DROVER_ADDRESS": broker},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.told: list[dict[str, Any]] = []

    def tells(self, name: str) -> dict[str, Any]:
        """The next line of the event `name`. Reading waits for as long as the process lives."""
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.told.append(json.loads(line))
            if self.told[-1].get("event") == name:
                return self.told[-1]
        raise AssertionError(f"it ended without {name}: {self.told}")

    def gets(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def ends(self) -> int:
        _, rest = self._process.communicate(timeout=PATIENCE)
        self.told += [json.loads(line) for line in rest.splitlines()]
        return self._process.returncode

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def command(drover_broker: str) -> Iterator[Callable[..., Command]]:
    """`command("--queues", "letters")`; what is left of it is killed."""
    started: list[Command] = []

    def start(*flags: str) -> Command:
        started.append(Command(drover_broker, *flags))
        return started[-1]

    yield start
    for one in started:
        one.kill()


async def test_29_worker_command(client: Client, command: Callable[..., Command], tmp_path: Path) -> None:
    worker = command("--queues", "letters=3,parcels", "--worker-name", "by-command", "--log-level", "debug")
    job = await client.submit("users.process", {"user_id": 7}, queue="parcels")
    assert await job.result(PATIENCE) == {"user": 7, "said": "hello"}
    gate = tmp_path / "gate"
    slow = await client.submit("gate.wait", {"gate": str(gate)}, queue="letters")
    while worker.tells("task_started")["job_id"] != slow.id:
        pass
    worker.gets(signal.SIGTERM)
    worker.tells("worker_draining")
    gate.touch()
    assert worker.ends() == 0
    assert await slow.result(PATIENCE) == "opened"
    status = await slow.status()
    assert (status.attempt, status.worker) == (1, "by-command")


@pytest.mark.parametrize(
    ("level", "events"), [("error", set()), ("info", {"task_started", "task_completed"})]
)
async def test_29_the_log_level_is_the_flags(
    client: Client, command: Callable[..., Command], level: str, events: set[str]
) -> None:
    worker = command("--queues", f"at-{level}", "--log-level", level)
    job = await client.submit("users.process", {"user_id": 7}, queue=f"at-{level}")
    await job.result(PATIENCE)
    worker.gets(signal.SIGTERM)
    assert worker.ends() == 0
    told = {line.get("event", "") for line in worker.told}
    assert {event for event in told if event.startswith("task_")} == events


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_29_a_second_signal_ends_the_worker_at_once(
    client: Client, command: Callable[..., Command], tmp_path: Path, number: signal.Signals
) -> None:
    worker = command("--queues", f"twice-{number.name}")
    job = await client.submit("gate.wait", {"gate": str(tmp_path / "never")}, queue=f"twice-{number.name}")
    worker.tells("task_started")
    worker.gets(number)
    worker.tells("worker_draining")
    worker.gets(number)
    assert worker.ends() == 1

    async def crashed() -> None:
        while (await job.status()).crashes == 0:  # noqa: ASYNC110  only the broker knows
            await asyncio.sleep(0.02)

    await asyncio.wait_for(crashed(), PATIENCE)
