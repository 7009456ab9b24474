"""The scores and the order of a grid's holes, as of its last refresh."""

from datetime import datetime
from uuid import UUID

import numpy as np
from sqlalchemy import delete, select
from sqlmodel import Session, col

from domains.cryoem.classic import suggested_indexes
from domains.cryoem.planning import Plan
from models.columns import Array, read_columns, write_columns
from models.cryoem.grid_state import GridRead
from models.cryoem.weight_tables import HoleScore

#: What a refresh says of each hole.
_SAID = ("score", "suggested_acquisition_index", "expected", "uncertainty", "cost")

#: By column: uuids, and what is said of them.
Scores = dict[str, Array]


def scored(read: GridRead, plan: Plan) -> Scores:
    """Return what is to be said of each hole of the grid.

    A hole that is not in the order has no index and no cost; expected of it is its score.
    """
    count = len(read.holes)
    place = suggested_indexes(plan.order, count).astype(np.float64)
    expected, uncertainty, cost = read.state.score.copy(), np.zeros(count), np.full(count, np.nan)
    expected[plan.order] = plan.expected
    uncertainty[plan.order] = plan.uncertainty
    cost[plan.order] = plan.cost
    return {
        "hole_uuid": read.holes,
        "score": read.state.score,
        "suggested_acquisition_index": np.where(place > 0, place, np.nan),
        "expected": expected,
        "uncertainty": uncertainty,
        "cost": cost,
    }


def changed(session: Session, grid: UUID, scores: Scores) -> Scores:
    """Return what is not stored of the grid in the same words."""
    columns = [col(getattr(HoleScore, name)) for name in _SAID]
    statement = select(col(HoleScore.hole_uuid).label("hole_uuid"), *columns).where(
        col(HoleScore.grid_uuid) == grid
    )
    stored = read_columns(
        session, statement, {"hole_uuid": "uuid", **dict.fromkeys(_SAID, "number")}
    )
    _, at, found = np.intersect1d(scores["hole_uuid"], stored["hole_uuid"], return_indices=True)
    same = np.zeros(len(scores["hole_uuid"]), dtype=np.bool_)
    same[at] = np.logical_and.reduce(
        [_equal(scores[name][at], stored[name][found]) for name in _SAID]
    )
    return {name: column[~same] for name, column in scores.items()}


def _equal(one: Array, other: Array) -> Array:
    return (one == other) | (np.isnan(one) & np.isnan(other))


def write(session: Session, grid: UUID, scores: Scores, *, now: datetime) -> None:
    """Store what changed."""
    write_columns(session, HoleScore, scores, unique="hole_uuid", grid_uuid=grid, refreshed_at=now)


def forget(session: Session, grid: UUID) -> None:
    """Drop the scores of a grid that has no holes any more, or that no model predicts."""
    session.execute(delete(HoleScore).where(col(HoleScore.grid_uuid) == grid))
