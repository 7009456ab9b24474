"""How many: of streams, sessions, instructions and acknowledgements; also as metrics."""

import time
from collections import Counter
from dataclasses import dataclass
from threading import Lock
from typing import Any
from uuid import UUID

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, col

from core import metrics
from core.errors import StorageUnavailable
from models.cryoem.instructions.tables import (
    AgentConnection,
    AgentSession,
    ConnectionStatus,
    Instruction,
    InstructionAck,
    SessionStatus,
)
from models.database import Database

#: An answer serves all who look within so many seconds.
_FRESH_SECONDS = 5.0
#: Written out: a partial index fits no condition with parameters.
_OPEN = text("instruction.status IN ('pending', 'sent', 'received')")
_STATES = ("held", "pending", "sent", "received")


@dataclass(frozen=True)
class AckCounts:
    """What a session's agent said so far."""

    #: Instruction → how often.
    of: dict[UUID, int]
    by_status: dict[str, int]


def open_streams(session: Session, *, limit: int) -> list[dict[str, Any]]:
    """Return the streams that are open, the last heard of first."""
    rows = session.scalars(
        select(AgentConnection)
        .where(col(AgentConnection.status) == ConnectionStatus.ACTIVE)
        .order_by(col(AgentConnection.last_heartbeat_at).desc())
        .limit(limit)
    )
    return [row.model_dump(mode="json", exclude={"closed_at", "close_reason"}) for row in rows]


def open_instructions(session: Session) -> dict[str, int]:
    """Return how many instructions are not over, by state; `held` are pending and not sent."""
    rows = session.execute(
        select(col(Instruction.status), col(Instruction.held).is_not(None), func.count())
        .where(_OPEN)
        .group_by(col(Instruction.status), col(Instruction.held).is_not(None))
    )
    counts: Counter[str] = Counter()
    for status, held, number in rows:
        counts["held" if held else status] += number
    return {state: counts[state] for state in _STATES}


def connected(session: Session) -> int:
    """Return how many sessions have their agent's stream open."""
    statement = select(func.count(col(AgentSession.session_id))).where(
        col(AgentSession.status) == SessionStatus.ACTIVE,
        col(AgentSession.connection_id).is_not(None),
    )
    return session.scalar(statement) or 0


def totals(session: Session) -> dict[str, int]:
    """Return what SmartEM's tools are told of it all."""
    active = select(func.count(col(AgentSession.session_id))).where(
        col(AgentSession.status) == SessionStatus.ACTIVE
    )
    streams = select(func.count(col(AgentConnection.connection_id))).where(
        col(AgentConnection.status) == ConnectionStatus.ACTIVE
    )
    waiting = open_instructions(session)
    pending = waiting["pending"] + waiting["held"]
    return {
        "active_connections": session.scalar(streams) or 0,
        "active_sessions": session.scalar(active) or 0,
        "pending_instructions": pending,
        "sent_instructions": waiting["sent"],
        "total_instructions_pending": pending + waiting["sent"],
    }


def acknowledgements(session: Session, ident: str) -> AckCounts:
    """Return how often a session's agent said what."""
    mine = col(InstructionAck.session_id) == ident
    joined = select(col(InstructionAck.instruction_id), col(InstructionAck.status), func.count())
    of: Counter[UUID] = Counter()
    by_status: Counter[str] = Counter()
    for instruction, status, number in session.execute(
        joined.join(Instruction, col(Instruction.id) == col(InstructionAck.instruction_id))
        .where(col(Instruction.session_id) == ident, mine)
        .group_by(col(InstructionAck.instruction_id), col(InstructionAck.status))
    ):
        of[instruction] += number
        by_status[status] += number
    return AckCounts(dict(of), dict(by_status))


class ChannelDepths(Collector):
    """Connected agents and open instructions, asked of the database when somebody looks."""

    def __init__(self, database: Database) -> None:
        """Take the database; nothing is asked."""
        self._database = database
        self._asking = Lock()
        self._answer: list[Metric] = []
        self._asked_at = float("-inf")

    def collect(self) -> list[Metric]:
        """Return the numbers, at most a few seconds old; none while the database is away."""
        with self._asking:
            if time.monotonic() - self._asked_at >= _FRESH_SECONDS:
                self._answer = self._ask()
                self._asked_at = time.monotonic()
            return self._answer

    def _ask(self) -> list[Metric]:
        agents, instructions = (
            metrics.AGENTS_CONNECTED.gauge(),
            metrics.INSTRUCTIONS_OPEN.gauge(),
        )
        try:
            with self._database.reading() as session:
                agents.add_metric([], connected(session))
                for state, number in open_instructions(session).items():
                    instructions.add_metric([state], number)
        except (StorageUnavailable, SQLAlchemyError):
            return []
        return [agents, instructions]
