"""Predictions by square, hole, model and metric, as SmartEM's clients read them.

What is asked of a square, grid, model or metric that is not there is refused; what was not
predicted is left out.
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, String, exists, func, literal, null, select
from sqlalchemy import tuple_ as row_of
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from models.cryoem.decision_tables import CurrentPrediction, Level, Prediction, PredictionModel
from models.cryoem.model_registry import known_metrics, known_model
from models.cryoem.smartem.known import known
from models.cryoem.smartem.prediction_views import QualityMetricsResponse
from models.cryoem.tables import Grid, Hole, Square
from models.cryoem.weight_tables import HoleScore
from models.series import Key, Series
from models.uuid_text import uuid_text

#: What SmartEM's clients are told of the place of a hole that is not to be collected.
_NO_PLACE = 0


def square_series(session: Session, square: UUID) -> Series:
    """Return all that each model ever predicted for a square, by model, the oldest first.

    Raises:
        NotFound: There is no such square.
    """
    known(session, Square, square)
    statement = _told(Prediction, hole=null(), square=literal(str(square)))
    return Series(
        "square predictions",
        statement.where(col(Prediction.target_uuid) == square),
        (Key(col(Prediction.model_name), str), Key(col(Prediction.message_seq), int)),
        depth=1,
    )


def hole_series(session: Session, square: UUID, *, metric: str | None = None) -> Series:
    """Return all that each model ever predicted for the holes of a square, the oldest first.

    They are by model, then by EPU's id of the hole.

    Args:
        session: The transaction.
        square: The square.
        metric: What is predicted; None for predictions over all metrics.

    Raises:
        NotFound: There is no such square, or no such metric.
    """
    grid = known(session, Square, square).grid_uuid
    if metric is not None:
        known_metrics(session, metric)
    # By itself, so that holes come in order, and no more of them than are needed.
    holes = (
        select(col(Hole.uuid), col(Hole.hole_id))
        .where(col(Hole.square_uuid) == square, col(Hole.deleted_at).is_(None))
        .order_by(col(Hole.hole_id))
        .subquery()
    )
    statement = _told(
        Prediction, hole=uuid_text(col(Prediction.target_uuid)), square=literal(str(square))
    )
    return Series(
        "hole predictions",
        statement.join(holes, holes.c.uuid == col(Prediction.target_uuid)).where(
            col(Prediction.metric_name).is_not_distinct_from(metric)
        ),
        (
            Key(col(Prediction.model_name), str),
            Key(holes.c.hole_id, int),
            Key(col(Prediction.message_seq), int),
        ),
        firsts=_models_for_holes(session, grid, metric),
        depth=2,
    )


def _models_for_holes(session: Session, grid: UUID, metric: str | None) -> tuple[str, ...]:
    """Return the models that predict holes of a grid."""
    predicts = exists().where(
        col(CurrentPrediction.grid_uuid) == grid,
        col(CurrentPrediction.level) == Level.HOLE,
        col(CurrentPrediction.model_name) == col(PredictionModel.name),
        col(CurrentPrediction.metric_name) == (metric or ""),
    )
    name = col(PredictionModel.name)
    return tuple(session.scalars(select(name).where(predicts).order_by(name)))


def predicted_on_grid(session: Session, model: str, grid: UUID) -> Series:
    """Return what a model predicts for the squares of a grid; for its holes, if for no square.

    Raises:
        NotFound: There is no such grid or model.
    """
    known(session, Grid, grid)
    known_model(session, model)
    statement = (
        _in_force(Level.SQUARE, model, grid, hole=null(), square=uuid_text(col(Square.uuid)))
        .join(Square, col(Square.uuid) == col(CurrentPrediction.target_uuid))
        .where(col(Square.grid_uuid) == grid, col(Square.deleted_at).is_(None))
    )
    if session.execute(statement.limit(1)).first() is None:
        return _for_holes(model, grid, col(Hole.grid_uuid) == grid)
    return Series("squares predicted", statement, (Key(col(Square.square_id), int),))


def predicted_on_square(session: Session, model: str, square: UUID) -> Series:
    """Return what a model predicts for the holes of a square.

    Raises:
        NotFound: There is no such square or model.
    """
    grid = known(session, Square, square).grid_uuid
    known_model(session, model)
    return _for_holes(model, grid, col(Hole.square_uuid) == square)


def _for_holes(model: str, grid: UUID, where: ColumnElement[bool]) -> Series:
    statement = _in_force(
        Level.HOLE,
        model,
        grid,
        hole=uuid_text(col(Hole.uuid)),
        square=uuid_text(col(Hole.square_uuid)),
    )
    of_holes = statement.join(Hole, col(Hole.uuid) == col(CurrentPrediction.target_uuid))
    return Series(
        "holes predicted",
        of_holes.where(where, col(Hole.deleted_at).is_(None)),
        (Key(col(Hole.hole_id), int),),
    )


def _in_force(level: Level, model: str, grid: UUID, *, hole: Any, square: Any) -> Select[Any]:
    """Return the selection of the latest that a model predicts for each, whatever the metric."""
    later: Any = aliased(CurrentPrediction)
    outdated = exists().where(
        later.target_uuid == col(CurrentPrediction.target_uuid),
        later.model_name == col(CurrentPrediction.model_name),
        row_of(later.message_seq, later.metric_name)
        > row_of(col(CurrentPrediction.message_seq), col(CurrentPrediction.metric_name)),
    )
    return _told(CurrentPrediction, hole=hole, square=square).where(
        col(CurrentPrediction.grid_uuid) == grid,
        col(CurrentPrediction.level) == level,
        col(CurrentPrediction.model_name) == model,
        ~outdated,
    )


def latest(
    rows: Iterable[tuple[CurrentPrediction, UUID]],
) -> Iterable[tuple[CurrentPrediction, UUID]]:
    """Return the latest prediction for each target, whatever the metric, in the order given."""
    found: dict[UUID, tuple[CurrentPrediction, UUID]] = {}
    for row, of in rows:
        before = found.get(row.target_uuid)
        if before is None or before[0].message_seq < row.message_seq:
            found[row.target_uuid] = (row, of)
    return found.values()


def overall(session: Session, square: UUID) -> Series:
    """Return the overall scores of the holes of a square, in order of EPU's id.

    Raises:
        NotFound: There is no such square.
    """
    known(session, Square, square)
    place = func.coalesce(col(HoleScore.suggested_acquisition_index), _NO_PLACE)
    statement = (
        select(
            null().label("id"),
            col(HoleScore.score).label("value"),
            place.label("suggested_acquisition_index"),
            uuid_text(col(HoleScore.hole_uuid)).label("foilhole_uuid"),
            literal(str(square)).label("gridsquare_uuid"),
            uuid_text(col(HoleScore.grid_uuid)).label("grid_uuid"),
        )
        .join(Hole, col(Hole.uuid) == col(HoleScore.hole_uuid))
        .where(col(Hole.square_uuid) == square, col(Hole.deleted_at).is_(None))
    )
    return Series("overall", statement, (Key(col(Hole.hole_id), int),))


def count_all(session: Session) -> QualityMetricsResponse:
    """Return how many values were predicted, and what they are like."""
    value = col(Prediction.value)
    total, mean, lowest, highest = session.execute(
        select(func.count(), func.avg(value), func.min(value), func.max(value))
    ).one()
    models = session.scalar(select(func.count()).select_from(PredictionModel))
    return QualityMetricsResponse(
        total_predictions=total,
        average_quality=mean,
        min_quality=lowest,
        max_quality=highest,
        models_count=models or 0,
    )


def _told(
    model: type[Prediction] | type[CurrentPrediction], *, hole: Any, square: Any
) -> Select[Any]:
    """Return the selection of what is shown of a prediction."""
    return select(
        col(model.message_seq).label("id"),
        col(model.predicted_at).label("timestamp"),
        col(model.value),
        col(model.model_name).label("prediction_model_name"),
        # Where a key may hold no NULL, all metrics are an empty name.
        func.nullif(col(model.metric_name), "", type_=String()).label("metric_name"),
        hole.label("foilhole_uuid"),
        square.label("gridsquare_uuid"),
    )
