"""News for pages: written with what they tell of, and announced by the same commit."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select
from sqlmodel import Session, col

from core.announcing import CHANNEL, NEWS
from core.clock import as_text, utcnow
from models.cryoem.instructions.tables import (
    AgentLog,
    AgentSession,
    Instruction,
    LiveEvent,
)
from models.cryoem.tables import Grid, Micrograph
from models.sql import chunks, lock_until_commit, one_of, table_of, until_commit

#: By it, numbers of events become visible in their order.
_LOCK: Final = "live events"


class EventType(StrEnum):
    """What pages are told; the names are SmartEM's."""

    AGENT_STATUS = "agent.status"
    ACQUISITION_PROGRESS = "acquisition.progress"
    INSTRUCTION_LIFECYCLE = "instruction.lifecycle"
    PROCESSING_METRIC = "processing.metric"
    AGENT_LOG = "agent.log"
    HEARTBEAT = "heartbeat"


@dataclass(frozen=True)
class News:
    """One thing to tell, and by what it can be filtered."""

    event_type: EventType
    data: dict[str, Any]
    agent_id: str | None = None
    session_id: str | None = None
    acquisition: UUID | None = None


def announce(session: Session, news: Sequence[News]) -> None:
    """Store news, to be told once this transaction is committed. Call it last.

    Its lock is held until then, so that numbers become visible in their order; who called it
    first and then worked on would keep all others waiting.
    """
    if not news:
        return
    if session.get_bind().dialect.name == "postgresql":
        # Told by the commit, and only by it; asked for together with the lock, which is so held
        # for one statement less. SQLite's watchers see every commit.
        session.execute(select(until_commit(_LOCK), func.pg_notify(CHANNEL, " ".join(NEWS))))
    else:
        lock_until_commit(session, _LOCK)
    now = utcnow()
    rows = [
        {
            "event_type": one.event_type,
            "agent_id": one.agent_id,
            "session_id": one.session_id,
            "acquisition_uuid": one.acquisition,
            "data": one.data,
            "created_at": now,
        }
        for one in news
    ]
    session.connection().execute(table_of(LiveEvent).insert(), rows)


def lifecycle(
    instruction: Instruction, acquisition: UUID | None, ack_status: str | None = None
) -> News:
    """Return the news of an instruction's state."""
    return News(
        EventType.INSTRUCTION_LIFECYCLE,
        {
            "instruction_id": str(instruction.id),
            "agent_id": instruction.agent_id,
            "session_id": instruction.session_id,
            "instruction_type": instruction.instruction_type,
            "status": instruction.status,
            "created_at": as_text(instruction.created_at),
            "sent_at": _text(instruction.sent_at),
            "acknowledged_at": _text(instruction.acknowledged_at),
            "ack_status": ack_status,
            "held": instruction.held,
            "sequence_number": instruction.sequence_number,
        },
        instruction.agent_id,
        instruction.session_id,
        acquisition,
    )


def agent_status(
    of: AgentSession, *, online: bool, heard_at: datetime | None, connections: int
) -> News:
    """Return the news of an agent that came or went."""
    return News(
        EventType.AGENT_STATUS,
        {
            "agent_id": of.agent_id,
            "status": "online" if online else "offline",
            "session_id": of.session_id,
            "acquisition_uuid": None if of.acquisition_uuid is None else str(of.acquisition_uuid),
            "last_heartbeat_at": _text(heard_at),
            "connection_count": connections,
        },
        of.agent_id,
        of.session_id,
        of.acquisition_uuid,
    )


def log_line(line: AgentLog, acquisition: UUID | None) -> News:
    """Return the news of a line in an agent's log."""
    data = {
        "agent_id": line.agent_id,
        "session_id": line.session_id,
        "timestamp": as_text(line.timestamp),
        "level": line.level,
        "logger_name": line.logger_name,
        "message": line.message,
    }
    return News(EventType.AGENT_LOG, data, line.agent_id, line.session_id, acquisition)


def grid_changed(session: Session, grid: UUID) -> list[News]:
    """Return the news that something of a grid is counted anew; its readers do the counting."""
    acquisition = session.scalar(select(col(Grid.acquisition_uuid)).where(col(Grid.uuid) == grid))
    if acquisition is None:
        return []
    return [News(EventType.ACQUISITION_PROGRESS, {}, acquisition=acquisition)]


def grids_changed(session: Session, grids: Collection[UUID]) -> list[News]:
    """Return the same news of several grids, one for each acquisition."""
    found: set[UUID] = set()
    for part in chunks(sorted(grids)):
        statement = select(col(Grid.acquisition_uuid)).where(one_of(session, col(Grid.uuid), part))
        found |= set(session.scalars(statement))
    return [News(EventType.ACQUISITION_PROGRESS, {}, acquisition=one) for one in sorted(found)]


def measured(session: Session, micrographs: Sequence[UUID]) -> list[News]:
    """Return the news that micrographs of a grid were measured; readers look up what it was."""
    if not micrographs:
        return []
    acquisition = session.scalar(
        select(col(Grid.acquisition_uuid))
        .join(Micrograph, col(Micrograph.grid_uuid) == col(Grid.uuid))
        .where(col(Micrograph.uuid) == micrographs[0])
    )
    data = {"micrographs": [str(one) for one in micrographs]}
    return [News(EventType.PROCESSING_METRIC, data, acquisition=acquisition)]


def newest_seq(session: Session) -> int:
    """Return the number of the newest event; 0 when there is none."""
    return session.scalar(select(func.max(col(LiveEvent.seq)))) or 0


def events_after(
    session: Session, seq: int, *, upto: int | None = None, limit: int
) -> list[LiveEvent]:
    """Return the oldest events after a number."""
    statement = select(LiveEvent).where(col(LiveEvent.seq) > seq)
    if upto is not None:
        statement = statement.where(col(LiveEvent.seq) <= upto)
    return list(session.scalars(statement.order_by(col(LiveEvent.seq)).limit(limit)))


def _text(value: datetime | None) -> str | None:
    return None if value is None else as_text(value)
