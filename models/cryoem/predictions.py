"""Record predictions: the history of all, and the current one per target, model and metric."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlmodel import Session, col

from models import inbox
from models.cryoem.decision_tables import (
    CurrentPrediction,
    Level,
    Prediction,
    PredictionModel,
    QualityMetric,
)
from models.cryoem.messages import MultiHolePrediction, SquarePrediction
from models.cryoem.messages import Prediction as PredictionMessage
from models.cryoem.renamed import chosen_uuids
from models.cryoem.tables import Hole, Square
from models.inbox import Missing, Received
from models.sql import chunks, insert_ignore, insert_or_replace, one_of

Item = tuple[Received, PredictionMessage]
#: A message, what it predicts, and for which squares or holes.
_Named = tuple[Received, PredictionMessage, tuple[UUID, ...]]


@dataclass
class Recorded:
    """What a batch of predictions did."""

    done: list[Received] = field(default_factory=list)
    waiting: list[Missing] = field(default_factory=list)
    #: Squares with a new prediction of their own.
    squares: set[UUID] = field(default_factory=set)
    #: Squares with a new prediction for one of their holes.
    squares_of_holes: set[UUID] = field(default_factory=set)
    #: Grids with a new prediction.
    grids: set[UUID] = field(default_factory=set)
    values: int = 0


#: Square or hole → its grid and its square.
Owners = dict[UUID, tuple[UUID, UUID]]


def record(session: Session, items: Sequence[Item], *, owners: Owners | None = None) -> Recorded:
    """Store the predictions of a batch of messages.

    A message whose square, hole or metric is not known yet is left out and listed in
    `waiting`. Repeating a batch changes nothing.

    Args:
        session: The transaction.
        items: The messages, and what they say.
        owners: What was found for earlier batches; what is found now is added. A hole never
            moves to another square.
    """
    recorded = Recorded()
    named = [(message, one, targets_of(one)) for message, one in items]
    owners = {} if owners is None else owners
    owners |= _owners(session, named, owners)
    metrics = set(session.scalars(select(col(QualityMetric.name))))
    if any(_missing(one, owners, metrics) for one in named):
        inbox.before_waiting(session)
        named = _renamed(session, named, owners)
        owners |= _owners(session, named, owners)
        metrics |= set(session.scalars(select(col(QualityMetric.name))))
    rows: list[dict[str, Any]] = []
    for one in named:
        missing = _missing(one, owners, metrics)
        if missing is not None:
            recorded.waiting.append(missing)
            continue
        message, prediction, targets = one
        recorded.done.append(message)
        of_square = isinstance(prediction, SquarePrediction)
        rows += _rows(
            message, prediction, Level.SQUARE if of_square else Level.HOLE, targets, owners
        )
        touched = recorded.squares if of_square else recorded.squares_of_holes
        touched.update(owners[target][1] for target in targets)
        recorded.grids.update(owners[target][0] for target in targets)
    recorded.values = len(rows)
    _write(session, rows)
    return recorded


def _renamed(session: Session, named: Sequence[_Named], known: Owners) -> list[_Named]:
    """Name squares and holes by the uuids that clients gave them."""
    unknown = [one for _, one, targets in named if any(uuid not in known for uuid in targets)]
    chosen = chosen_uuids(session, unknown)
    return [
        (message, one, tuple(chosen.get(uuid, uuid) for uuid in targets))
        for message, one, targets in named
    ]


def targets_of(prediction: PredictionMessage) -> tuple[UUID, ...]:
    """Return the uuids of all squares or holes that a message predicts."""
    if isinstance(prediction, MultiHolePrediction):
        return prediction.targets()
    return (prediction.target(),)


def _owners(session: Session, named: Sequence[_Named], known: Owners) -> Owners:
    squares: set[UUID] = set()
    holes: set[UUID] = set()
    for _, prediction, targets in named:
        unknown = (target for target in targets if target not in known)
        (squares if isinstance(prediction, SquarePrediction) else holes).update(unknown)
    found: Owners = {}
    for part in chunks(list(squares)):
        statement = select(col(Square.uuid), col(Square.grid_uuid)).where(
            one_of(session, col(Square.uuid), part)
        )
        found.update((square, (grid, square)) for square, grid in session.execute(statement))
    for part in chunks(list(holes)):
        of_holes = select(col(Hole.uuid), col(Hole.grid_uuid), col(Hole.square_uuid)).where(
            one_of(session, col(Hole.uuid), part)
        )
        found.update((hole, (grid, square)) for hole, grid, square in session.execute(of_holes))
    return found


def _missing(one: _Named, owners: Owners, metrics: set[str]) -> Missing | None:
    message, prediction, targets = one
    if prediction.metric is not None and prediction.metric not in metrics:
        return Missing(message, "metric", prediction.metric)
    unknown = next((target for target in targets if target not in owners), None)
    if unknown is None:
        return None
    what = "square" if isinstance(prediction, SquarePrediction) else "hole"
    return Missing(message, what, str(unknown))


def _rows(
    message: Received,
    prediction: PredictionMessage,
    level: Level,
    targets: Sequence[UUID],
    owners: Owners,
) -> list[dict[str, Any]]:
    model, metric, value = (
        prediction.prediction_model_name,
        prediction.metric,
        prediction.prediction_value,
    )
    return [
        {
            "message_seq": message.seq,
            "target_uuid": target,
            "grid_uuid": owners[target][0],
            "level": level,
            "model_name": model,
            "metric_name": metric,
            "value": value,
            "message_uuid": message.id,
            "predicted_at": message.received_at,
        }
        for target in targets
    ]


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
    insert_ignore(session, Prediction, rows, unique=["message_seq", "target_uuid"])
    latest: dict[tuple[UUID, str, str | None], dict[str, Any]] = {}
    for row in sorted(rows, key=itemgetter("message_seq")):
        latest[row["target_uuid"], row["model_name"], row["metric_name"]] = row
    current = [{**row, "metric_name": row["metric_name"] or ""} for row in latest.values()]
    # A message that waited must not overwrite a value that came in after it.
    insert_or_replace(
        session,
        CurrentPrediction,
        current,
        unique=["target_uuid", "model_name", "metric_name"],
        unless_newer="message_seq",
    )
