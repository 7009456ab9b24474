"""Measured micrographs for tests, and what judging them one by one comes to."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID, uuid5

import numpy as np
from sqlalchemy import select
from sqlmodel import Session, col

from domains.cryoem import ids
from domains.cryoem.quality import Statistics, joined, judge
from domains.cryoem.weights import updated
from models.cryoem import measurements, predictions
from models.cryoem.measurements import Item, Recorded
from models.cryoem.messages import MotionCorrected
from models.cryoem.weight_tables import ModelWeight, ModelWeightHistory
from models.database import Database
from models.inbox import Received
from tests.integration.models.factories import (
    NOON,
    Site,
    apply,
    arrive,
    hole_body,
    image_message,
    plant,
)

#: Weights by model, after each value.
Turns = list[dict[str, float]]


def photographed(database: Database, squares: Sequence[Sequence[int]]) -> Site:
    """Make a grid with a micrograph of each hole."""
    site = plant(database, squares)
    images = [
        image_message(site.grid, stem=f"FoilHole_{hole}", square=number, hole=hole)
        for number, holes in enumerate(squares, start=1)
        for hole in holes
    ]
    apply(database, *images)
    return site


def predict(database: Database, values: Mapping[UUID, float], model: str, **more: str) -> None:
    """Store a model's predictions for holes."""
    with database.transaction() as session:
        bodies = [hole_body(hole, value, model, **more) for hole, value in values.items()]
        predictions.record(session, arrive(session, *bodies))


def motion(grid: UUID, seq: int, hole: int, total: float) -> Item:
    """Return the message with a number that tells a hole's total motion, as a run takes it."""
    micrograph = ids.micrograph_uuid(grid, f"FoilHole_{hole}")
    said = MotionCorrected(
        message_id=None,
        micrograph_uuid=micrograph,
        grid_uuid=None,
        micrograph_id=None,
        foilhole_id=None,
        total_motion=total,
        average_motion=total / 10,
    )
    ident = uuid5(grid, str(seq))
    return Received(seq, ident, "cryoem", said.event_type, NOON, 0, said.model_dump_json()), said


def record(database: Database, items: Sequence[Item], *, now: datetime = NOON) -> Recorded:
    """Record measurements in a transaction of their own."""
    with database.transaction() as session:
        return measurements.record(session, items, now=now)


def weights(session: Session, grid: UUID) -> dict[str, float]:
    """Return the current weights for motion."""
    rows = session.scalars(select(ModelWeight).where(col(ModelWeight.grid_uuid) == grid))
    return {row.model_name: row.weight for row in rows if row.metric_name == "motioncorrection"}


def history(session: Session, grid: UUID) -> list[ModelWeightHistory]:
    """Return the history of a grid in the order in which it came about."""
    order = (
        ModelWeightHistory.metric_name,
        ModelWeightHistory.step,
        ModelWeightHistory.model_name,
    )
    rows = session.scalars(
        select(ModelWeightHistory)
        .where(col(ModelWeightHistory.grid_uuid) == grid)
        .order_by(*(col(one) for one in order))
    ).all()
    session.expunge_all()
    return list(rows)


def one_by_one(
    values: Iterable[float],
    predicted: Iterable[Mapping[str, float]],
    begin: Mapping[str, float],
) -> tuple[Statistics, list[float], Turns]:
    """Return what the rules come to when each value of motion is taken on its own."""
    statistics, qualities, turns = Statistics(), [], []
    models = sorted(begin)
    current = np.array([begin[model] for model in models])
    for value, of_models in zip(values, predicted, strict=True):
        quality = judge(statistics, value, larger_is_better=False)
        statistics = joined(statistics, value)
        row = np.array([of_models.get(model, math.nan) for model in models])
        current = updated(current, row, quality)
        qualities.append(quality)
        turns.append(dict(zip(models, current.tolist(), strict=True)))
    return statistics, qualities, turns
