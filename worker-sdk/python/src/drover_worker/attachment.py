"""Staying attached to some broker, for ever or until told to leave.

A stream that breaks is taken up again at once, here or at the next address; a broker that stops is left
only when another one has taken over what is held, so that no lease is without a session for longer than it
must.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from typing import Protocol

from drover.sdk.access import Access
from drover.v1 import worker_service_pb2

from .ledger import Ledger
from .log_events import event
from .outbox import Outbox
from .reconnect import Reconnect
from .session import LEAVE_TIMEOUT, Session, SessionEnd, SessionListener, Why

SUCCESSOR_EVERY = 0.5
"""Longest wait, in seconds, between two looks for a broker to take over from one that stops."""


class AttachmentListener(SessionListener, Protocol):
    def hello(self) -> worker_service_pb2.Attach:
        """What to attach with, just now."""

    def attached(self, attached: worker_service_pb2.Attached) -> None:
        """A new session has begun; names of leases in the last one mean nothing any more."""


class Attachment:
    def __init__(
        self,
        addresses: Sequence[str],
        access: Access,
        outbox: Outbox,
        ledger: Ledger,
        listener: AttachmentListener,
    ) -> None:
        self._access = access
        self._reconnect = Reconnect(addresses, random.random)
        self._outbox = outbox
        self._ledger = ledger
        self._listener = listener
        self._session: Session | None = None
        self._running: asyncio.Task[None] | None = None
        self._leaving = False
        self._wait = 0.0  # seconds, after the session that ended last

    def start(self) -> asyncio.Task[None]:
        """The task that stays attached. It ends by itself only if there is a fault in it."""
        self._running = asyncio.create_task(self._stay())
        return self._running

    async def leave(self) -> None:
        """In good order where there is a session, at once where there is none."""
        self._leaving = True
        assert self._running is not None
        if self._session is not None:
            self._session.close()
            await asyncio.wait((self._running,), timeout=2 * LEAVE_TIMEOUT)
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    async def _stay(self) -> None:
        while not self._leaving:
            session = await self._attach()
            if isinstance(session, SessionEnd):
                wait = self._reconnect.after_failure()
                self._log("attach_failed", session, wait)
                await asyncio.sleep(wait)
                continue
            served: Session | None = session
            while served is not None:
                served = await self._serve(served)
            if not self._leaving:
                await asyncio.sleep(self._wait)

    async def _attach(self) -> Session | SessionEnd:
        """A session at the address whose turn it is. What is held changes its names only if it comes to
        one."""
        session = Session(self._reconnect.address, self._access, self._outbox, self._listener)
        attached: worker_service_pb2.Attached | SessionEnd | None = None
        try:
            attached = await session.attach(self._hello)
        finally:
            self._outbox.resume()
            if not isinstance(attached, worker_service_pb2.Attached):
                await session.abandon()
        if isinstance(attached, SessionEnd):
            return attached
        self._ledger.detach()
        self._outbox.reset()
        self._listener.attached(attached)
        return session

    def _hello(self) -> worker_service_pb2.Attach:
        # An old session must not report what the new one is just being given.
        self._outbox.pause()
        return self._listener.hello()

    async def _serve(self, session: Session) -> Session | None:
        """Until the session is over. The one that has taken over from it, if there is one."""
        self._session = session
        speaking = asyncio.create_task(session.speak())
        succession = asyncio.create_task(self._succeed(session))
        successor: Session | None = None
        try:
            await asyncio.wait((speaking, succession), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (speaking, succession):
                task.cancel()
            await asyncio.gather(speaking, succession, return_exceptions=True)
            # Not by how the wait ended: a succession can come about in the very moment it is cancelled.
            if not succession.cancelled() and succession.exception() is None:
                successor = succession.result()
            self._session = successor
            await session.abandon()
        if successor is None:
            self._ledger.detach()
            self._ended(session, speaking.result())
        elif self._leaving:
            successor.close()
        return successor

    async def _succeed(self, old: Session) -> Session:
        """Once `old`'s broker stops: looks for one to take over, while the old one goes on settling."""
        await old.draining.wait()
        event(logging.INFO, "broker_stops", held=len(self._ledger))
        self._reconnect.elsewhere()
        while True:
            if len(self._ledger) == 0:
                # Nothing to take over (any more): the old session is closed, and a new one found as ever.
                old.close()
                await asyncio.Event().wait()  # its end ends this
            session = await self._attach()
            if isinstance(session, Session):
                # Before anything else runs: the names of the leases are the new session's now.
                old.silence()
                return session
            await asyncio.sleep(min(SUCCESSOR_EVERY, self._reconnect.after_failure()))

    def _ended(self, session: Session, end: SessionEnd) -> None:
        elsewhere = end.why is Why.SILENT
        wait = self._reconnect.after_session(session.lived, elsewhere)
        if not self._leaving:
            self._log("worker_detached", end, wait)
        self._wait = wait

    def _log(self, name: str, end: SessionEnd, wait: float) -> None:
        # Not being let in for what one says is for somebody to mend; a broker that is away comes back by
        # itself.
        level = logging.ERROR if end.code in ("INVALID_ARGUMENT", "UNIMPLEMENTED") else logging.WARNING
        if end.why is Why.CLOSED:
            level = logging.INFO
        event(level, name, reason=end.why.value, code=end.code, details=end.details, retry_in=round(wait, 3))
