"""Instructions are made, approved, rejected, called off, and expire."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import and_, or_, select
from sqlmodel import Session, col

from core.errors import Conflict, NotFound
from domains.cryoem.instructions import (
    CANCELLABLE,
    Evidence,
    Held,
    Mode,
    Priority,
    Status,
    held_in,
)
from models.cryoem.instructions import live, sessions
from models.cryoem.instructions.tables import AgentSession, Instruction
from models.sql import one_of


@dataclass(frozen=True)
class NewInstruction:
    """An instruction to make."""

    type: str
    payload: dict[str, Any]
    created_by: str
    #: Seconds from now on after which it makes no sense any more.
    expires_in: float
    priority: Priority = Priority.NORMAL
    #: The same for the same cause (UUIDv5), so that it is made once; None for a new one.
    id: UUID | None = None
    decision_id: UUID | None = None
    reason: str | None = None
    threshold: float | None = None
    evidence: Sequence[Evidence] = field(default=())
    extra: dict[str, Any] | None = None
    flow_run_id: str | None = None


def make(
    session: Session, session_id: str, new: Sequence[NewInstruction], *, now: datetime
) -> list[Instruction]:
    """Store instructions of one session, numbered on; those whose id is known stay as they are.

    Returns those that are new.

    Raises:
        Conflict, NotFound: There is no such session, or it has ended.
    """
    # Whoever else makes some for this session waits here, so numbers follow the commits.
    of = sessions.get(session, session_id, lock=True)
    sessions.require_active(of)
    given = [one.id for one in new if one.id is not None]
    known = set(
        session.scalars(
            select(col(Instruction.id)).where(one_of(session, col(Instruction.id), given))
        )
    )
    made: list[Instruction] = []
    for one in new:
        if one.id in known:
            continue
        of.last_sequence += 1
        made.append(_row(of, one, now))
    of.last_activity_at = now
    session.add(of)
    session.add_all(made)
    session.flush()
    live.announce(session, [live.lifecycle(one, of.acquisition_uuid) for one in made])
    return made


def _row(of: AgentSession, new: NewInstruction, now: datetime) -> Instruction:
    return Instruction(
        id=new.id or uuid4(),
        session_id=of.session_id,
        agent_id=of.agent_id,
        instruction_type=new.type,
        payload=new.payload,
        sequence_number=of.last_sequence,
        priority=new.priority,
        held=held_in(Mode(of.mode)),
        created_at=now,
        created_by=new.created_by,
        expires_at=now + timedelta(seconds=new.expires_in),
        decision_id=new.decision_id,
        reason=new.reason,
        threshold=new.threshold,
        evidence=[as_json(one) for one in new.evidence],
        extra=new.extra,
        flow_run_id=new.flow_run_id,
    )


def as_json(one: Evidence) -> dict[str, Any]:
    """Return a prediction that an instruction rests on, as it is kept with it."""
    return {
        "target_uuid": str(one.target),
        "target_id": one.target_id,
        "value": one.value,
        "model_name": one.model,
        "model_version": one.model_version,
        "message_uuid": None if one.message is None else str(one.message),
        "decision_id": None if one.decision is None else str(one.decision),
    }


def get(session: Session, ident: UUID, *, lock: bool = False) -> Instruction:
    """Return an instruction.

    Raises:
        NotFound: There is none.
    """
    statement = select(Instruction).where(col(Instruction.id) == ident)
    found = session.scalar(statement.with_for_update() if lock else statement)
    if found is None:
        raise NotFound(f"There is no instruction {ident}.")
    return found


def approve(session: Session, ident: UUID, *, by: str, now: datetime) -> Instruction:
    """Let an instruction go that waits for a person; approved twice, it stays approved.

    Raises:
        Conflict, NotFound: There is none, or it waits for nobody.
    """
    found = get(session, ident, lock=True)
    if found.status == Status.PENDING and found.held == Held.APPROVAL:
        found.held, found.judged_by, found.judged_at = None, by, now
        return _changed(session, found)
    if found.judged_at is not None and found.ended_because is None:
        return found
    raise Conflict(f"Instruction {ident} {_standing(found)}: nobody waits for its approval.")


def reject(
    session: Session, ident: UUID, *, by: str, reason: str | None, now: datetime
) -> Instruction:
    """Cancel an instruction that waits for a person; rejected twice, it stays rejected.

    Raises:
        Conflict, NotFound: There is none, or it waits for nobody.
    """
    found = get(session, ident, lock=True)
    if found.status == Status.PENDING and found.held == Held.APPROVAL:
        found.status, found.finished_at = Status.CANCELLED, now
        found.judged_by, found.judged_at = by, now
        found.ended_because = f"rejected: {reason}" if reason else "rejected"
        return _changed(session, found)
    if found.status == Status.CANCELLED and (found.ended_because or "").startswith("rejected"):
        return found
    raise Conflict(f"Instruction {ident} {_standing(found)}: nobody waits for its approval.")


def cancel(
    session: Session, ident: UUID, *, by: str, reason: str | None, now: datetime
) -> Instruction:
    """Call an instruction off: it is not sent, or not sent again.

    An agent that has it may still act on it: what it then says is kept, and answered with 409.

    Raises:
        Conflict, NotFound: There is none, or its agent has received it, or it is over.
    """
    found = get(session, ident, lock=True)
    if found.status == Status.CANCELLED:
        return found
    if found.status not in CANCELLABLE:
        raise Conflict(f"Instruction {ident} {_standing(found)} and cannot be cancelled.")
    found.status, found.finished_at, found.next_send_at = Status.CANCELLED, now, None
    found.ended_because = f"cancelled by {by}: {reason}" if reason else f"cancelled by {by}"
    return _changed(session, found)


def expire(session: Session, *, now: datetime, outcome_seconds: float) -> list[Instruction]:
    """Expire what is out of time; of what was received, after a while more for its outcome."""
    late = now - timedelta(seconds=outcome_seconds)
    found = session.scalars(
        select(Instruction)
        .where(
            or_(
                and_(
                    col(Instruction.status).in_([Status.PENDING, Status.SENT]),
                    col(Instruction.expires_at) <= now,
                ),
                and_(
                    col(Instruction.status) == Status.RECEIVED, col(Instruction.expires_at) <= late
                ),
            )
        )
        .order_by(col(Instruction.session_id), col(Instruction.sequence_number))
        .limit(1_000)
        .with_for_update(skip_locked=True)
    ).all()
    for one in found:
        one.ended_because = _too_late(one)
        one.status, one.finished_at, one.next_send_at = Status.EXPIRED, now, None
        session.add(one)
    session.flush()
    live.announce(session, [live.lifecycle(one, acquisition_of(session, one)) for one in found])
    return list(found)


def acquisition_of(session: Session, one: Instruction) -> UUID | None:
    """Return the acquisition that an instruction belongs to."""
    # The session's row is read once and remembered.
    found = session.get(AgentSession, one.session_id)
    return None if found is None else found.acquisition_uuid


def _changed(session: Session, one: Instruction) -> Instruction:
    session.add(one)
    session.flush()
    live.announce(session, [live.lifecycle(one, acquisition_of(session, one))])
    return one


def _standing(one: Instruction) -> str:
    return f"is {one.status}" + (f" ({one.held})" if one.held else "")


def _too_late(one: Instruction) -> str:
    if one.status == Status.RECEIVED:
        return "received, and no outcome was told"
    if one.held:
        return {Held.APPROVAL: "nobody approved it", Held.DRY_RUN: "dry run: never sent"}[
            Held(one.held)
        ]
    return "never sent" if one.sent_at is None else f"never acknowledged, sends: {one.sends}"
