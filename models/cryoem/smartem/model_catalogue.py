"""Models that predict, as SmartEM's clients list, make, change and delete them."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, select
from sqlmodel import Session, col

from core.errors import Conflict
from models import audit
from models.cryoem.decision_tables import CurrentPrediction, Prediction, PredictionModel
from models.cryoem.model_registry import known_model
from models.cryoem.processing_tables import ModelParameter
from models.cryoem.smartem.prediction_views import (
    QualityPredictionModelCreateRequest,
    QualityPredictionModelResponse,
    QualityPredictionModelUpdateRequest,
)
from models.cryoem.weight_tables import InitialWeight, ModelWeight, ModelWeightHistory
from models.sql import insert_new
from models.visibility.enforcement import UNSEEN


def list_models(session: Session) -> list[QualityPredictionModelResponse]:
    """Return all models, by name."""
    rows = session.scalars(select(PredictionModel).order_by(col(PredictionModel.name)))
    return [_view(row) for row in rows]


def get_model(session: Session, name: str) -> QualityPredictionModelResponse:
    """Return a model.

    Raises:
        NotFound: There is no such model.
    """
    return _view(known_model(session, name))


def create_model(
    session: Session, asked: QualityPredictionModelCreateRequest, *, now: datetime
) -> QualityPredictionModelResponse:
    """Make a model known.

    Raises:
        Conflict: There is one of that name.
    """
    row = {**asked.model_dump(), "first_seen_at": now}
    if not insert_new(session, PredictionModel, [row], unique="name"):
        raise Conflict(f"There is a model {asked.name} already: PUT changes what is said of it.")
    audit.note(session, "prediction_model", asked.name, after=row)
    return get_model(session, asked.name)


def update_model(
    session: Session, name: str, asked: QualityPredictionModelUpdateRequest
) -> QualityPredictionModelResponse:
    """Change what is said of a model.

    Raises:
        NotFound: There is no such model.
    """
    model = known_model(session, name)
    for field, value in asked.model_dump(exclude_none=True).items():
        setattr(model, field, value)
    session.add(model)
    return _view(model)


def delete_model(session: Session, name: str) -> None:
    """Forget a model that has said nothing, and the weights that it was to begin with.

    Raises:
        NotFound: There is no such model.
        Conflict: It has predicted or learned something, which decisions may rest on.
    """
    model = known_model(session, name)
    for what, traces in _traces(name):
        # Whoever's sessions they are in.
        if session.execute(traces.limit(1), execution_options=UNSEEN).first() is not None:
            raise Conflict(
                f"Model {name} has {what}, which decisions may rest on. It stays; "
                "PUT with can_infer false says that it is in use no longer."
            )
    session.execute(delete(InitialWeight).where(col(InitialWeight.model_name) == name))
    session.delete(model)


def _traces(name: str) -> Iterator[tuple[str, Select[Any]]]:
    for what, table in (
        ("predictions in force", CurrentPrediction),
        ("predictions", Prediction),
        ("parameters", ModelParameter),
        ("weights", ModelWeight),
        ("weights in the past", ModelWeightHistory),
    ):
        model: Any = table
        yield what, select(col(model.model_name)).where(col(model.model_name) == name)


def _view(row: PredictionModel) -> QualityPredictionModelResponse:
    return QualityPredictionModelResponse(
        name=row.name,
        description=row.description or "",
        can_train=bool(row.can_train),
        # A model that only its messages tell of predicts.
        can_infer=row.can_infer is not False,
        can_update=bool(row.can_update),
        level=row.level,
    )
