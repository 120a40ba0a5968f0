"""A worker: holds leases, runs their tasks, stays attached to some broker, and drains when it is stopped.

It speaks to the broker in an event loop and a thread of its own. Async handlers run in the loop that `run` is
awaited in, sync ones in threads or processes: a handler that never yields holds up others of its kind, but no
sign of life, no time limit and no outcome.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence

from drover.sdk.access import Access
from drover.v1 import worker_service_pb2

from .attachment import Attachment
from .cancellation import CancelReason
from .inputs import InputPages
from .ledger import Ledger
from .log_events import event
from .mailbox import Mailbox
from .outbox import Outbox
from .processes import ProcessPool
from .report import failure_report, release_report
from .run import Places
from .runs import Runs, is_isolated
from .session import CHANNEL_OPTIONS
from .settings import Settings
from .task import Task
from .threads import HandlerThreads
from .version import SDK

MAX_TASKS = 1000
"""The contract's limit."""
SIGNAL_GRACE = 1.0
"""Seconds that handlers get to end by themselves when the drain time-out is over, before their jobs are
given back."""
SETTLE_TIMEOUT = 5.0
"""Seconds to wait at the end of a drain until the broker has settled every outcome."""

_CANCEL_REASONS = {
    worker_service_pb2.CANCEL_REASON_TIME_LIMIT: CancelReason.TIME_LIMIT,
    worker_service_pb2.CANCEL_REASON_LEASE_LOST: CancelReason.LEASE_LOST,
}


Hook = Callable[[], Awaitable[None] | None]


class Worker:
    """Runs once: `run()` until `stop()`. Everything but those two belongs to the loop that speaks to the
    broker."""

    def __init__(
        self,
        tasks: Mapping[str, Task],
        settings: Settings,
        *,
        on_start: Sequence[Hook] = (),
        on_stop: Sequence[Hook] = (),
        on_child_start: Sequence[Callable[[], None]] = (),
        child_logs: bool = False,
    ) -> None:
        """`child_logs`: child processes set up logging as the worker's process does."""
        if not tasks:
            raise ValueError("a worker needs at least one task")
        if len(tasks) > MAX_TASKS:
            raise ValueError(f"a worker can serve {MAX_TASKS:,} tasks at most, not {len(tasks):,}")
        self._tasks = tasks
        self._settings = settings
        self._instance = uuid.uuid4().hex
        self._ledger = Ledger()
        self._threads = HandlerThreads("drover-handler")
        self._stopping = False
        self._on_start = on_start
        self._on_stop = on_stop
        self._access = Access(CHANNEL_OPTIONS, settings.tls, settings.metadata)
        isolated = [task for task in tasks.values() if is_isolated(task, settings)]
        self._processes = ProcessPool(isolated, on_child_start, settings, child_logs) if isolated else None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.attached_once = threading.Event()
        """Set as soon as some broker has taken the worker in."""
        self.finished = threading.Event()
        """Set when nothing is left to be told to a broker."""

    async def run(self) -> None:
        """Works until `stop()` was called and the drain is done. Never raises for a broker that cannot be
        reached. Raises what a start hook raises, before anything is leased."""
        handlers = Mailbox(asyncio.get_running_loop())
        try:
            for hook in self._on_start:
                await _called(hook)
            await self._run_in_thread(handlers)
        finally:
            self.finished.set()
            if self._processes is not None:
                self._processes.close()
            for hook in self._on_stop:
                await _called(hook)

    def stop(self) -> None:
        """Drain and end `run()`. May be called from any thread, and more than once."""
        self._stopping = True
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended
                loop.call_soon_threadsafe(self._stop.set)

    async def _run_in_thread(self, handlers: Mailbox) -> None:
        """`_work` in a thread and loop of its own. Cancelled, it is cancelled there, and its end awaited."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        work: list[asyncio.Task[None]] = []

        async def working() -> None:
            work.append(asyncio.create_task(self._work(handlers)))
            await work[0]

        def serve() -> None:
            failed: BaseException | None = None
            try:
                asyncio.run(working())
            except BaseException as error:
                failed = error
            self.finished.set()
            handlers.post(_settle, ended, failed)

        threading.Thread(target=serve, name="drover-worker", daemon=True).start()
        try:
            await asyncio.shield(ended)
        except asyncio.CancelledError:
            if not ended.done() and work:
                work[0].get_loop().call_soon_threadsafe(work[0].cancel)
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.shield(ended)
            raise

    async def _work(self, handlers: Mailbox) -> None:
        self._outbox = Outbox(self._ledger)
        self._stop = asyncio.Event()
        self._moved = asyncio.Event()  # a run ended or an outcome was settled
        self._loop = asyncio.get_running_loop()
        if self._stopping:
            return
        settings = self._settings
        inputs = InputPages(settings.addresses, self._access)
        places = Places(Mailbox(self._loop), handlers, self._threads, self._processes, inputs)
        self._runs = Runs(
            self._tasks, settings, self._ledger, self._outbox, places, self._moved.set, self._tell_credit
        )
        if self._processes is not None:
            self._processes.start()
        event(
            logging.INFO,
            "worker_started",
            worker=settings.name,
            tasks=",".join(sorted(self._tasks)),
            queues=",".join(settings.queues),
            concurrency=settings.concurrency,
        )
        attachment = Attachment(settings.addresses, self._access, self._outbox, self._ledger, self)
        connection = attachment.start()
        stop = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((connection, stop), return_when=asyncio.FIRST_COMPLETED)
            if connection.done():  # it never ends by itself: this raises what went wrong
                connection.result()
            await self._drain()
        finally:
            stop.cancel()
            await attachment.leave()
            await inputs.close()
            self._threads.close()
        event(logging.INFO, "worker_stopped", unsettled=len(self._ledger), running=len(self._runs))

    # --- what the broker says (AttachmentListener) ---

    def hello(self) -> worker_service_pb2.Attach:
        tasks = [
            worker_service_pb2.TaskRegistration(task=task.name, concurrency=task.concurrency or 0)
            for task in self._tasks.values()
        ]
        queues = [
            worker_service_pb2.QueueSubscription(queue=queue, weight=weight)
            for queue, weight in self._settings.queues.items()
        ]
        return worker_service_pb2.Attach(
            worker=self._settings.name,
            instance=self._instance,
            tasks=tasks,
            queues=queues,
            credit=worker_service_pb2.Credit(jobs=self._credit()),
            held=self._ledger.tokens[:10_000],
            sdk=SDK,
        )

    def attached(self, attached: worker_service_pb2.Attached) -> None:
        lost = self._ledger.attach((held.token, held.lease_id) for held in attached.held)
        event(
            logging.INFO,
            "worker_attached",
            broker=attached.broker,
            held=len(attached.held),
            lost=len(lost),
        )
        self.attached_once.set()
        for token in lost:
            self._runs.cancel(token, CancelReason.LEASE_LOST)
        for held in attached.held:
            if held.cancel_requested:
                self._runs.cancel(held.token, CancelReason.REQUESTED)

    def leased(self, leases: worker_service_pb2.Leases) -> None:
        now = time.monotonic()
        for lease in leases.leases:
            if not self._ledger.take(lease):
                continue
            if self._stopping:
                self._outbox.outcome(lease.token, release_report())
            elif lease.task not in self._tasks:
                unknown = LookupError(f"worker {self._settings.name} has no task {lease.task}")
                self._outbox.outcome(lease.token, failure_report(unknown))
            else:
                self._runs.put(lease, now)
        self._runs.fill()

    def settled(self, settled: worker_service_pb2.Settled) -> None:
        for lease_id in settled.recorded:
            self._ledger.settle(lease_id)
        for refused in settled.refused:
            self._ledger.settle(refused.lease_id, refused.token)
            # What was sent again after a lost connection may have been recorded the first time.
            repeated = refused.error.reason == "ALREADY_REPORTED"
            event(
                logging.DEBUG if repeated else logging.WARNING,
                "outcome_refused",
                lease_id=refused.lease_id,
                reason=refused.error.reason,
                details=refused.error.message,
            )
        self._moved.set()

    def cancelled(self, cancel: worker_service_pb2.CancelLeases) -> None:
        for lease in cancel.leases:
            token = self._ledger.token_of(lease.lease_id)
            if token is not None:
                self._runs.cancel(token, _CANCEL_REASONS.get(lease.reason, CancelReason.REQUESTED))

    def _credit(self) -> int:
        return 0 if self._stopping else max(0, self._settings.credit - self._runs.outlived)

    def _tell_credit(self) -> None:
        self._outbox.credit(self._credit())

    # --- draining ---

    async def _drain(self) -> None:
        event(logging.INFO, "worker_draining", running=len(self._runs), waiting=self._runs.waiting)
        self._outbox.drain()
        self._outbox.credit(0)
        self._runs.give_back_waiting()
        if not await self._until(lambda: not self._runs, self._settings.drain_timeout):
            self._runs.shut_down()
            await self._until(lambda: not self._runs, SIGNAL_GRACE)
            self._runs.give_back_running()
        await self._until(lambda: len(self._ledger) == 0, SETTLE_TIMEOUT)

    async def _until(self, reached: Callable[[], bool], timeout: float) -> bool:
        """Whether it was so within `timeout` seconds; looked at whenever a run ends or an outcome is
        settled."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while not reached():
            self._moved.clear()
            try:
                await asyncio.wait_for(self._moved.wait(), deadline - loop.time())
            except asyncio.TimeoutError:
                return reached()
        return True


async def _called(hook: Hook) -> None:
    result = hook()
    if inspect.isawaitable(result):
        await result


def _settle(ended: asyncio.Future[None], failed: BaseException | None) -> None:
    if ended.done():
        return
    if failed is None or isinstance(failed, asyncio.CancelledError):
        ended.set_result(None)
    else:
        ended.set_exception(failed)
