"""Read sessions of agents, instructions with their trails, and agents' logs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias
from uuid import UUID

from pydantic import Field
from sqlalchemy import and_, or_, select
from sqlmodel import Session, col

from core.errors import NotFound
from domains.cryoem.instructions import FINAL, Ack, Held, Status
from models.athena import Time
from models.cryoem.api_schemas import DecisionDetail
from models.cryoem.instructions import making, sessions
from models.cryoem.instructions.tables import (
    AgentLog,
    AgentSession,
    Instruction,
    InstructionAck,
    SessionStatus,
)
from models.cryoem.instructions.views import (
    AckView,
    AgentLogView,
    AgentSessionView,
    EvidenceView,
    InstructionDetail,
    InstructionView,
)
from models.cryoem.queries.decisions import get_decision
from models.inbox import InboxMessage
from models.paging import Keyset, Page
from models.sql import one_of

_Text: TypeAlias = Annotated[str, Field(max_length=255, pattern=r"^[^\x00]*$")]
_SESSIONS: Keyset[tuple[Any, str]] = Keyset(tuple[Time, _Text])
_INSTRUCTIONS: Keyset[tuple[Any, UUID]] = Keyset(tuple[Time, UUID])
_Seq: TypeAlias = tuple[Annotated[int, Field(ge=0, lt=2**63)]]
_LOGS: Keyset[tuple[int]] = Keyset(_Seq)

#: What is shown of a message beside its id.
_OF_MESSAGES = ("source", "message_id", "received_at")


@dataclass(frozen=True)
class SessionFilter:
    """Which sessions of agents to list; None means all."""

    agent_id: str | None = None
    status: SessionStatus | None = None
    acquisition_uuid: UUID | None = None
    grid_uuid: UUID | None = None


@dataclass(frozen=True)
class InstructionFilter:
    """Which instructions to list; None means all."""

    session_id: str | None = None
    agent_id: str | None = None
    status: Status | None = None
    held: Held | None = None
    instruction_type: str | None = None
    decision_id: UUID | None = None


def list_sessions(
    session: Session, wanted: SessionFilter, *, limit: int, cursor: str | None = None
) -> Page[AgentSessionView]:
    """Return sessions of agents, the newest first."""
    made, ident = col(AgentSession.created_at), col(AgentSession.session_id)
    statement = (
        select(AgentSession)
        .where(*_conditions(AgentSession, wanted))
        .order_by(made.desc(), ident.desc())
        .limit(limit + 1)
    )
    after = _SESSIONS.read(cursor)
    if after is not None:
        statement = statement.where(or_(made < after[0], and_(made == after[0], ident < after[1])))
    return _SESSIONS.page(
        session.scalars(statement).all(),
        limit,
        key=lambda row: (row.created_at, row.session_id),
        view=lambda rows: [session_view(row) for row in rows],
    )


def get_session(session: Session, ident: str) -> AgentSessionView:
    """Return a session of an agent.

    Raises:
        NotFound: There is none.
    """
    return session_view(sessions.get(session, ident))


def session_view(row: AgentSession) -> AgentSessionView:
    """Return a session as it is shown."""
    return AgentSessionView.model_validate(
        {**row.model_dump(), "connected": row.connection_id is not None}
    )


def list_instructions(
    session: Session, wanted: InstructionFilter, *, limit: int, cursor: str | None = None
) -> Page[InstructionView]:
    """Return instructions, the newest first."""
    made, ident = col(Instruction.created_at), col(Instruction.id)
    statement = (
        select(Instruction)
        .where(*_conditions(Instruction, wanted))
        .order_by(made.desc(), ident.desc())
        .limit(limit + 1)
    )
    after = _INSTRUCTIONS.read(cursor)
    if after is not None:
        statement = statement.where(or_(made < after[0], and_(made == after[0], ident < after[1])))
    return _INSTRUCTIONS.page(
        session.scalars(statement).all(),
        limit,
        key=lambda row: (row.created_at, row.id),
        view=lambda rows: [InstructionView.model_validate(shown(row)) for row in rows],
    )


def get_instruction(session: Session, ident: UUID) -> InstructionDetail:
    """Return an instruction with its trail.

    Raises:
        NotFound: There is none.
    """
    row = making.get(session, ident)
    said = session.scalars(
        select(InstructionAck)
        .where(col(InstructionAck.instruction_id) == ident)
        .order_by(col(InstructionAck.created_at), col(InstructionAck.id))
    ).all()
    return InstructionDetail.model_validate(
        {
            **shown(row),
            "evidence": _evidence(session, row),
            "decision": _decision(session, row),
            "acknowledgements": [AckView.model_validate(one) for one in said],
            "outcome": _outcome(row, said),
        }
    )


def shown(row: Instruction) -> dict[str, Any]:
    """Return an instruction under the names by which it is shown."""
    return {**row.model_dump(), "instruction_id": row.id, "metadata": row.extra}


def list_logs(
    session: Session, ident: str, *, limit: int, cursor: str | None = None
) -> Page[AgentLogView]:
    """Return what an agent logged in a session, the newest first.

    Raises:
        NotFound: There is no such session.
    """
    sessions.get(session, ident)
    statement = (
        select(AgentLog)
        .where(col(AgentLog.session_id) == ident)
        .order_by(col(AgentLog.id).desc())
        .limit(limit + 1)
    )
    after = _LOGS.read(cursor)
    if after is not None:
        statement = statement.where(col(AgentLog.id) < after[0])
    return _LOGS.page(
        session.scalars(statement).all(),
        limit,
        key=lambda row: (row.id or 0,),
        view=lambda rows: [AgentLogView.model_validate(row) for row in rows],
    )


def _conditions(model: type[Any], wanted: SessionFilter | InstructionFilter) -> list[Any]:
    return [
        col(getattr(model, name)) == value
        for name, value in vars(wanted).items()
        if value is not None
    ]


def _evidence(session: Session, row: Instruction) -> list[EvidenceView]:
    """Return the predictions behind an instruction; what is left of their messages is added."""
    named = {UUID(one["message_uuid"]) for one in row.evidence if one.get("message_uuid")}
    brought: dict[UUID, Any] = {}
    if named:
        columns = [col(getattr(InboxMessage, name)) for name in ("id", *_OF_MESSAGES)]
        known = one_of(session, col(InboxMessage.id), sorted(named))
        brought = {found.id: found for found in session.execute(select(*columns).where(known))}
    views: list[EvidenceView] = []
    for one in row.evidence:
        message = brought.get(UUID(one["message_uuid"])) if one.get("message_uuid") else None
        told = {} if message is None else {name: getattr(message, name) for name in _OF_MESSAGES}
        views.append(EvidenceView.model_validate({**told, **one}))
    return views


def _decision(session: Session, row: Instruction) -> DecisionDetail | None:
    if row.decision_id is None:
        return None
    try:
        return get_decision(session, row.decision_id)
    except NotFound:
        # Retention has deleted it; what the instruction rests on is kept with itself.
        return None


def _outcome(row: Instruction, said: Sequence[InstructionAck]) -> str | None:
    if row.status not in FINAL:
        return None
    last = next(
        (one for one in reversed(said) if one.accepted and one.status != Ack.RECEIVED), None
    )
    if last is None:
        return row.ended_because
    return (last.result if last.status == Ack.PROCESSED else last.error_message) or last.result
