"""What agents say: acknowledgements of instructions, heartbeats and lines of their logs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlmodel import Session, col

from core.errors import Conflict, NotFound
from domains.cryoem.instructions import FINAL, Ack, Status, after_ack
from models.cryoem.instructions import live, sending, sessions
from models.cryoem.instructions.tables import (
    AgentConnection,
    AgentLog,
    Instruction,
    InstructionAck,
)


@dataclass(frozen=True)
class Said:
    """What an agent says of an instruction."""

    status: Ack
    result: str | None = None
    error_message: str | None = None
    processing_time_ms: int | None = None
    processed_at: datetime | None = None


@dataclass(frozen=True)
class Acknowledged:
    """What was made of an acknowledgement."""

    ack: InstructionAck
    instruction: Instruction
    #: True when the same was said before.
    repeated: bool


def acknowledge(
    session: Session,
    *,
    agent_id: str,
    session_id: str,
    instruction_id: UUID,
    said: Said,
    now: datetime,
) -> Acknowledged:
    """Store what an agent says of an instruction of its own; the same said again changes nothing.

    One that contradicts what is known is stored too, as not accepted: it may be the truth.

    Raises:
        NotFound: The agent has no such session, or the session no such instruction.
    """
    of = sessions.get(session, session_id, agent=agent_id)
    found = session.scalar(
        select(Instruction)
        .where(col(Instruction.id) == instruction_id, col(Instruction.session_id) == session_id)
        .with_for_update()
    )
    if found is None:
        raise NotFound(f"Session {session_id} has no instruction {instruction_id}.")
    earlier = session.scalar(
        select(InstructionAck)
        .where(
            col(InstructionAck.instruction_id) == instruction_id,
            col(InstructionAck.status) == said.status,
        )
        .limit(1)
    )
    if earlier is not None:
        return Acknowledged(earlier, found, repeated=True)
    status = Status(found.status)
    follows = after_ack(status, said.status, claimed=found.claimed_by is not None)
    ack = InstructionAck(
        id=uuid4(),
        instruction_id=found.id,
        session_id=session_id,
        agent_id=agent_id,
        accepted=follows is not None,
        created_at=now,
        **vars(said),
    )
    session.add(ack)
    if follows is not None:
        _follow(found, follows, now)
        session.add(found)
    sending.heard(session, session_id=session_id, now=now)
    session.flush()
    if follows is not None:
        live.announce(session, [live.lifecycle(found, of.acquisition_uuid, said.status)])
    return Acknowledged(ack, found, repeated=False)


def _follow(one: Instruction, status: Status, now: datetime) -> None:
    one.status = status
    one.next_send_at = None
    # Its agent may be faster than our note that it was sent.
    one.sent_at = one.sent_at or now
    one.acknowledged_at = one.acknowledged_at or now
    if status == Status.RECEIVED:
        one.received_at = now
    if status in FINAL:
        one.finished_at = now


def heartbeat(
    session: Session, *, agent_id: str, session_id: str, now: datetime
) -> AgentConnection:
    """Note that an agent lives.

    Raises:
        NotFound: The agent has no such session, or it has no stream.
        Conflict: The session has ended.
    """
    of = sessions.get(session, session_id, agent=agent_id, lock=True)
    if of.ended_at is not None:
        raise Conflict(f"Session {session_id} has ended.")
    found = sending.heard(session, session_id=session_id, now=now)
    if found is None:
        raise NotFound(f"Agent {agent_id} has no open stream of session {session_id}.")
    of.last_activity_at = now
    session.add(of)
    return found


@dataclass(frozen=True)
class Line:
    """A line of an agent's log."""

    timestamp: datetime
    level: str
    logger_name: str
    message: str


def keep_log(
    session: Session, *, agent_id: str, session_id: str, lines: Sequence[Line], now: datetime
) -> int:
    """Store lines of an agent's log, and tell pages; return how many there were.

    Raises:
        NotFound: The agent has no such session.
    """
    of = sessions.get(session, session_id, agent=agent_id)
    rows = [
        AgentLog(session_id=session_id, agent_id=agent_id, created_at=now, **vars(line))
        for line in lines
    ]
    session.add_all(rows)
    session.flush()
    live.announce(session, [live.log_line(row, of.acquisition_uuid) for row in rows])
    return len(rows)
