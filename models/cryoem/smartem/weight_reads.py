"""How the weights of models changed on a grid, as SmartEM's clients read it."""

from typing import Annotated
from uuid import UUID

from pydantic import Field
from sqlalchemy import null, select
from sqlmodel import Session, col

from domains.cryoem.quality import is_good
from models.athena import Time
from models.cryoem.smartem.filters import Text
from models.cryoem.smartem.known import known
from models.cryoem.tables import Grid
from models.cryoem.weight_tables import ModelWeight, ModelWeightHistory
from models.listing import Row
from models.paging import PageQuery
from models.series import Key, Series
from models.uuid_text import uuid_text


class WeightQuery(PageQuery):
    """What may be asked of the weights of a grid."""

    metric: Annotated[
        Text | None, Field(description="Only for this metric.", examples=["ctfmaxresolution"])
    ] = None


def weight_series(session: Session, grid: UUID, *, metric: str | None = None) -> Series:
    """Return all weights that each model ever had on a grid, by model, the oldest first.

    Raises:
        NotFound: There is no such grid.
    """
    known(session, Grid, grid)
    row = ModelWeightHistory
    statement = select(
        col(row.message_seq).label("id"),
        uuid_text(col(row.grid_uuid)).label("grid_uuid"),
        uuid_text(col(row.micrograph_uuid)).label("micrograph_uuid"),
        null().label("micrograph_quality"),
        col(row.changed_at).label("timestamp"),
        col(row.model_name).label("prediction_model_name"),
        col(row.metric_name),
        col(row.weight),
        col(row.prediction).label("prediction_value"),
        col(row.quality).label("quality_score"),
    ).where(col(row.grid_uuid) == grid)
    if metric is not None:
        statement = statement.where(col(row.metric_name) == metric)
    keys = (
        Key(col(row.model_name), str),
        Key(col(row.changed_at), Time),
        Key(col(row.step), int),
        Key(col(row.metric_name), str),
        Key(col(row.message_seq), int),
    )
    of_grid = col(ModelWeight.grid_uuid) == grid
    names = select(col(ModelWeight.model_name)).where(of_grid).distinct()
    models = tuple(session.scalars(names.order_by(col(ModelWeight.model_name))))
    return Series("weights", statement, keys, firsts=models, depth=1, shown=_judged)


def _judged(_session: Session, rows: list[Row]) -> list[Row]:
    """Say of each measurement whether it is good."""
    for row in rows:
        quality = row["quality_score"]
        row["micrograph_quality"] = None if quality is None else is_good(quality)
    return rows
