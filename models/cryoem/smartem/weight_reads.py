"""How the weights of models changed on a grid, as SmartEM's clients read it."""

from uuid import UUID

from sqlalchemy import select
from sqlmodel import Session, col

from domains.cryoem.quality import is_good
from models.cryoem.smartem.known import known
from models.cryoem.smartem.prediction_views import QualityPredictionModelWeight, WeightSeries
from models.cryoem.tables import Grid
from models.cryoem.weight_tables import ModelWeightHistory


def weight_series(session: Session, grid: UUID, *, metric: str | None = None) -> WeightSeries:
    """Return all weights that each model ever had on a grid, the oldest first.

    Raises:
        NotFound: There is no such grid.
    """
    known(session, Grid, grid)
    statement = (
        select(ModelWeightHistory)
        .where(col(ModelWeightHistory.grid_uuid) == grid)
        .order_by(
            col(ModelWeightHistory.model_name),
            col(ModelWeightHistory.changed_at),
            col(ModelWeightHistory.step),
            col(ModelWeightHistory.metric_name),
        )
    )
    if metric is not None:
        statement = statement.where(col(ModelWeightHistory.metric_name) == metric)
    found: WeightSeries = {}
    for row in session.scalars(statement):
        found.setdefault(row.model_name, []).append(_view(row))
    return found


def _view(row: ModelWeightHistory) -> QualityPredictionModelWeight:
    return QualityPredictionModelWeight(
        id=row.message_seq,
        grid_uuid=row.grid_uuid,
        micrograph_uuid=row.micrograph_uuid,
        micrograph_quality=None if row.quality is None else is_good(row.quality),
        timestamp=row.changed_at,
        prediction_model_name=row.model_name,
        metric_name=row.metric_name,
        weight=row.weight,
        prediction_value=row.prediction,
        quality_score=row.quality,
    )
