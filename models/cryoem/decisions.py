"""Make decisions from the predictions in force, and put them in the outbox."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import and_, select, update
from sqlmodel import Session, col

from domains.cryoem.policy import (
    Policy,
    Selection,
    is_complete,
    select_holes,
    select_square,
)
from models import outbox
from models.cryoem.candidates import Brought, candidates_on, squares_in_force
from models.cryoem.decision_tables import (
    AthenaArea,
    Decision,
    Level,
)
from models.cryoem.tables import Square
from models.outbox import OutboxMessage
from models.sql import chunks, insert_ignore, lock_until_commit, one_of

#: The deployment that sends decisions.
SUBMIT = "submit-decisions"
KIND = "athena.decision"
#: The type of decisions on the order of collection (`models.cryoem.orders`).
ORDER: Final = "acquisitionOrder"


@dataclass(frozen=True)
class Unsent:
    """A decision on its way out, as Athena is to be told it."""

    id: UUID
    area_id: int
    decision_type: str
    value: str
    plugin_type: str
    decided_by: str
    details: str
    made_at: datetime


def decide(
    session: Session,
    grid: UUID,
    *,
    squares: Collection[UUID],
    squares_of_holes: Collection[UUID],
    policy: Policy,
    settle_seconds: float,
    now: datetime,
    flow_run_id: str | None = None,
) -> list[Selection]:
    """Decide squares that have a new prediction, or whose holes have.

    A square of which some holes have no prediction yet is decided once its predictions
    have been silent for `settle_seconds` (call again with no squares to look after those).
    Each decision is one of its square's own grid; `grid` says whose silent squares to look after.
    """
    one_at_a_time(session, grid)
    brought: Brought = {}
    made = [
        select_square(owner, predicted, policy)
        for owner, predicted in squares_in_force(session, squares, brought)
    ]
    overdue = _overdue(session, grid, now - timedelta(seconds=settle_seconds))
    overdue -= set(squares_of_holes)
    candidates = candidates_on(session, [*squares_of_holes, *overdue], brought)
    # What was deleted meanwhile has no candidates, and nothing to wait for either.
    decided = list({*squares_of_holes, *overdue} - {square for _, square in candidates})
    for (owner, square), holes in candidates.items():
        if square not in overdue and not is_complete(holes):
            continue
        decided.append(square)
        selection = select_holes(owner, square, holes, policy)
        if selection is not None:
            made.append(selection)
    postpone(session, set(squares_of_holes) - set(decided), now)
    postpone(session, decided, None)
    store(session, made, brought, policy, now=now, flow_run_id=flow_run_id)
    return made


def one_at_a_time(session: Session, grid: UUID) -> None:
    """Keep another from deciding on older predictions what we have just decided on newer ones."""
    lock_until_commit(session, f"decisions of {grid}")


def postpone(session: Session, squares: Iterable[UUID], since: datetime | None) -> None:
    """Note since when squares have hole predictions that are not decided on; None: no more."""
    for part in chunks(list(squares)):
        session.execute(
            update(Square)
            .where(one_of(session, col(Square.uuid), part))
            .values(undecided_since=since)
            .execution_options(synchronize_session=False)
        )


def has_undecided(session: Session, grid: UUID) -> bool:
    """Return whether a square's hole predictions still wait to be decided."""
    statement = select(col(Square.uuid)).where(
        col(Square.grid_uuid) == grid, col(Square.undecided_since).is_not(None)
    )
    return session.scalar(statement.limit(1)) is not None


def grids_with_undecided(session: Session, before: datetime) -> set[UUID]:
    """Return the grids that have squares undecided since before a moment."""
    return set(
        session.scalars(
            select(col(Square.grid_uuid)).where(col(Square.undecided_since) < before).distinct()
        )
    )


def sendable(grid: UUID) -> Any:
    """Return the condition of outbox rows whose area Athena knows."""
    known = (
        select(col(Decision.id))
        .join(AthenaArea, col(AthenaArea.area_uuid) == col(Decision.area_uuid))
        .where(col(Decision.grid_uuid) == grid, col(AthenaArea.registered_at).is_not(None))
    )
    return and_(
        col(OutboxMessage.flow) == SUBMIT,
        col(OutboxMessage.key) == str(grid),
        col(OutboxMessage.id).in_(known),
    )


def as_sent(session: Session, rows: Sequence[OutboxMessage]) -> dict[UUID, Unsent]:
    """Return what to tell Athena, by decision id; without those whose holes it does not know.

    For `foilHoleSelection` the area is the square and the value a JSON list over its holes
    (source: the Athena contract); for `acquisitionOrder` such a list in order of collection,
    whose results are places counted from 1 (decision 0013).
    """
    decisions: list[Decision] = []
    for part in chunks([row.id for row in rows]):
        decisions += session.scalars(select(Decision).where(col(Decision.id).in_(part)))
    uuids = {decision.area_uuid for decision in decisions} | {
        UUID(area) for decision in decisions for area in decision.outcome
    }
    areas: dict[UUID, int] = {}
    for part in chunks(list(uuids)):
        statement = select(col(AthenaArea.area_uuid), col(AthenaArea.area_id)).where(
            col(AthenaArea.area_uuid).in_(part), col(AthenaArea.registered_at).is_not(None)
        )
        areas |= {uuid: ident for uuid, ident in session.execute(statement)}  # noqa: C416 (a Row is no pair to dict())
    return {
        decision.id: Unsent(
            id=decision.id,
            area_id=areas[decision.area_uuid],
            decision_type=decision.decision_type,
            value=_value(decision, areas),
            plugin_type=decision.plugin_type,
            decided_by=decision.decided_by,
            details=decision.details,
            made_at=decision.made_at,
        )
        for decision in decisions
        if all(UUID(area) in areas for area in decision.outcome) and decision.area_uuid in areas
    }


def _value(decision: Decision, areas: Mapping[UUID, int]) -> str:
    if decision.decision_type == ORDER:
        ranked = sorted(decision.outcome.items(), key=lambda item: item[1]["position"])
        return json.dumps(
            [{"areaId": areas[UUID(area)], "result": str(of["position"])} for area, of in ranked]
        )
    if decision.level == Level.SQUARE:
        return _word(decision.outcome[str(decision.area_uuid)])
    holes = sorted((areas[UUID(hole)], chosen) for hole, chosen in decision.outcome.items())
    return json.dumps([{"areaId": ident, "result": _word(chosen)} for ident, chosen in holes])


def _word(chosen: bool) -> str:
    return "true" if chosen else "false"


def _overdue(session: Session, grid: UUID, before: datetime) -> set[UUID]:
    return set(
        session.scalars(
            select(col(Square.uuid)).where(
                col(Square.grid_uuid) == grid, col(Square.undecided_since) <= before
            )
        )
    )


def store(
    session: Session,
    made: Sequence[Selection],
    brought: Brought,
    policy: Policy,
    *,
    now: datetime,
    flow_run_id: str | None,
) -> None:
    """Write decisions with their outbox rows; they replace unsent older ones on the same areas."""
    if not made:
        return
    decisions = [
        {
            "id": one.id,
            "grid_uuid": one.grid,
            "area_uuid": one.area,
            "level": Level.SQUARE if one.decision_type == "gridSquareSelection" else Level.HOLE,
            "decision_type": one.decision_type,
            "outcome": {str(area): chosen for area, chosen in one.selected.items()},
            "basis": {str(area): brought[message].seq for area, message in one.basis.items()},
            "plugin_type": policy.plugin_type,
            "decided_by": policy.decided_by,
            "details": one.details,
            "made_at": now,
            "flow_run_id": flow_run_id,
        }
        for one in made
    ]
    insert_ignore(session, Decision, decisions, unique=["id"])
    rows = [
        {
            "id": one.id,
            "domain": "cryoem",
            "kind": KIND,
            "flow": SUBMIT,
            "key": str(one.grid),
            "subject": f"{one.decision_type}/{one.area}",
            "payload": {"decision_id": str(one.id)},
            "caused_at": max(brought[message].at for message in one.basis.values()),
        }
        for one in made
    ]
    outbox.supersede(session, [row["subject"] for row in rows], keep=[one.id for one in made])
    outbox.put(session, rows, now=now)
