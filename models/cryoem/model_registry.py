"""Models and metrics by name: made known, described, and given a weight to begin with."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import select
from sqlmodel import Session, col

from core.errors import BadInput, NotFound
from domains.cryoem.metrics import CTF, MOTION, PARTICLES
from models import audit
from models.cryoem.decision_tables import PredictionModel, QualityMetric
from models.cryoem.weight_tables import InitialWeight
from models.sql import insert_ignore, insert_or_replace

#: What stands for every metric that has no row of its own.
EVERY_METRIC: Final = ""

#: The metrics that image processing measures.
_METRICS: Final = (
    (MOTION, "Total motion of the specimen during the exposure", "Å", False),
    (CTF, "Resolution to which the CTF could be fitted", "Å", False),
    (PARTICLES, "Number of particles picked", None, True),
)
_METRIC_FIELDS: Final = ("name", "description", "unit", "larger_is_better")


class ModelLevel(StrEnum):
    """What a model predicts for, as the contract names it."""

    SQUARE = "gridsquare"
    HOLE = "foilhole"
    GROUP = "foilholegroup"


@dataclass(frozen=True)
class Known:
    """A model to make known."""

    name: str
    description: str | None = None
    level: ModelLevel | None = None
    #: What it begins with on each grid, ≥ 0, beside the others' numbers; None for their average.
    weight: float | None = None


def ensure(session: Session, models: Iterable[Known], *, now: datetime) -> int:
    """Make metrics, models and their initial weights exist; return how many models were new.

    What is there already stays as it is: a person may have changed it.
    """
    models = list(models)
    metrics: list[dict[str, Any]] = [
        dict(zip(_METRIC_FIELDS, one, strict=True)) for one in _METRICS
    ]
    insert_ignore(session, QualityMetric, metrics, unique=["name"])
    there = set(session.scalars(select(col(PredictionModel.name))))
    rows = [
        {
            "name": one.name,
            "description": one.description,
            "level": one.level,
            "first_seen_at": now,
        }
        for one in models
    ]
    insert_ignore(session, PredictionModel, rows, unique=["name"])
    weights = [
        {"model_name": one.name, "metric_name": EVERY_METRIC, "weight": one.weight}
        for one in models
        if one.weight is not None
    ]
    insert_ignore(session, InitialWeight, weights, unique=["model_name", "metric_name"])
    return len({one.name for one in models} - there)


def register(session: Session, model: Known, *, now: datetime) -> None:
    """Make a model known.

    Raises:
        BadInput: There is one of that name.
    """
    if session.get(PredictionModel, model.name) is not None:
        raise BadInput(
            f"There is a model {model.name} already: `athanor models describe` changes what is "
            "said of it."
        )
    ensure(session, [model], now=now)
    audit.note(session, "prediction_model", model.name, after=vars(model))


def describe(
    session: Session, name: str, *, description: str | None, level: ModelLevel | None
) -> None:
    """Change what is said of a model; None leaves a thing as it is.

    Raises:
        NotFound: There is no such model.
    """
    model = known_model(session, name)
    if description is not None:
        model.description = description
    if level is not None:
        model.level = level
    session.add(model)


def begin_with(session: Session, model: str, weight: float, *, metric: str | None) -> None:
    """Say what a model's weight begins with on each grid, for a metric or for all others.

    Raises:
        NotFound: There is no such model, or no such metric.
    """
    known_model(session, model)
    if metric is not None:
        known_metrics(session, metric)
    row = {"model_name": model, "metric_name": metric or EVERY_METRIC, "weight": weight}
    was = session.scalar(
        select(col(InitialWeight.weight)).where(
            col(InitialWeight.model_name) == model,
            col(InitialWeight.metric_name) == row["metric_name"],
        )
    )
    insert_or_replace(session, InitialWeight, [row], unique=["model_name", "metric_name"])
    before = None if was is None else {"weight": was}
    about = f"{model} {metric or 'every metric'}"
    audit.note(session, "initial_weight", about, before=before, after={"weight": weight})


def known_model(session: Session, name: str) -> PredictionModel:
    """Return a model.

    Raises:
        NotFound: There is no such model.
    """
    found = session.get(PredictionModel, name)
    if found is None:
        raise NotFound(
            f"There is no model {name}: `athanor models list` shows those that there are, "
            "`athanor models register` makes one known."
        )
    return found


def known_metrics(session: Session, metric: str | None = None) -> list[str]:
    """Return the names of all metrics, or the one that is named.

    Raises:
        NotFound: There is no such metric.
    """
    names = list(session.scalars(select(col(QualityMetric.name)).order_by(QualityMetric.name)))
    if metric is None:
        return names
    if metric not in names:
        raise NotFound(f"There is no metric {metric}; there are {', '.join(names)}.")
    return [metric]
