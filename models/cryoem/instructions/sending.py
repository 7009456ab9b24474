"""What streams of instructions send: claimed, and noted as sent.

Only the newest stream of a session sends. It claims what is to be sent, lets the bytes go, and
notes it after. Killed in between, it has noted nothing: the next stream claims all that its
agent has not acknowledged. An agent may so be told twice, and knows it by the id; never not.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import and_, case, func, or_, select, update
from sqlmodel import Session, col

from core.errors import Conflict
from domains.cryoem.instructions import Priority, Status, resend_after, urgency
from models.cryoem.instructions import live
from models.cryoem.instructions.tables import (
    AgentSession,
    Instruction,
    SessionStatus,
)

#: How many are sent in one go.
_AT_ONCE = 100


@dataclass(frozen=True)
class Patience:
    """How long acknowledgements may take, and how often it is tried again."""

    ack_seconds: float
    resends: int


@dataclass(frozen=True)
class Claimed:
    """What a stream shall send now, in its order, and when to look again."""

    instructions: Sequence[Instruction]
    #: When the next of those that are sent is due again; None: nothing waits for its agent.
    next_due: datetime | None


@dataclass(frozen=True)
class Stream:
    """A stream that asks what to send."""

    session_id: str
    connection_id: str
    #: All that is not acknowledged, whenever it was sent: for an agent that came back.
    again: bool = False


def claim(
    session: Session, streams: Sequence[Stream], *, now: datetime
) -> list[Claimed | Exception]:
    """Claim what streams of different sessions are to send now.

    Returns:
        What each shall send, in their order; Conflict where another stream has taken its place,
        or the session has ended.
    """
    refused = refused_of(session, streams)
    good = [one for one in streams if one not in refused]
    claimed: dict[str, list[Instruction]] = {one.session_id: [] for one in good}
    for again in (False, True):
        for one in _claimed(session, [of for of in good if of.again == again], again, now):
            claimed[one.session_id].append(one)
    later = _due_after(session, claimed, now)
    return [refused.get(one) or _in_order(claimed, later, one.session_id, now) for one in streams]


def _claimed(
    session: Session, streams: Sequence[Stream], again: bool, now: datetime
) -> Iterable[Instruction]:
    if not streams:
        return ()
    resent = and_(
        col(Instruction.status) == Status.SENT,
        *([] if again else [col(Instruction.next_send_at) <= now]),
    )
    fresh = and_(col(Instruction.status) == Status.PENDING, col(Instruction.held).is_(None))
    takers = {one.session_id: one.connection_id for one in streams}
    return session.scalars(
        update(Instruction)
        .where(
            col(Instruction.session_id).in_(sorted(takers)),
            or_(fresh, resent),
            col(Instruction.expires_at) > now,
        )
        .values(claimed_by=case(takers, value=col(Instruction.session_id)))
        .returning(Instruction)
        .execution_options(synchronize_session=False)
    )


def _due_after(
    session: Session, session_ids: Collection[str], now: datetime
) -> dict[str, datetime]:
    """Return when the next of those that are sent is due again, of the sessions that have one."""
    rows = session.execute(
        select(col(Instruction.session_id), func.min(col(Instruction.next_send_at)))
        .where(
            col(Instruction.session_id).in_(sorted(session_ids)),
            col(Instruction.status) == Status.SENT,
            col(Instruction.next_send_at) > now,
        )
        .group_by(col(Instruction.session_id))
    )
    return dict(rows.tuples().all())


def _in_order(
    claimed: Mapping[str, list[Instruction]],
    later: Mapping[str, datetime],
    session_id: str,
    now: datetime,
) -> Claimed:
    mine = sorted(
        claimed[session_id],
        key=lambda one: urgency(Priority(one.priority), one.sequence_number),
    )
    return Claimed(mine[:_AT_ONCE], now if len(mine) > _AT_ONCE else later.get(session_id))


def refused_of(session: Session, streams: Sequence[Stream]) -> dict[Stream, Conflict]:
    """Return why streams may not send, of those that may not."""
    rows = session.execute(
        select(
            col(AgentSession.session_id), col(AgentSession.connection_id), col(AgentSession.status)
        ).where(col(AgentSession.session_id).in_(sorted({one.session_id for one in streams})))
    )
    senders = {row.session_id: row for row in rows}
    refused: dict[Stream, Conflict] = {}
    for one in streams:
        row = senders.get(one.session_id)
        if row is None or row.status != SessionStatus.ACTIVE:
            refused[one] = Conflict(f"Session {one.session_id} has ended.")
        elif row.connection_id != one.connection_id:
            refused[one] = Conflict(
                f"A newer stream of session {one.session_id} has taken the place of this one."
            )
    return refused


@dataclass(frozen=True)
class Sent:
    """What was noted as sent."""

    #: How many had been sent before.
    repeats: int
    #: When each is due again that is to be sent again.
    due: Mapping[UUID, datetime]


def mark_sent(
    session: Session, sent: Collection[Instruction], *, now: datetime, patience: Patience
) -> Sent:
    """Note that the bytes of claimed instructions have left.

    One that was acknowledged, cancelled or expired meanwhile stays so, and is counted only.
    """
    rows = session.scalars(
        select(Instruction)
        .where(col(Instruction.id).in_([one.id for one in sent]))
        # All who lock several do so in this order.
        .order_by(col(Instruction.id))
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    acquisitions = _acquisitions(session, {one.session_id for one in rows})
    news: list[live.News] = []
    repeats = 0
    for one in sorted(rows, key=lambda one: (one.session_id, one.sequence_number)):
        repeats += one.sends > 0
        one.sends += 1
        one.sent_at = one.sent_at or now
        if one.status in {Status.PENDING, Status.SENT}:
            one.status = Status.SENT
            wait = resend_after(one.sends, patience.ack_seconds, patience.resends)
            one.next_send_at = None if wait is None else now + timedelta(seconds=wait)
            news.append(live.lifecycle(one, acquisitions.get(one.session_id)))
        session.add(one)
    session.flush()
    live.announce(session, news)
    return Sent(repeats, {one.id: one.next_send_at for one in rows if one.next_send_at is not None})


def _acquisitions(session: Session, session_ids: Collection[str]) -> dict[str, UUID | None]:
    """Return what sessions are about."""
    rows = session.execute(
        select(col(AgentSession.session_id), col(AgentSession.acquisition_uuid)).where(
            col(AgentSession.session_id).in_(sorted(session_ids))
        )
    )
    return dict(rows.tuples().all())
