"""Streams of instructions as connections: opened, heard of, closed, and found dead.

Only the newest stream of a session sends; what it sends is in `sending`.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlmodel import Session, col

from models.cryoem.instructions import live, sending, sessions
from models.cryoem.instructions.tables import AgentConnection, AgentSession, ConnectionStatus

#: As a connection's `close_reason`.
SUPERSEDED = "superseded"
GONE = "client_disconnect"
STALE = "stale_connection"


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


def heard(session: Session, *, session_id: str, now: datetime) -> AgentConnection | None:
    """Note that an agent was heard of on its stream; None when it has none open."""
    found = session.scalar(_active(session_id).with_for_update())
    if found is not None:
        found.last_heartbeat_at = now
        session.add(found)
    return found


def heard_all(session: Session, session_ids: Collection[str], *, now: datetime) -> None:
    """Note that agents were heard of on their streams, those that have one open."""
    if session_ids:
        session.execute(
            update(AgentConnection)
            .where(
                col(AgentConnection.session_id).in_(sorted(session_ids)),
                col(AgentConnection.status) == ConnectionStatus.ACTIVE,
            )
            .values(last_heartbeat_at=now)
            .execution_options(synchronize_session=False)
        )


def alive(session: Session, *, session_id: str, connection_id: str, now: datetime) -> None:
    """Note that a stream's bytes are taken.

    Raises:
        Conflict: Another stream has taken its place, or the session has ended.
    """
    stream = sending.Stream(session_id, connection_id)
    if stream in (refused := sending.refused_of(session, [stream])):
        raise refused[stream]
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
