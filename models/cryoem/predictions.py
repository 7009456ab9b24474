"""Record predictions: the history of all, and the current one per target, model and metric."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlmodel import Session, col

from core.ids import derived
from models import inbox
from models.cryoem.decision_tables import (
    CurrentPrediction,
    Level,
    Prediction,
    PredictionModel,
    QualityMetric,
)
from models.cryoem.messages import HolePrediction, MultiHolePrediction, SquarePrediction
from models.cryoem.messages import Prediction as PredictionMessage
from models.cryoem.tables import Hole, Square
from models.inbox import InboxMessage
from models.sql import chunks, insert_ignore, insert_or_replace, one_of

Item = tuple[InboxMessage, PredictionMessage]


@dataclass(frozen=True)
class Missing:
    """A message that must wait, and for what."""

    message: InboxMessage
    what: str
    ident: str


@dataclass
class Recorded:
    """What a batch of predictions did."""

    done: list[InboxMessage] = field(default_factory=list)
    waiting: list[Missing] = field(default_factory=list)
    #: Squares with a new prediction of their own.
    squares: set[UUID] = field(default_factory=set)
    #: Squares with a new prediction for one of their holes.
    squares_of_holes: set[UUID] = field(default_factory=set)
    values: int = 0


@dataclass(frozen=True)
class _Target:
    grid: UUID
    square: UUID


def record(session: Session, items: Sequence[Item]) -> Recorded:
    """Store the predictions of a batch of messages.

    A message whose square, hole or metric is not known yet is left out and listed in
    `waiting`. Repeating a batch changes nothing.
    """
    recorded = Recorded()
    targets = _known_targets(session, items)
    metrics = set(session.scalars(select(col(QualityMetric.name))))
    if any(_missing(message, prediction, targets, metrics) for message, prediction in items):
        inbox.before_waiting(session)
        targets |= _known_targets(session, items)
        metrics |= set(session.scalars(select(col(QualityMetric.name))))
    rows: list[dict[str, Any]] = []
    for message, prediction in items:
        missing = _missing(message, prediction, targets, metrics)
        if missing is not None:
            recorded.waiting.append(missing)
            continue
        recorded.done.append(message)
        level = Level.SQUARE if isinstance(prediction, SquarePrediction) else Level.HOLE
        for target in targets_of(prediction):
            owner = targets[target]
            rows.append(_row(message, prediction, level, target, owner))
            touched = recorded.squares if level == Level.SQUARE else recorded.squares_of_holes
            touched.add(owner.square)
    recorded.values = len(rows)
    _write(session, rows)
    return recorded


def targets_of(prediction: PredictionMessage) -> tuple[UUID, ...]:
    """Return the uuids of all squares or holes that a message predicts."""
    if isinstance(prediction, MultiHolePrediction):
        return prediction.targets()
    return (prediction.target(),)


def grids_of(session: Session, predictions: Iterable[PredictionMessage]) -> dict[UUID, UUID]:
    """Return target uuid → grid uuid, of those targets that are known."""
    squares: set[UUID] = set()
    holes: set[UUID] = set()
    for prediction in predictions:
        (squares if isinstance(prediction, SquarePrediction) else holes).update(
            targets_of(prediction)
        )
    known = dict(_targets(session, list(squares), list(holes)))
    if len(known) < len(squares | holes):
        inbox.before_waiting(session)
        known |= _targets(session, list(squares - set(known)), list(holes - set(known)))
    return {target: found.grid for target, found in known.items()}


def _known_targets(session: Session, items: Sequence[Item]) -> dict[UUID, _Target]:
    squares = {p.target() for _, p in items if isinstance(p, SquarePrediction)}
    holes: set[UUID] = set()
    for _, prediction in items:
        if isinstance(prediction, HolePrediction | MultiHolePrediction):
            holes.update(targets_of(prediction))
    return dict(_targets(session, list(squares), list(holes)))


def _targets(
    session: Session, squares: Sequence[UUID], holes: Sequence[UUID]
) -> Iterator[tuple[UUID, _Target]]:
    for part in chunks(squares):
        found = select(col(Square.uuid), col(Square.grid_uuid)).where(
            one_of(session, col(Square.uuid), part)
        )
        for square, grid in session.execute(found):
            yield square, _Target(grid, square)
    for part in chunks(holes):
        found_holes = select(col(Hole.uuid), col(Hole.grid_uuid), col(Hole.square_uuid)).where(
            one_of(session, col(Hole.uuid), part)
        )
        for hole, grid, square in session.execute(found_holes):
            yield hole, _Target(grid, square)


def _missing(
    message: InboxMessage,
    prediction: PredictionMessage,
    targets: dict[UUID, _Target],
    metrics: set[str],
) -> Missing | None:
    if prediction.metric is not None and prediction.metric not in metrics:
        return Missing(message, "metric", prediction.metric)
    what = "square" if isinstance(prediction, SquarePrediction) else "hole"
    unknown = (target for target in targets_of(prediction) if target not in targets)
    first = next(unknown, None)
    return None if first is None else Missing(message, what, str(first))


def _row(
    message: InboxMessage,
    prediction: PredictionMessage,
    level: Level,
    target: UUID,
    owner: _Target,
) -> dict[str, Any]:
    return {
        "id": derived(message.id, "prediction", target),
        "grid_uuid": owner.grid,
        "level": level,
        "target_uuid": target,
        "model_name": prediction.prediction_model_name,
        "metric_name": prediction.metric,
        "value": prediction.prediction_value,
        "message_uuid": message.id,
        "message_seq": message.seq,
        "predicted_at": message.received_at,
    }


def _write(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    if not rows:
        return
    models = {
        row["model_name"]: {
            "name": row["model_name"],
            "level": row["level"],
            "first_seen_at": row["predicted_at"],
        }
        for row in reversed(rows)
    }
    insert_ignore(session, PredictionModel, list(models.values()), unique=["name"])
    insert_ignore(session, Prediction, rows, unique=["id"])
    latest: dict[tuple[UUID, str, str], dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: row["message_seq"]):
        metric = row["metric_name"] or ""
        latest[row["target_uuid"], row["model_name"], metric] = {
            "target_uuid": row["target_uuid"],
            "model_name": row["model_name"],
            "metric_name": metric,
            "grid_uuid": row["grid_uuid"],
            "level": row["level"],
            "value": row["value"],
            "prediction_id": row["id"],
            "message_seq": row["message_seq"],
            "predicted_at": row["predicted_at"],
        }
    # A message that waited must not overwrite a value that came in after it.
    insert_or_replace(
        session,
        CurrentPrediction,
        list(latest.values()),
        unique=["target_uuid", "model_name", "metric_name"],
        unless_newer="message_seq",
    )
