"""Make decisions from the predictions in force, and put them in the outbox."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import and_, func, select, update
from sqlmodel import Session, col

from domains.cryoem.policy import (
    Candidate,
    Policy,
    Predicted,
    Selection,
    is_complete,
    select_holes,
    select_square,
)
from models import outbox
from models.cryoem.decision_tables import (
    AthenaArea,
    CurrentPrediction,
    Decision,
    DecisionBasis,
    Level,
    Prediction,
)
from models.cryoem.tables import Hole, Square
from models.outbox import OutboxMessage
from models.sql import chunks, insert_ignore

#: The deployment that sends decisions.
SUBMIT = "submit-decisions"
KIND = "athena.decision"


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
    made = [
        select_square(owner, predicted, policy)
        for owner, predicted in _squares_in_force(session, squares)
    ]
    overdue = _overdue(session, grid, now - timedelta(seconds=settle_seconds))
    overdue -= set(squares_of_holes)
    candidates = _candidates(session, [*squares_of_holes, *overdue])
    decided: list[UUID] = []
    for (owner, square), holes in candidates.items():
        if square not in overdue and not is_complete(holes):
            continue
        decided.append(square)
        selection = select_holes(owner, square, holes, policy)
        if selection is not None:
            made.append(selection)
    _set_undecided(session, set(squares_of_holes) - set(decided), now)
    _set_undecided(session, decided, None)
    _store(session, made, policy, now=now, flow_run_id=flow_run_id)
    return made


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
    (source: the Athena contract).
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
    if decision.level == Level.SQUARE:
        return _word(decision.outcome[str(decision.area_uuid)])
    holes = sorted((areas[UUID(hole)], chosen) for hole, chosen in decision.outcome.items())
    return json.dumps([{"areaId": ident, "result": _word(chosen)} for ident, chosen in holes])


def _word(chosen: bool) -> str:
    return "true" if chosen else "false"


def _squares_in_force(session: Session, squares: Collection[UUID]) -> list[tuple[UUID, Predicted]]:
    """Return the grid and the latest prediction of each square."""
    latest: dict[UUID, tuple[UUID, Predicted]] = {}
    for part in chunks(list(squares)):
        statement = (
            select(CurrentPrediction)
            .where(
                col(CurrentPrediction.target_uuid).in_(part),
                col(CurrentPrediction.level) == Level.SQUARE,
            )
            .order_by(col(CurrentPrediction.message_seq))
        )
        # In order of arrival, so that the latest of several models stays.
        for row in session.scalars(statement):
            predicted = Predicted(row.target_uuid, row.value, row.model_name, row.prediction_id)
            latest[row.target_uuid] = (row.grid_uuid, predicted)
    return list(latest.values())


def _candidates(
    session: Session, squares: Sequence[UUID]
) -> dict[tuple[UUID, UUID], list[Candidate]]:
    """Return, by grid and square, the holes with the latest prediction of each."""
    found: dict[tuple[UUID, UUID], dict[UUID, Candidate]] = {}
    for part in chunks(squares):
        statement = (
            select(
                col(Hole.grid_uuid),
                col(Hole.square_uuid),
                col(Hole.uuid),
                col(Hole.is_near_grid_bar),
                col(CurrentPrediction.value),
                col(CurrentPrediction.model_name),
                col(CurrentPrediction.prediction_id),
            )
            .outerjoin(CurrentPrediction, col(CurrentPrediction.target_uuid) == col(Hole.uuid))
            .where(col(Hole.square_uuid).in_(part))
            .order_by(col(Hole.hole_id), col(CurrentPrediction.message_seq))
        )
        for grid, square, hole, near_bar, value, model, prediction in session.execute(statement):
            predicted = None if prediction is None else Predicted(hole, value, model, prediction)
            found.setdefault((grid, square), {})[hole] = Candidate(hole, bool(near_bar), predicted)
    return {square: list(holes.values()) for square, holes in found.items()}


def _overdue(session: Session, grid: UUID, before: datetime) -> set[UUID]:
    return set(
        session.scalars(
            select(col(Square.uuid)).where(
                col(Square.grid_uuid) == grid, col(Square.undecided_since) <= before
            )
        )
    )


def _set_undecided(session: Session, squares: Iterable[UUID], since: datetime | None) -> None:
    for part in chunks(list(squares)):
        session.execute(
            update(Square)
            .where(col(Square.uuid).in_(part))
            .values(undecided_since=since)
            .execution_options(synchronize_session=False)
        )


def _store(
    session: Session,
    made: Sequence[Selection],
    policy: Policy,
    *,
    now: datetime,
    flow_run_id: str | None,
) -> None:
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
            "plugin_type": policy.plugin_type,
            "decided_by": policy.decided_by,
            "details": one.details,
            "made_at": now,
            "flow_run_id": flow_run_id,
        }
        for one in made
    ]
    insert_ignore(session, Decision, decisions, unique=["id"])
    basis = [{"decision_id": one.id, "prediction_id": p} for one in made for p in one.basis]
    insert_ignore(session, DecisionBasis, basis, unique=["decision_id", "prediction_id"])
    causes = _causes(session, [one.id for one in made])
    rows = [
        {
            "id": one.id,
            "domain": "cryoem",
            "kind": KIND,
            "flow": SUBMIT,
            "key": str(one.grid),
            "subject": f"{one.decision_type}/{one.area}",
            "payload": {"decision_id": str(one.id)},
            "caused_at": causes.get(one.id),
        }
        for one in made
    ]
    outbox.supersede(session, [row["subject"] for row in rows], keep=[one.id for one in made])
    outbox.put(session, rows, now=now)


def _causes(session: Session, decisions: Sequence[UUID]) -> dict[UUID, datetime]:
    """Return when the latest message that each decision rests on came in."""
    causes: dict[UUID, datetime] = {}
    for part in chunks(decisions):
        statement = (
            select(col(DecisionBasis.decision_id), func.max(col(Prediction.predicted_at)))
            .join(Prediction, col(Prediction.id) == col(DecisionBasis.prediction_id))
            .where(col(DecisionBasis.decision_id).in_(part))
            .group_by(col(DecisionBasis.decision_id))
        )
        causes |= {decision: moment for decision, moment in session.execute(statement)}  # noqa: C416 (as above)
    return causes
