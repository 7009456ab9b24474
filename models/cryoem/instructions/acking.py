"""What agents say: acknowledgements of instructions, heartbeats and lines of their logs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlmodel import Session, col

from core.errors import Conflict, NotFound
from domains.cryoem.instructions import FINAL, Ack, Status, after_ack
from models.cryoem.instructions import connections, live, sessions
from models.cryoem.instructions.tables import (
    AgentConnection,
    AgentLog,
    AgentSession,
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
class Given:
    """An acknowledgement as it comes in."""

    agent_id: str
    session_id: str
    instruction_id: UUID
    said: Said


@dataclass(frozen=True)
class Acknowledged:
    """What was made of an acknowledgement."""

    ack: InstructionAck
    instruction: Instruction
    #: What the instruction was before and thereafter; one that came with it may have changed
    #: it since.
    before: Status
    status: Status
    #: True when the same was said before.
    repeated: bool
    #: What pages are to be told; None where it changed nothing.
    news: live.News | None = None


def acknowledge(
    session: Session, given: Sequence[Given], *, now: datetime
) -> list[Acknowledged | Exception]:
    """Store what agents say of instructions of their own; the same said again changes nothing.

    One that contradicts what is known is stored too, as not accepted: it may be the truth.

    Returns:
        What was made of each, in their order, with the news to announce; NotFound where the
        agent has no such session, or the session no such instruction.
    """
    known = _Known.of(session, given)
    done: list[Acknowledged | Exception] = []
    for one in given:
        try:
            taken = known.take(one, now)
        except NotFound as error:
            done.append(error)
            continue
        done.append(taken)
        if not taken.repeated:
            session.add(taken.ack)
            session.add(taken.instruction)
    session.flush()
    heard = {one.ack.session_id for one in done if isinstance(one, Acknowledged)}
    connections.heard_all(session, heard, now=now)
    return done


@dataclass(frozen=True)
class _Known:
    """What there is of sessions and instructions that acknowledgements are about."""

    sessions: dict[str, AgentSession]
    instructions: dict[UUID, Instruction]
    #: The first of each kind that was said of an instruction.
    acks: dict[tuple[UUID, str], InstructionAck]

    @classmethod
    def of(cls, session: Session, given: Sequence[Given]) -> "_Known":
        named, idents = {one.session_id for one in given}, {one.instruction_id for one in given}
        found = session.scalars(
            select(AgentSession).where(col(AgentSession.session_id).in_(sorted(named)))
        )
        instructions = session.scalars(
            select(Instruction)
            .where(col(Instruction.id).in_(sorted(idents)))
            # All who lock several do so in this order.
            .order_by(col(Instruction.id))
            .with_for_update()
        ).all()
        acks: dict[tuple[UUID, str], InstructionAck] = {}
        for ack in session.scalars(
            select(InstructionAck)
            .where(col(InstructionAck.instruction_id).in_(sorted(idents)))
            .order_by(col(InstructionAck.created_at))
        ):
            acks.setdefault((ack.instruction_id, ack.status), ack)
        return cls({of.session_id: of for of in found}, {one.id: one for one in instructions}, acks)

    def take(self, one: Given, now: datetime) -> Acknowledged:
        """Make of an acknowledgement what is to be made of it.

        Raises:
            NotFound: The agent has no such session, or the session no such instruction.
        """
        of = self.sessions.get(one.session_id)
        if of is None or of.agent_id != one.agent_id:
            raise NotFound(f"There is no session {one.session_id} of agent {one.agent_id}.")
        found = self.instructions.get(one.instruction_id)
        if found is None or found.session_id != one.session_id:
            raise NotFound(f"Session {one.session_id} has no instruction {one.instruction_id}.")
        status = Status(found.status)
        earlier = self.acks.get((found.id, one.said.status))
        if earlier is not None:
            return Acknowledged(earlier, found, status, status, repeated=True)
        follows = after_ack(status, one.said.status, claimed=found.claimed_by is not None)
        ack = InstructionAck(
            id=uuid4(),
            instruction_id=found.id,
            session_id=one.session_id,
            agent_id=one.agent_id,
            accepted=follows is not None,
            created_at=now,
            **vars(one.said),
        )
        self.acks[found.id, one.said.status] = ack
        if follows is None:
            return Acknowledged(ack, found, status, status, repeated=False)
        _follow(found, follows, now)
        news = live.lifecycle(found, of.acquisition_uuid, one.said.status)
        return Acknowledged(ack, found, status, follows, repeated=False, news=news)


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
    found = connections.heard(session, session_id=session_id, now=now)
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
