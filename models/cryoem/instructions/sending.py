"""Streams of instructions: opened, claimed for, noted as sent, closed, and found dead.

Only the newest stream of a session sends. It claims what is to be sent, lets the bytes go, and
notes it after. Killed in between, it has noted nothing: the next stream claims all that its
agent has not acknowledged. An agent may so be told twice, and knows it by the id; never not.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, or_, select, update
from sqlmodel import Session, col

from core.errors import Conflict
from domains.cryoem.instructions import Priority, Status, resend_after, urgency
from models.cryoem.instructions import live, sessions
from models.cryoem.instructions.tables import (
    AgentConnection,
    AgentSession,
    ConnectionStatus,
    Instruction,
    SessionStatus,
)

#: As a connection's `close_reason`.
SUPERSEDED = "superseded"
GONE = "client_disconnect"
STALE = "stale_connection"

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


def open_stream(
    session: Session,
    *,
    agent_id: str,
    session_id: str,
    connection_id: str,
    client_info: dict[str, Any],
    now: datetime,
) -> AgentSession:
    """Make a stream the one that sends; it takes the place of one before it.

    Raises:
        NotFound, Conflict: The agent has no such session, or it has ended.
    """
    of = sessions.get(session, session_id, agent=agent_id, lock=True)
    sessions.require_active(of)
    _close(session, _active(session_id), SUPERSEDED, now)
    session.add(
        AgentConnection(
            connection_id=connection_id,
            session_id=session_id,
            agent_id=agent_id,
            client_info=client_info,
            created_at=now,
            last_heartbeat_at=now,
        )
    )
    of.connection_id, of.last_activity_at = connection_id, now
    session.add(of)
    session.flush()
    live.announce(session, [live.agent_status(of, online=True, heard_at=now, connections=1)])
    return of


def claim(
    session: Session, *, session_id: str, connection_id: str, now: datetime, again: bool = False
) -> Claimed:
    """Claim what a stream is to send now.

    Args:
        session: The transaction.
        session_id: Whose instructions.
        connection_id: The stream.
        now: The time.
        again: All that is not acknowledged, whenever it was sent: for an agent that came back.

    Raises:
        Conflict: Another stream has taken its place, or the session has ended.
    """
    require_stream(session, session_id, connection_id)
    resent = and_(
        col(Instruction.status) == Status.SENT,
        *([] if again else [col(Instruction.next_send_at) <= now]),
    )
    fresh = and_(col(Instruction.status) == Status.PENDING, col(Instruction.held).is_(None))
    claimed = list(
        session.scalars(
            update(Instruction)
            .where(
                col(Instruction.session_id) == session_id,
                or_(fresh, resent),
                col(Instruction.expires_at) > now,
            )
            .values(claimed_by=connection_id)
            .returning(Instruction)
            .execution_options(synchronize_session=False)
        )
    )
    claimed.sort(key=lambda one: urgency(Priority(one.priority), one.sequence_number))
    later = session.scalar(
        select(col(Instruction.next_send_at))
        .where(
            col(Instruction.session_id) == session_id,
            col(Instruction.status) == Status.SENT,
            col(Instruction.next_send_at) > now,
        )
        .order_by(col(Instruction.next_send_at))
        .limit(1)
    )
    return Claimed(claimed[:_AT_ONCE], now if len(claimed) > _AT_ONCE else later)


def require_stream(session: Session, session_id: str, connection_id: str) -> None:
    """Raise Conflict unless a stream is still the one that sends."""
    row = session.execute(
        select(col(AgentSession.connection_id), col(AgentSession.status)).where(
            col(AgentSession.session_id) == session_id
        )
    ).one_or_none()
    if row is None or row.status != SessionStatus.ACTIVE:
        raise Conflict(f"Session {session_id} has ended.")
    if row.connection_id != connection_id:
        raise Conflict(f"A newer stream of session {session_id} has taken the place of this one.")


@dataclass(frozen=True)
class Sent:
    """What was noted as sent."""

    #: How many had been sent before.
    repeats: int
    #: When the first of them is due again.
    next_due: datetime | None


def mark_sent(
    session: Session, sent: Collection[Instruction], *, now: datetime, patience: Patience
) -> Sent:
    """Note that the bytes of claimed instructions have left.

    One that was acknowledged, cancelled or expired meanwhile stays so, and is counted only.
    """
    rows = session.scalars(
        select(Instruction)
        .where(col(Instruction.id).in_([one.id for one in sent]))
        .order_by(col(Instruction.sequence_number))
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    news: list[live.News] = []
    repeats = 0
    for one in rows:
        repeats += one.sends > 0
        one.sends += 1
        one.sent_at = one.sent_at or now
        if one.status in {Status.PENDING, Status.SENT}:
            one.status = Status.SENT
            wait = resend_after(one.sends, patience.ack_seconds, patience.resends)
            one.next_send_at = None if wait is None else now + timedelta(seconds=wait)
            of = session.get(AgentSession, one.session_id)
            news.append(live.lifecycle(one, of.acquisition_uuid if of else None))
        session.add(one)
    session.flush()
    live.announce(session, news)
    due = [one.next_send_at for one in rows if one.next_send_at is not None]
    return Sent(repeats, min(due, default=None))


def heard(session: Session, *, session_id: str, now: datetime) -> AgentConnection | None:
    """Note that an agent was heard of on its stream; None when it has none open."""
    found = session.scalar(_active(session_id).with_for_update())
    if found is not None:
        found.last_heartbeat_at = now
        session.add(found)
    return found


def alive(session: Session, *, session_id: str, connection_id: str, now: datetime) -> None:
    """Note that a stream's bytes are taken.

    Raises:
        Conflict: Another stream has taken its place, or the session has ended.
    """
    require_stream(session, session_id, connection_id)
    heard(session, session_id=session_id, now=now)


def close_stream(
    session: Session, *, connection_id: str, reason: str, now: datetime
) -> AgentSession | None:
    """Note that a stream has ended; returns its session when no other took its place."""
    closed = _close(
        session,
        select(AgentConnection).where(
            col(AgentConnection.connection_id) == connection_id,
            col(AgentConnection.status) == ConnectionStatus.ACTIVE,
        ),
        reason,
        now,
    )
    gone = _gone(session, closed)
    live.announce(session, [_offline(of, stream) for of, stream in gone])
    return gone[0][0] if gone else None


def find_offline(session: Session, *, now: datetime, stale_seconds: float) -> list[AgentSession]:
    """Close streams of agents that were not heard of for so long; return their sessions.

    Each agent that goes offline is returned once: by the stream that ends, or here.
    """
    closed = _close(
        session,
        select(AgentConnection)
        .where(
            col(AgentConnection.status) == ConnectionStatus.ACTIVE,
            col(AgentConnection.last_heartbeat_at) < now - timedelta(seconds=stale_seconds),
        )
        .order_by(col(AgentConnection.connection_id))
        .limit(1_000),
        STALE,
        now,
    )
    gone = _gone(session, closed)
    live.announce(session, [_offline(of, stream) for of, stream in gone])
    return [of for of, _ in gone]


def _active(session_id: str) -> Any:
    return select(AgentConnection).where(
        col(AgentConnection.session_id) == session_id,
        col(AgentConnection.status) == ConnectionStatus.ACTIVE,
    )


def _close(session: Session, which: Any, reason: str, now: datetime) -> list[AgentConnection]:
    closed = list(session.scalars(which.with_for_update()))
    for one in closed:
        one.status, one.closed_at, one.close_reason = ConnectionStatus.CLOSED, now, reason
        session.add(one)
    return closed


def _gone(
    session: Session, closed: Sequence[AgentConnection]
) -> list[tuple[AgentSession, AgentConnection]]:
    """Return those of the closed streams that no newer one has replaced, with their sessions."""
    found: list[tuple[AgentSession, AgentConnection]] = []
    for stream in closed:
        of = sessions.get(session, stream.session_id, lock=True)
        if of.connection_id == stream.connection_id:
            of.connection_id = None
            session.add(of)
            found.append((of, stream))
    session.flush()
    return found


def _offline(of: AgentSession, stream: AgentConnection) -> live.News:
    heard_at = stream.last_heartbeat_at
    return live.agent_status(of, online=False, heard_at=heard_at, connections=0)
