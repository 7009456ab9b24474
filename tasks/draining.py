"""Drain a key: handle all that is stored for it, in batches, and linger for what follows.

One run drains a flow's key at a time (`models.drain`); it renews its hold with every
transaction, so that a run which lost it can change nothing.
"""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Protocol
from uuid import uuid4

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlmodel import Session

from blocks.resources import Resources
from core.clock import utcnow
from core.errors import LeaseLost, StorageUnavailable, UnknownParent
from messaging.doorbell import woken
from models import drain, inbox
from models.cryoem.predictions import Missing
from models.drain import DrainLease
from models.inbox import InboxMessage
from models.work import Lease
from tasks.ringing import Bell, ring

logger = logging.getLogger(__name__)

#: A run that has drained for so long ends, so that Prefect's pages show news; another follows.
_LONGEST_RUN = 600.0
#: Faults of the database, of which no message is to blame.
_NOT_THE_MESSAGE = (OperationalError, InterfaceError, StorageUnavailable, LeaseLost)


@dataclass
class Drained:
    """What a run did."""

    messages: int = 0
    waiting: int = 0
    dead: int = 0
    batches: int = 0
    notes: dict[str, int] = field(default_factory=dict)
    #: False when another run was at work on the key.
    ran: bool = True

    def count(self, what: str, number: int) -> None:
        """Add to a number that the run's artifact will show."""
        if number:
            self.notes[what] = self.notes.get(what, 0) + number


@dataclass
class Outcome:
    """What handling some messages led to, to be done after the commit."""

    done: list[InboxMessage] = field(default_factory=list)
    waiting: list[Missing] = field(default_factory=list)
    dead: int = 0
    bells: list[Bell] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)
    events: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def add(self, other: "Outcome") -> None:
        """Take in what another part of the batch led to."""
        self.done += other.done
        self.waiting += other.waiting
        self.dead += other.dead
        self.bells += other.bells
        self.events += other.events
        for what, number in other.notes.items():
            self.notes[what] = self.notes.get(what, 0) + number


class Handler(Protocol):
    """Effects of messages in one transaction; an exception says that a message is at fault."""

    def __call__(self, session: Session, messages: Sequence[InboxMessage], /) -> Outcome:
        """Handle messages of one key, in order."""
        ...


#: Does one batch; returns how much was done: 0 when nothing was left.
Step = Callable[[DrainLease], Awaitable[int]]
#: What to do when nothing is left; returns in how many seconds to look again, or None.
Rest = Callable[[DrainLease], Awaitable[float | None]]
Idle = Callable[[DrainLease, Drained], Awaitable[float | None]]


def holder_name() -> str:
    """Return a name for this run that no other has, readable in the tables."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"


async def drain_key(
    here: Resources,
    *,
    flow: str,
    key: str,
    step: Step,
    has_work: Callable[[Session], bool],
    idle: Rest | None = None,
    linger_seconds: float | None = None,
) -> bool:
    """Run `step` until nothing is left and nothing came for a while; False if another run does.

    Errors of a step end the drain; what is not done stays stored.
    """
    settings = here.settings.worker
    linger = settings.linger_seconds if linger_seconds is None else linger_seconds
    deadline = monotonic() + _LONGEST_RUN
    async with holding(here, flow=flow, key=key) as lease:
        if lease is None:
            return False
        with here.doorbell.listening(flow, key) as event:
            quiet_since = monotonic()
            while True:
                event.clear()
                late = monotonic() >= deadline
                if await step(lease):
                    quiet_since = monotonic()
                    if not late:
                        continue
                again = await idle(lease) if idle else None
                # Being woken for nothing prolongs no wait: on SQLite any commit wakes all.
                waits = [quiet_since + linger - monotonic(), *([] if again is None else [again])]
                left = [seconds for seconds in waits if seconds > 0]
                if left and not late:
                    await woken(event, timeout=min(left))
                    continue
                if await here.database.write(_finish, lease, has_work, settings.lease_seconds):
                    return True
                if late:
                    break
    await ring(here, [(flow, key)])
    return True


@asynccontextmanager
async def holding(here: Resources, *, flow: str, key: str) -> AsyncIterator[DrainLease | None]:
    """Hold a flow's key for this run alone; gives None when another run holds it."""
    seconds = here.settings.worker.lease_seconds
    lease = await here.database.write(
        drain.begin,
        flow=flow,
        key=key,
        holder=holder_name(),
        now=utcnow(),
        lease_seconds=seconds,
    )
    if lease is None:
        yield None
        return
    keeper = asyncio.create_task(_keep(here, lease, seconds), name=f"lease {flow} {key}")
    try:
        yield lease
    finally:
        keeper.cancel()
        with suppress(asyncio.CancelledError):
            await keeper
        await here.database.write(drain.finish, lease)


def _finish(
    session: Session, lease: DrainLease, has_work: Callable[[Session], bool], seconds: float
) -> bool:
    # Holding the row first makes a ring that is under way wait for us, or us for it.
    drain.hold(session, lease, now=utcnow(), lease_seconds=seconds)
    if has_work(session):
        return False
    drain.finish(session, lease)
    return True


async def _keep(here: Resources, lease: DrainLease, seconds: float) -> None:
    """Renew the lease while a long step (a slow Athena) is under way."""
    while True:
        await asyncio.sleep(seconds / 3)
        with suppress(LeaseLost, StorageUnavailable, OperationalError):
            await here.database.write(drain.hold, lease, now=utcnow(), lease_seconds=seconds)


async def drain_inbox(
    here: Resources,
    *,
    flow: str,
    key: str,
    handler: Handler,
    flow_run_id: str | None,
    idle: Idle | None = None,
    linger_seconds: float | None = None,
) -> Drained:
    """Handle all messages of a flow's key; return what was done."""
    step = InboxStep(here, flow, key, handler, flow_run_id)
    step.drained.ran = await drain_key(
        here,
        flow=flow,
        key=key,
        step=step,
        has_work=step.has_work,
        idle=lambda lease: idle(lease, step.drained) if idle else _nothing(),
        linger_seconds=linger_seconds,
    )
    return step.drained


async def _nothing() -> None:
    return None


class InboxStep:
    """One batch from the inbox: claimed, handled and marked done; culprits set aside."""

    def __init__(
        self, here: Resources, flow: str, key: str, handler: Handler, flow_run_id: str | None
    ) -> None:
        """Take whose messages to handle, and what handles them."""
        self.drained = Drained()
        self._here = here
        self._flow = flow
        self._key = key
        self._handler = handler
        self._flow_run_id = flow_run_id

    async def __call__(self, lease: DrainLease) -> int:
        """Handle one batch; return how many messages it had."""
        here = self._here
        # Reading first: a look that finds nothing commits nothing, and so wakes nobody.
        if not await here.database.read(self.has_work):
            return 0
        claimed, messages = await here.database.write(self._claim, lease)
        if not messages:
            return 0
        outcome = await here.database.write(self._handle, lease, claimed, messages)
        self.drained.batches += 1
        self.drained.messages += len(messages)
        self.drained.waiting += len(outcome.waiting)
        self.drained.dead += outcome.dead
        for what, number in outcome.notes.items():
            self.drained.count(what, number)
        await ring(here, outcome.bells)
        for event, resource, payload in outcome.events:
            here.emit(event, resource, payload)
        logger.info(
            "%s handled %d messages of %s",
            lease.flow,
            len(messages),
            lease.key,
            extra={
                "action": "batch_done",
                "domain": "cryoem",
                "flow_run_id": self._flow_run_id,
                "key": lease.key,
                "messages": len(messages),
            },
        )
        return len(messages)

    def has_work(self, session: Session) -> bool:
        """Return whether there is something to claim."""
        return inbox.has_work(
            session,
            flow=self._flow,
            key=self._key,
            now=utcnow(),
            max_attempts=self._here.settings.worker.max_attempts,
        )

    def _claim(self, session: Session, lease: DrainLease) -> tuple[Lease, list[InboxMessage]]:
        settings = self._here.settings.worker
        drain.hold(session, lease, now=utcnow(), lease_seconds=settings.lease_seconds)
        return inbox.claim_messages(
            session,
            flow=lease.flow,
            key=lease.key,
            holder=lease.holder,
            now=utcnow(),
            lease_seconds=settings.lease_seconds,
            limit=settings.batch_size,
            max_attempts=settings.max_attempts,
        )

    def _handle(
        self,
        session: Session,
        lease: DrainLease,
        claimed: Lease,
        messages: Sequence[InboxMessage],
    ) -> Outcome:
        seconds = self._here.settings.worker.lease_seconds
        drain.hold(session, lease, now=utcnow(), lease_seconds=seconds)
        outcome = self._apply(session, claimed, messages)
        for missing in outcome.waiting:
            inbox.let_wait(
                session, [missing.message], claimed, what=missing.what, ident=missing.ident
            )
        inbox.finish(session, outcome.done, claimed, now=utcnow(), flow_run_id=self._flow_run_id)
        return outcome

    def _apply(self, session: Session, claimed: Lease, messages: Sequence[InboxMessage]) -> Outcome:
        """Handle messages together; halve the batch around one that is at fault."""
        try:
            with session.begin_nested():
                return self._handler(session, messages)
        except _NOT_THE_MESSAGE:
            raise
        except Exception as error:  # noqa: BLE001 (the drain's one broad catch: wait, split or bury)
            if len(messages) == 1:
                return self._blame(session, claimed, messages[0], error)
            middle = len(messages) // 2
            outcome = self._apply(session, claimed, messages[:middle])
            outcome.add(self._apply(session, claimed, messages[middle:]))
            return outcome

    def _blame(
        self, session: Session, claimed: Lease, message: InboxMessage, error: Exception
    ) -> Outcome:
        if isinstance(error, UnknownParent):
            return Outcome(waiting=[Missing(message, error.kind, error.ident)])
        reason = f"{type(error).__name__}: {error}"
        inbox.set_aside(session, message, claimed, reason=reason)
        logger.warning(
            "Set message %s aside: %s",
            message.id,
            reason,
            exc_info=error,
            extra={"action": "message_dead", "domain": message.domain, "event_id": str(message.id)},
        )
        event = (
            "athanor.cryoem.message.dead",
            f"athanor.message.{message.id}",
            {"message_id": str(message.id), "kind": message.kind, "reason": reason[:500]},
        )
        return Outcome(dead=1, events=[event])
