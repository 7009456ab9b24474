"""What follows from decisions for the agents that are instructed about a grid.

An instruction says what is news: a square that is to be collected earlier was not said to be
before, a square's holes were said otherwise or not at all. One that is not with its agent yet
and no longer fits what is predicted is taken back, and what still holds of it is said again.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlmodel import Session, col

from core.ids import ATHANOR, derived
from domains.cryoem.instructions import (
    CANCELLABLE,
    Evidence,
    InstructionType,
    Status,
    Thresholds,
    Wanted,
    for_holes,
    for_squares,
)
from domains.cryoem.policy import Selection
from models.cryoem import athena
from models.cryoem.decision_tables import Decision
from models.cryoem.instructions import making, sessions
from models.cryoem.instructions.making import NewInstruction
from models.cryoem.instructions.tables import AgentSession, Instruction, SessionStatus
from models.cryoem.tables import Hole, Square
from models.sql import chunks, one_of

#: Who makes these instructions.
MAKER: Final = "athanor"

_OF_SQUARES: Final = (InstructionType.REORDER_SQUARES, InstructionType.SKIP_SQUARES)
#: What ended so was not done, and may be said again when there is a new prediction.
_NOT_DONE: Final = frozenset({Status.FAILED, Status.DECLINED, Status.EXPIRED})


@dataclass
class Followed:
    """What was made of decisions for one session of an agent."""

    of: AgentSession
    made: list[Instruction] = field(default_factory=list)
    taken_back: list[Instruction] = field(default_factory=list)


@dataclass(frozen=True)
class _Decided:
    """One grid's decisions as evidence, and how EPU and Athena call what they are about."""

    grid: UUID
    squares: dict[UUID, Evidence]
    #: Of each square whose holes were decided: what speaks for its selected holes.
    holes: dict[UUID, list[Evidence]]
    numbers: Mapping[UUID, int]
    #: What Athena has been or will be told, by decision.
    values: Mapping[UUID, str | None]
    #: What Athena calls the grid's session, or will once it has one.
    athena_sessions: tuple[str, ...]


def follow(
    session: Session,
    made: Collection[Selection],
    *,
    expires_in: float,
    now: datetime,
    flow_run_id: str | None,
) -> list[Followed]:
    """Make instructions of new decisions, in their transaction; call it last.

    Nothing is made of decisions about grids that no agent has a session for.
    """
    followed: list[Followed] = []
    for grid in sorted({one.grid for one in made}):
        found = _held(session, grid)
        if not found:
            continue
        decided = _decided(session, grid, [one for one in made if one.grid == grid])
        for of in found:
            one = Followed(of)
            thresholds = sessions.thresholds_of(of)
            wanted = [
                *_about_squares(session, one, decided, thresholds, now),
                *_about_holes(session, one, decided, thresholds, now),
            ]
            new = [_new(of, want, decided, expires_in, flow_run_id) for want in wanted]
            one.made = making.make(session, of.session_id, new, now=now) if new else []
            followed.append(one)
    return followed


def _held(session: Session, grid: UUID) -> list[AgentSession]:
    """Return the sessions about a grid, none of which ends or gets others before we are done.

    All are locked before anything else is, as by whoever opens a stream.
    """
    found = [of.session_id for of in sessions.of_grid(session, grid)]
    if not found:
        return []
    return list(
        session.scalars(
            select(AgentSession)
            .where(
                col(AgentSession.session_id).in_(found),
                col(AgentSession.status) == SessionStatus.ACTIVE,
            )
            .order_by(col(AgentSession.session_id))
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    )


def _decided(session: Session, grid: UUID, made: Sequence[Selection]) -> _Decided:
    areas = {predicted.area for one in made for predicted in one.predicted}
    numbers = _numbers(session, areas | {one.area for one in made})
    evidence = {
        one.id: [
            Evidence(
                said.area,
                numbers[said.area],
                said.value,
                said.model,
                message=said.message,
                decision=one.id,
            )
            for said in one.predicted
            if said.area in numbers
        ]
        for one in made
    }
    squares = [one for one in made if one.decision_type == "gridSquareSelection"]
    holes = [one for one in made if one.decision_type == "foilHoleSelection"]
    known, name = athena.get_session(session, grid), athena.grid_name(session, grid)
    return _Decided(
        grid,
        {said.target: said for one in squares for said in evidence[one.id]},
        {
            # An instruction never contradicts the decision that it rests on.
            one.area: [said for said in evidence[one.id] if one.selected[said.target]]
            for one in holes
            if one.area in numbers
        },
        numbers,
        {one.id: "true" if one.selected[one.area] else "false" for one in squares},
        (known.session_name,) if known else (name, athena.own_name(name, grid)),
    )


def _numbers(session: Session, areas: Iterable[UUID]) -> dict[UUID, int]:
    """Return what EPU calls squares and holes."""
    found: dict[UUID, int] = {}
    wanted = sorted(areas)
    for uuid, ident in (
        (col(Square.uuid), col(Square.square_id)),
        (col(Hole.uuid), col(Hole.hole_id)),
    ):
        for part in chunks(wanted):
            rows = session.execute(select(uuid, ident).where(one_of(session, uuid, part)))
            found |= {area: number for area, number in rows}  # noqa: C416 (a Row is no pair to dict())
    return found


def _about_squares(
    session: Session, one: Followed, decided: _Decided, thresholds: Thresholds, now: datetime
) -> list[Wanted]:
    """Return what is news of squares."""
    if not decided.squares:
        return []
    before = _still_said(
        session.scalars(
            select(Instruction)
            .where(
                col(Instruction.session_id) == one.of.session_id,
                col(Instruction.instruction_type).in_(_OF_SQUARES),
                col(Instruction.created_by) == MAKER,
            )
            .order_by(col(Instruction.sequence_number))
        )
    )
    verdicts = {
        target: _verdict(said, decided.values, thresholds)
        for target, said in decided.squares.items()
    }
    candidates = dict(decided.squares)
    said_of: dict[UUID, str] = {}
    for earlier in before:
        targets = {UUID(row["target_uuid"]): row for row in earlier.evidence}
        kept = earlier.instruction_type
        outdated = any(verdicts.get(target, kept) != kept for target in targets)
        if outdated and earlier.status in CANCELLABLE:
            _take_back(session, one, earlier, now)
            for target, row in targets.items():
                candidates.setdefault(target, _evidence(row))
                verdicts.setdefault(target, kept)
            continue
        said_of |= dict.fromkeys(targets, kept)
    news = [
        said
        for target, said in candidates.items()
        if verdicts[target] is not None and verdicts[target] != said_of.get(target)
    ]
    return for_squares(news, thresholds)


def _verdict(
    said: Evidence, values: Mapping[UUID, str | None], thresholds: Thresholds
) -> str | None:
    """Return what to instruct about a square; None for nothing, or against its decision."""
    selected = said.decision is not None and values.get(said.decision) == "true"
    if said.value >= thresholds.square_forward:
        return InstructionType.REORDER_SQUARES if selected else None
    if said.value <= thresholds.square_skip:
        return None if selected else InstructionType.SKIP_SQUARES
    return None


def _about_holes(
    session: Session, one: Followed, decided: _Decided, thresholds: Thresholds, now: datetime
) -> list[Wanted]:
    """Return what is news of the holes of squares."""
    before: dict[UUID, list[Instruction]] = {}
    for part in chunks(sorted(decided.holes)):
        statement = (
            select(Instruction, col(Decision.area_uuid))
            .join(Decision, col(Decision.id) == col(Instruction.decision_id))
            .where(
                col(Instruction.session_id) == one.of.session_id,
                col(Instruction.instruction_type) == InstructionType.REORDER_HOLES,
                col(Instruction.created_by) == MAKER,
                one_of(session, col(Decision.area_uuid), part),
            )
            .order_by(col(Instruction.sequence_number))
        )
        for earlier, square in session.execute(statement):
            before.setdefault(square, []).append(earlier)
    wanted: list[Wanted] = []
    for square, said in sorted(decided.holes.items()):
        asked = for_holes(decided.numbers[square], said, thresholds)
        good = {evidence.target for want in asked for evidence in want.evidence}
        told = _still_said(before.get(square, ()))
        last = {UUID(row["target_uuid"]) for row in told[-1].evidence} if told else set()
        if good == last:
            continue
        for earlier in told:
            if earlier.status in CANCELLABLE:
                _take_back(session, one, earlier, now)
        wanted += asked
    return wanted


def _still_said(instructions: Iterable[Instruction]) -> list[Instruction]:
    """Return those that were done, may still be, or that a person does not want."""
    return [
        one
        for one in instructions
        if one.status not in _NOT_DONE
        and (one.status != Status.CANCELLED or one.judged_at is not None)
    ]


def _take_back(session: Session, one: Followed, earlier: Instruction, now: datetime) -> None:
    because = "a newer prediction says otherwise"
    one.taken_back.append(making.cancel(session, earlier.id, by=MAKER, reason=because, now=now))


def _evidence(row: Mapping[str, Any]) -> Evidence:
    """Return what `making.as_json` wrote."""

    def uuid(name: str) -> UUID | None:
        return UUID(row[name]) if row.get(name) else None

    return Evidence(
        UUID(row["target_uuid"]),
        row["target_id"],
        row["value"],
        row["model_name"],
        row.get("model_version"),
        uuid("message_uuid"),
        uuid("decision_id"),
    )


def _new(
    of: AgentSession,
    want: Wanted,
    decided: _Decided,
    expires_in: float,
    flow_run_id: str | None,
) -> NewInstruction:
    behind = sorted({said.decision for said in want.evidence if said.decision is not None})
    value = {
        InstructionType.REORDER_HOLES: None,
        InstructionType.REORDER_SQUARES: "true",
        InstructionType.SKIP_SQUARES: "false",
    }
    return NewInstruction(
        type=want.type,
        payload=dict(want.payload),
        created_by=MAKER,
        expires_in=expires_in,
        priority=want.priority,
        # The same decisions make the same instruction, however often they are looked at.
        id=derived(ATHANOR, "cryoem", "instruction", of.session_id, want.type, *behind),
        # A trail leads through one decision where there is one; each evidence names its own.
        decision_id=behind[0] if len(behind) == 1 else None,
        reason=want.reason,
        threshold=want.threshold,
        evidence=want.evidence,
        extra={
            "grid_uuid": str(decided.grid),
            "athena": {
                "session_names": list(decided.athena_sessions),
                "decisions": [{"id": str(one), "value": value[want.type]} for one in behind],
            },
        },
        flow_run_id=flow_run_id,
    )
