"""The weights in force on a grid, and what models begin with."""

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, true
from sqlmodel import Session, col

from core.ids import ATHANOR, derived
from domains.cryoem.joining import joined
from domains.cryoem.weights import normalised
from models import audit
from models.cryoem.decision_tables import (
    CurrentPrediction,
    Level,
    PredictionModel,
    QualityMetric,
)
from models.cryoem.judging import Ground, locked
from models.cryoem.tables import Grid
from models.cryoem.weight_tables import (
    InitialWeight,
    ModelWeight,
    ModelWeightHistory,
)
from models.sql import insert_ignore, insert_or_replace, one_of

#: By grid and metric, then by model.
Weights = dict[Ground, dict[str, float]]

#: Bits of a uuid that are left out, so that JSON's numbers hold the others.
_BEYOND_JSON = 128 - 52


def stored(session: Session, grids: Collection[UUID]) -> Weights:
    """Return the weights that were stored, at most `models.sql.CHUNK` grids' at once."""
    grid = col(ModelWeight.grid_uuid)
    statement = select(
        grid, col(ModelWeight.metric_name), col(ModelWeight.model_name), col(ModelWeight.weight)
    ).where(one_of(session, grid, list(grids)))
    found: Weights = {}
    for of_grid, metric, model, weight in session.execute(statement):
        found.setdefault((of_grid, metric), {})[model] = weight
    return found


def in_force(session: Session, grid: UUID) -> dict[str, dict[str, float]]:
    """Return the weights of a grid by metric and model, as its next measurement will find them.

    A metric has the models that have a weight, and those that have a current prediction on the
    grid for it or for all metrics; its weights sum to 1. It is empty where there is no model.
    """
    metrics = list(session.scalars(select(col(QualityMetric.name))))
    found = completed(session, [(grid, metric) for metric in metrics], stored(session, [grid]))
    return {metric: found[grid, metric] for metric in metrics}


def completed(session: Session, grounds: Collection[Ground], weights: Weights) -> Weights:
    """Return the weights of grids and metrics with the models that join them now."""
    predicting = _predicting(session, grounds)
    new = any(set(predicting[ground]) - set(weights.get(ground, ())) for ground in grounds)
    initial = _initial(session) if new else {}
    return {
        (grid, metric): joined(
            weights.get((grid, metric), {}),
            predicting[grid, metric],
            {**initial.get("", {}), **initial.get(metric, {})},
        )
        for grid, metric in grounds
    }


def _predicting(session: Session, grounds: Collection[Ground]) -> dict[Ground, set[str]]:
    """Return the models that have a current prediction for a metric, or for all, on a grid."""
    grid, metric, model = col(Grid.uuid), col(QualityMetric.name), col(PredictionModel.name)
    # A look into the index for each model and metric; the rows of a grid are half a million.
    predicts = (
        select(col(CurrentPrediction.target_uuid))
        .where(
            col(CurrentPrediction.grid_uuid) == grid,
            col(CurrentPrediction.level).in_(list(Level)),
            col(CurrentPrediction.model_name) == model,
            col(CurrentPrediction.metric_name).in_(["", metric]),
        )
        .exists()
    )
    statement = (
        select(grid, metric, model)
        .select_from(Grid)
        .join(QualityMetric, true())
        .join(PredictionModel, true())
        .where(
            one_of(session, grid, sorted({of_grid for of_grid, _ in grounds})),
            metric.in_(sorted({name for _, name in grounds})),
            predicts,
        )
    )
    found: dict[Ground, set[str]] = {ground: set() for ground in grounds}
    for of_grid, name, of_model in session.execute(statement):
        if (of_grid, name) in found:
            found[of_grid, name].add(of_model)
    return found


def _initial(session: Session) -> dict[str, dict[str, float]]:
    """Return what models begin with, by metric and model; '' is every metric."""
    found: dict[str, dict[str, float]] = {}
    for row in session.scalars(select(InitialWeight)):
        found.setdefault(row.metric_name, {})[row.model_name] = row.weight
    return found


def put(
    session: Session, grid: UUID, metric: str, weights: Mapping[str, float], *, now: datetime
) -> dict[str, float]:
    """Set weights of a grid and metric by hand; return those of all its models, sum 1.

    The models that are not named keep their proportions. A measurement that is judged meanwhile
    is judged before or after, never between.

    Args:
        session: The transaction.
        grid: The grid.
        metric: The quality metric.
        weights: By model, ≥ 0, in the scale in which those in force sum to 1.
        now: When.
    """
    ground = (grid, metric)
    step = locked(session, {ground}, now=now)[ground].count
    before = stored(session, [grid]).get(ground, {})
    after = normalised({**before, **weights})
    write(session, {ground: after}, now=now)
    audit.note(session, "model_weight", f"{grid} {metric}", before=before or None, after=after)
    note(session, ground, after, step=step, now=now)
    return after


def note(
    session: Session, ground: Ground, weights: Mapping[str, float], *, step: int, now: datetime
) -> None:
    """Add to the history weights that no measurement brought about."""
    # Below zero, where no message has its number, and the same for the same.
    number = -1 - (derived(ATHANOR, "weights", *ground, step, now).int >> _BEYOND_JSON)
    rows = [
        {
            "message_seq": number,
            "metric_name": ground[1],
            "model_name": model,
            "grid_uuid": ground[0],
            "step": step,
            "weight": weight,
            "changed_at": now,
        }
        for model, weight in weights.items()
    ]
    insert_ignore(
        session, ModelWeightHistory, rows, unique=["message_seq", "metric_name", "model_name"]
    )


def write(session: Session, weights: Weights, *, now: datetime) -> None:
    """Store the weights in force of grids and metrics."""
    rows = [
        {
            "grid_uuid": grid,
            "metric_name": metric,
            "model_name": model,
            "weight": weight,
            "updated_at": now,
        }
        for (grid, metric), of_models in sorted(weights.items())
        for model, weight in of_models.items()
    ]
    insert_or_replace(session, ModelWeight, rows, unique=["grid_uuid", "metric_name", "model_name"])
