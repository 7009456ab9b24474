"""Drain a key's inbox: claimed in batches, handled together, culprits set aside."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from sqlmodel import Session

from blocks.resources import Resources
from core.clock import utcnow
from core.errors import LeaseLost, UnknownParent
from models import drain, inbox
from models.cryoem.instructions.live import News, announce
from models.database import FAULTS
from models.drain import DrainLease
from models.inbox import Missing, Received
from tasks import measuring
from tasks.dead_letters import dead_letters, together
from tasks.draining import Drained, drain_key
from tasks.ringing import Bell, ring

logger = logging.getLogger(__name__)

#: Of what no message is to blame.
_NOT_THE_MESSAGE = (*FAULTS, LeaseLost)


@dataclass
class Outcome:
    """What handling some messages led to, to be done after the commit."""

    done: list[Received] = field(default_factory=list)
    waiting: list[Missing] = field(default_factory=list)
    dead: int = 0
    bells: list[Bell] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)
    events: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    #: Told to pages by the commit.
    news: list[News] = field(default_factory=list)

    def add(self, other: "Outcome") -> None:
        """Take in what another part of the batch led to."""
        self.done += other.done
        self.waiting += other.waiting
        self.dead += other.dead
        self.bells += other.bells
        self.events += other.events
        self.news += other.news
        for what, number in other.notes.items():
            self.notes[what] = self.notes.get(what, 0) + number


@dataclass(frozen=True)
class _Batch:
    """Messages that were handled in one transaction."""

    messages: list[Received]
    outcome: Outcome
    taken_at: datetime
    #: The moment that the rows of what is done have.
    done_at: datetime


class Handler(Protocol):
    """Effects of messages in one transaction; an exception says that a message is at fault."""

    def __call__(self, session: Session, messages: Sequence[Received], /) -> Outcome:
        """Handle messages of one key, in order."""
        ...


#: While batches are full, the run's page is told of one of so many: a page with ten lines a
#: second tells nobody anything, and each line costs Prefect a hundred messages' work.
_FULL_PER_LINE = 10

#: What to do when nothing is left, told what was done so far; returns in how many seconds to
#: look again, or None.
Idle = Callable[[DrainLease, Drained], Awaitable[float | None]]


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
        #: How many messages are to be handled one by one; None before the lease tells.
        self._careful: int | None = None
        #: Whether the last batch was full, so that there may well be more.
        self._more = False
        #: Batches in a row that were full.
        self._full = 0

    async def __call__(self, lease: DrainLease) -> int:
        """Handle one batch; return how many messages it had."""
        here = self._here
        if self._careful is None:
            self._careful = lease.careful
        # Reading first: a look that finds nothing commits nothing, and so wakes nobody.
        if not self._more and not await here.database.read(self.has_work):
            return 0
        claimed = await here.database.write(self._claim, lease) if self._careful else None
        batch = await here.database.write(self._handle, lease, claimed)
        committed_at = utcnow()
        messages, outcome = batch.messages, batch.outcome
        self._careful = max(self._careful - len(messages), 0)
        self._more = inbox.is_full(
            messages, limit=1 if claimed else here.settings.worker.batch_size
        )
        self._full = self._full + 1 if self._more else 0
        if not messages:
            return 0
        measuring.handled(
            lease.flow,
            messages,
            {"done": len(outcome.done), "waiting": len(outcome.waiting), "dead": outcome.dead},
            notes=outcome.notes,
            taken_at=batch.taken_at,
            done_at=batch.done_at,
            committed_at=committed_at,
            on_page=self._full % _FULL_PER_LINE == 0,
        )
        self.drained.batches += 1
        self.drained.messages += len(messages)
        self.drained.waiting += len(outcome.waiting)
        self.drained.dead += outcome.dead
        for what, number in outcome.notes.items():
            self.drained.count(what, number)
        await ring(here, outcome.bells)
        for event, resource, payload in together(outcome.events):
            here.emit(event, resource, payload)
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

    def _claim(self, session: Session, lease: DrainLease) -> list[Received]:
        """Count a try of the next message, which may be the one that runs crash on."""
        seconds = self._here.settings.worker.lease_seconds
        drain.hold(session, lease, now=utcnow(), lease_seconds=seconds)
        messages = self._take(session, limit=1)
        inbox.claim(session, messages, holder=lease.holder, now=utcnow(), lease_seconds=seconds)
        return messages

    def _handle(
        self, session: Session, lease: DrainLease, claimed: list[Received] | None
    ) -> "_Batch":
        taken_at = utcnow()
        settings = self._here.settings.worker
        limit = settings.batch_size if claimed is None else 1
        drain.hold(
            session, lease, now=utcnow(), lease_seconds=settings.lease_seconds, handled=limit
        )
        messages = self._take(session, limit=limit) if claimed is None else claimed
        if not messages:
            return _Batch(messages, Outcome(), taken_at, taken_at)
        outcome = self._apply(session, messages)
        inbox.let_wait(session, outcome.waiting)
        done_at = utcnow()
        inbox.finish(session, outcome.done, now=done_at, flow_run_id=self._flow_run_id)
        announce(session, outcome.news)
        return _Batch(messages, outcome, taken_at, done_at)

    def _take(self, session: Session, *, limit: int) -> list[Received]:
        return inbox.take(
            session,
            flow=self._flow,
            key=self._key,
            now=utcnow(),
            limit=limit,
            max_attempts=self._here.settings.worker.max_attempts,
        )

    def _apply(self, session: Session, messages: Sequence[Received]) -> Outcome:
        """Handle messages together; halve the batch around one that is at fault."""
        try:
            with session.begin_nested():
                return self._handler(session, messages)
        except _NOT_THE_MESSAGE:
            raise
        except Exception as error:  # noqa: BLE001 (the drain's one broad catch: wait, split or bury)
            if len(messages) == 1:
                return self._blame(session, messages[0], error)
            middle = len(messages) // 2
            outcome = self._apply(session, messages[:middle])
            outcome.add(self._apply(session, messages[middle:]))
            return outcome

    def _blame(self, session: Session, message: Received, error: Exception) -> Outcome:
        if isinstance(error, UnknownParent):
            return Outcome(waiting=[Missing(message, error.kind, error.ident)])
        reason = f"{type(error).__name__}: {error}"
        inbox.set_aside(session, message, reason=reason)
        logger.warning(
            "Set message %s aside: %s",
            message.id,
            reason,
            exc_info=error,
            extra={"action": "message_dead", "domain": message.domain, "event_id": str(message.id)},
        )
        event = dead_letters(1, message_id=str(message.id), kind=message.kind, reason=reason)
        return Outcome(dead=1, events=[event])
