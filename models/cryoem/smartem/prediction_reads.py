"""Predictions by square, hole, model and metric, as SmartEM's clients read them.

Each answer takes a fixed number of statements, whatever the size of the grid. To ask about a
square, grid, model or metric that is not there is refused; what was not predicted is left out.
"""

from collections.abc import Iterable
from operator import attrgetter
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlmodel import Session, col

from models.cryoem.decision_tables import CurrentPrediction, Level, Prediction, PredictionModel
from models.cryoem.model_registry import known_metrics, known_model
from models.cryoem.smartem.known import known
from models.cryoem.smartem.prediction_views import (
    HolePredictionSeries,
    OverallQualityPrediction,
    PredictionSeries,
    QualityMetricsResponse,
    QualityPrediction,
    QualityPredictionResponse,
)
from models.cryoem.tables import Grid, Hole, Square
from models.cryoem.weight_tables import HoleScore

#: What SmartEM's clients are told of the place of a hole that is not to be collected.
_NO_PLACE = 0


def square_series(session: Session, square: UUID) -> PredictionSeries:
    """Return all that each model ever predicted for a square, the oldest first.

    Raises:
        NotFound: There is no such square.
    """
    known(session, Square, square)
    rows = session.scalars(
        select(Prediction)
        .where(col(Prediction.target_uuid) == square)
        .order_by(col(Prediction.model_name), col(Prediction.message_seq))
    )
    found: PredictionSeries = {}
    for row in rows:
        one = QualityPrediction(**_said(row), foilhole_uuid=None, gridsquare_uuid=square)
        found.setdefault(row.model_name, []).append(one)
    return found


def hole_series(
    session: Session, square: UUID, *, metric: str | None = None
) -> HolePredictionSeries:
    """Return all that each model ever predicted for the holes of a square, the oldest first.

    Args:
        session: The transaction.
        square: The square.
        metric: What is predicted; None for predictions over all metrics.

    Raises:
        NotFound: There is no such square, or no such metric.
    """
    known(session, Square, square)
    if metric is not None:
        known_metrics(session, metric)
    rows = session.execute(
        select(Prediction, col(Hole.hole_id))
        .join(Hole, col(Hole.uuid) == col(Prediction.target_uuid))
        .where(
            col(Hole.square_uuid) == square,
            col(Hole.deleted_at).is_(None),
            col(Prediction.metric_name).is_not_distinct_from(metric),
        )
        .order_by(col(Prediction.model_name), col(Hole.hole_id), col(Prediction.message_seq))
    )
    found: HolePredictionSeries = {}
    for row, hole_id in rows:
        of_model = found.setdefault(row.model_name, {})
        of_model.setdefault(str(hole_id), []).append(
            QualityPrediction(**_said(row), foilhole_uuid=row.target_uuid, gridsquare_uuid=square)
        )
    return found


def predicted_on_grid(session: Session, model: str, grid: UUID) -> list[QualityPredictionResponse]:
    """Return what a model predicts for the squares of a grid; for its holes, if for no square.

    Raises:
        NotFound: There is no such grid or model.
    """
    known(session, Grid, grid)
    known_model(session, model)
    rows = session.execute(
        select(CurrentPrediction, col(Square.uuid))
        .join(Square, col(Square.uuid) == col(CurrentPrediction.target_uuid))
        .where(
            col(CurrentPrediction.grid_uuid) == grid,
            col(CurrentPrediction.level) == Level.SQUARE,
            col(CurrentPrediction.model_name) == model,
            col(Square.deleted_at).is_(None),
        )
        .order_by(col(Square.square_id))
    )
    return [
        QualityPredictionResponse(**_said(row), foilhole_uuid=None, gridsquare_uuid=square)
        for row, square in latest(rows.tuples())
    ] or _for_holes(session, model, grid)


def predicted_on_square(
    session: Session, model: str, square: UUID
) -> list[QualityPredictionResponse]:
    """Return what a model predicts for the holes of a square.

    Raises:
        NotFound: There is no such square or model.
    """
    grid = known(session, Square, square).grid_uuid
    known_model(session, model)
    return _for_holes(session, model, grid, square=square)


def _for_holes(
    session: Session, model: str, grid: UUID, *, square: UUID | None = None
) -> list[QualityPredictionResponse]:
    statement = (
        select(CurrentPrediction, col(Hole.square_uuid))
        .join(Hole, col(Hole.uuid) == col(CurrentPrediction.target_uuid))
        .where(
            col(CurrentPrediction.grid_uuid) == grid,
            col(CurrentPrediction.level) == Level.HOLE,
            col(CurrentPrediction.model_name) == model,
            col(Hole.deleted_at).is_(None),
        )
        .order_by(col(Hole.hole_id))
    )
    if square is not None:
        statement = statement.where(col(Hole.square_uuid) == square)
    return [
        QualityPredictionResponse(
            **_said(row), foilhole_uuid=row.target_uuid, gridsquare_uuid=of_square
        )
        for row, of_square in latest(session.execute(statement).tuples())
    ]


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


def overall(session: Session, square: UUID) -> list[OverallQualityPrediction]:
    """Return the overall scores of the holes of a square, in order of EPU's id.

    Raises:
        NotFound: There is no such square.
    """
    known(session, Square, square)
    rows = session.scalars(
        select(HoleScore)
        .join(Hole, col(Hole.uuid) == col(HoleScore.hole_uuid))
        .where(col(Hole.square_uuid) == square, col(Hole.deleted_at).is_(None))
        .order_by(col(Hole.hole_id))
    )
    return [
        OverallQualityPrediction(
            id=None,
            value=row.score,
            suggested_acquisition_index=row.suggested_acquisition_index or _NO_PLACE,
            foilhole_uuid=row.hole_uuid,
            gridsquare_uuid=square,
            grid_uuid=row.grid_uuid,
        )
        for row in rows
    ]


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


_COLUMNS = attrgetter("message_seq", "predicted_at", "value", "model_name", "metric_name")
_FIELDS = ("id", "timestamp", "value", "prediction_model_name", "metric_name")


def _said(row: Prediction | CurrentPrediction) -> dict[str, Any]:
    said = dict(zip(_FIELDS, _COLUMNS(row), strict=True))
    # Where a key may hold no NULL, all metrics are an empty name.
    return {**said, "metric_name": said["metric_name"] or None}
