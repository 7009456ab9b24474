"""Read models, and the weights that they begin with, have, and had."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

from pydantic import Field
from sqlalchemy import select, tuple_
from sqlmodel import Session, col

from models.athena import Time
from models.cryoem import weights
from models.cryoem.decision_tables import PredictionModel
from models.cryoem.model_registry import known_model
from models.cryoem.weight_tables import InitialWeight, ModelWeight, ModelWeightHistory
from models.paging import Keyset, Page, View

_Key: TypeAlias = tuple[Time, int, str, str]
_KEYSET: Keyset[tuple[datetime, int, str, str]] = Keyset(_Key)


class InitialView(View):
    """What a model's weight begins with on each grid."""

    model: str = Field(description="The model.")
    metric: str | None = Field(description="The metric; null for all that have none of their own.")
    weight: float = Field(description="Beside the others' numbers.")


class ModelView(View):
    """A model that predicts."""

    name: str = Field(description="Its name, as its messages say it.")
    description: str | None = Field(description="What people say of it.")
    level: str | None = Field(description="gridsquare, foilhole or foilholegroup.")
    first_seen_at: datetime = Field(description="When it became known.")
    initial_weights: list[InitialView] = Field(description="What it begins with on each grid.")


class ModelList(View):
    """All models."""

    items: list[ModelView] = Field(description="By name.")


class WeightView(View):
    """A model's weight on a grid, for a metric."""

    grid_uuid: UUID = Field(description="The grid.")
    metric: str = Field(description="The metric.")
    model: str = Field(description="The model.")
    weight: float = Field(description="0 to 1; those of a metric sum to 1.")
    updated_at: datetime | None = Field(
        description="When it last changed; null while it is what the model begins with."
    )


class WeightsDetail(View):
    """The weights on a grid, and what models begin with."""

    grid_uuid: UUID | None = Field(description="The grid; null where there is none.")
    in_force: list[WeightView] = Field(description="As the next measurement finds them.")
    initial: list[InitialView] = Field(description="What models begin with on each grid.")


class ModelDetail(ModelView):
    """A model, and the weights that it has."""

    weights: list[WeightView] = Field(description="On the grids where they changed last.")


class HistoryView(View):
    """A weight after a measurement, or as it was set."""

    changed_at: datetime = Field(description="When.")
    metric: str = Field(description="The metric.")
    model: str = Field(description="The model.")
    weight: float = Field(description="After the change.")
    prediction: float | None = Field(description="What it had predicted; null for nothing.")
    quality: float | None = Field(description="Of the measurement, 0 to 1; null where none was.")
    micrograph_uuid: UUID | None = Field(description="What was measured.")
    message_seq: int = Field(description="Number of the message; below zero where there was none.")


def list_models(session: Session) -> ModelList:
    """Return all models, by name."""
    initial = _initial(session)
    rows = session.scalars(select(PredictionModel).order_by(col(PredictionModel.name)))
    return ModelList(items=[_model(row, initial) for row in rows])


def get_model(session: Session, name: str, *, limit: int = 100) -> ModelDetail:
    """Return a model, and the weights of it that changed last.

    Raises:
        NotFound: There is no such model.
    """
    view = _model(known_model(session, name), _initial(session))
    rows = session.scalars(
        select(ModelWeight)
        .where(col(ModelWeight.model_name) == name)
        .order_by(
            col(ModelWeight.updated_at).desc(),
            col(ModelWeight.grid_uuid),
            col(ModelWeight.metric_name),
        )
        .limit(limit)
    )
    return ModelDetail(**view.model_dump(), weights=[_weight(row) for row in rows])


def get_weights(session: Session, grid: UUID | None) -> WeightsDetail:
    """Return the weights in force on a grid, and what models begin with."""
    if grid is None:
        return WeightsDetail(grid_uuid=None, in_force=[], initial=_initial(session))
    changed = {
        (row.metric_name, row.model_name): row.updated_at
        for row in session.scalars(select(ModelWeight).where(col(ModelWeight.grid_uuid) == grid))
    }
    return WeightsDetail(
        grid_uuid=grid,
        in_force=[
            WeightView(
                grid_uuid=grid,
                metric=metric,
                model=model,
                weight=weight,
                updated_at=changed.get((metric, model)),
            )
            for metric, of_models in sorted(weights.in_force(session, grid).items())
            for model, weight in sorted(of_models.items())
        ],
        initial=_initial(session),
    )


def list_history(
    session: Session,
    grid: UUID,
    *,
    metric: str | None = None,
    model: str | None = None,
    limit: int,
    cursor: str | None = None,
) -> Page[HistoryView]:
    """Return how weights on a grid changed, the latest change first."""
    key = tuple_(
        col(ModelWeightHistory.changed_at),
        col(ModelWeightHistory.message_seq),
        col(ModelWeightHistory.metric_name),
        col(ModelWeightHistory.model_name),
    )
    statement = (
        select(ModelWeightHistory)
        .where(col(ModelWeightHistory.grid_uuid) == grid)
        .order_by(*(part.desc() for part in key.clauses))
        .limit(limit + 1)
    )
    if metric is not None:
        statement = statement.where(col(ModelWeightHistory.metric_name) == metric)
    if model is not None:
        statement = statement.where(col(ModelWeightHistory.model_name) == model)
    after = _KEYSET.read(cursor)
    if after is not None:
        statement = statement.where(key < after)
    return _KEYSET.page(
        session.scalars(statement).all(),
        limit,
        key=lambda row: (row.changed_at, row.message_seq, row.metric_name, row.model_name),
        view=_history,
    )


def _initial(session: Session) -> list[InitialView]:
    rows = session.scalars(
        select(InitialWeight).order_by(
            col(InitialWeight.model_name), col(InitialWeight.metric_name)
        )
    )
    return [
        InitialView(model=row.model_name, metric=row.metric_name or None, weight=row.weight)
        for row in rows
    ]


def _model(row: PredictionModel, initial: Sequence[InitialView]) -> ModelView:
    return ModelView(
        name=row.name,
        description=row.description,
        level=row.level,
        first_seen_at=row.first_seen_at,
        initial_weights=[one for one in initial if one.model == row.name],
    )


def _weight(row: ModelWeight) -> WeightView:
    return WeightView(
        grid_uuid=row.grid_uuid,
        metric=row.metric_name,
        model=row.model_name,
        weight=row.weight,
        updated_at=row.updated_at,
    )


def _history(rows: Sequence[ModelWeightHistory]) -> list[HistoryView]:
    return [
        HistoryView(
            changed_at=row.changed_at,
            metric=row.metric_name,
            model=row.model_name,
            weight=row.weight,
            prediction=row.prediction,
            quality=row.quality,
            micrograph_uuid=row.micrograph_uuid,
            message_seq=row.message_seq,
        )
        for row in rows
    ]
