"""One session at a glance, in a fixed number of queries."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlmodel import Session, col

from models.base import DeliveryState
from models.cryoem import athena
from models.cryoem.decision_tables import Decision, Level, Prediction
from models.cryoem.decisions import ORDER
from models.cryoem.tables import Atlas, AtlasTile, Hole, Micrograph, Square
from models.outbox import OutboxMessage

#: What people call the states of a decision's outbox row.
STATE_NAMES = {
    DeliveryState.PENDING: "waiting to be sent",
    DeliveryState.CLAIMED: "on its way",
    DeliveryState.DONE: "at Athena",
    DeliveryState.SUPERSEDED: "superseded",
    DeliveryState.DEAD: "refused",
}
#: Rows of the decisions artifact: Prefect's page shows no more in one piece.
_MOST_ROWS = 200


@dataclass(frozen=True)
class SessionSummary:
    """Numbers of one session."""

    grid_uuid: UUID
    name: str
    started_at: datetime | None
    athena_session: str | None
    run_number: int | None
    run_stopped_at: datetime | None
    stop_reason: str | None
    entities: dict[str, int]
    areas: dict[str, int]
    #: "type: value" → number; for a hole selection each hole counts.
    decisions: dict[str, int]
    deliveries: dict[str, int]


def summarise(session: Session, grid_uuid: UUID) -> SessionSummary:
    """Count what belongs to a grid.

    Raises:
        UnknownParent: There is no such grid.
    """
    grid, acquisition = athena.get_grid(session, grid_uuid)
    row = athena.get_session(session, grid_uuid)
    return SessionSummary(
        grid_uuid=grid_uuid,
        name=grid.name,
        started_at=acquisition.started_at,
        athena_session=row.session_name if row else None,
        run_number=row.run_number if row else None,
        run_stopped_at=row.run_stopped_at if row else None,
        stop_reason=row.stop_reason if row else None,
        entities=count_entities(session, grid_uuid),
        areas=athena.count_areas(session, grid_uuid),
        decisions=_count_decisions(session, grid_uuid),
        deliveries=_count_deliveries(session, grid_uuid),
    )


def count_entities(session: Session, grid_uuid: UUID) -> dict[str, int]:
    """Return how many of each kind of entity a grid has."""
    counts: dict[str, int] = {}
    tiles = (
        select(func.count())
        .select_from(AtlasTile)
        .join(Atlas, col(Atlas.uuid) == col(AtlasTile.atlas_uuid))
        .where(col(Atlas.grid_uuid) == grid_uuid)
    )
    counts["tiles"] = session.scalar(tiles) or 0
    for name, model in {
        "squares": Square,
        "holes": Hole,
        "micrographs": Micrograph,
        "predictions": Prediction,
    }.items():
        statement = select(func.count()).select_from(model).where(col(model.grid_uuid) == grid_uuid)
        counts[name] = session.scalar(statement) or 0
    return counts


def _count_decisions(session: Session, grid_uuid: UUID) -> dict[str, int]:
    counts: dict[str, int] = {}
    statement = select(col(Decision.decision_type), col(Decision.outcome)).where(
        col(Decision.grid_uuid) == grid_uuid, col(Decision.decision_type) != ORDER
    )
    for kind, outcome in session.execute(statement):
        for chosen in outcome.values():
            name = f"{kind}: {'true' if chosen else 'false'}"
            counts[name] = counts.get(name, 0) + 1
    orders = (
        select(func.count())
        .select_from(Decision)
        .where(col(Decision.grid_uuid) == grid_uuid, col(Decision.decision_type) == ORDER)
    )
    told = session.scalar(orders)
    if told:
        counts[ORDER] = told
    return dict(sorted(counts.items()))


def _count_deliveries(session: Session, grid_uuid: UUID) -> dict[str, int]:
    rows = session.execute(
        select(col(OutboxMessage.state), func.count())
        .where(col(OutboxMessage.key) == str(grid_uuid))
        .group_by(col(OutboxMessage.state))
    )
    return {STATE_NAMES[DeliveryState(state)]: count for state, count in rows}


def decision_rows(session: Session, grid_uuid: UUID) -> list[dict[str, Any]]:
    """Return the newest decisions of a grid, as people read them."""
    statement = (
        select(Decision, OutboxMessage, Square, Hole)
        .join(OutboxMessage, col(OutboxMessage.id) == col(Decision.id))
        .outerjoin(Square, col(Square.uuid) == col(Decision.area_uuid))
        .outerjoin(Hole, col(Hole.uuid) == col(Decision.area_uuid))
        .where(col(Decision.grid_uuid) == grid_uuid)
        .order_by(col(OutboxMessage.seq).desc())
        .limit(_MOST_ROWS)
    )
    return [
        {
            "made at": decision.made_at.strftime("%H:%M:%S"),
            "decision": decision.decision_type,
            "area": _area(square, hole),
            "value": _told(decision),
            "why": decision.details,
            "state": STATE_NAMES[DeliveryState(row.state)],
            "id": str(decision.id),
        }
        for decision, row, square, hole in session.execute(statement)
    ]


def _area(square: Square | None, hole: Hole | None) -> str:
    if square is not None:
        return f"square {square.square_id}"
    return "atlas" if hole is None else f"hole {hole.hole_id}"


def _told(decision: Decision) -> str:
    if decision.decision_type == ORDER:
        return f"order of {len(decision.outcome)}"
    chosen = list(decision.outcome.values())
    if decision.level == Level.SQUARE:
        return "true" if chosen[0] else "false"
    return f"{sum(chosen)} of {len(chosen)} holes"
