"""The prediction in force of each square and hole, which its selection rests on."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select
from sqlmodel import Session, col

from domains.cryoem.policy import Candidate, Predicted
from models.cryoem.decision_tables import CurrentPrediction, Level
from models.cryoem.tables import Grid, Hole, Square
from models.cryoem.valuing import scores_of
from models.sql import chunks, one_of


@dataclass(frozen=True)
class Cause:
    """The message that brought a prediction."""

    seq: int
    at: datetime


#: Message uuid → what else is known of it.
Brought = dict[UUID, Cause]

#: Of a hole: the value in force, and the models that it comes from.
Valued = tuple[float, str]

_PREDICTED = (
    col(CurrentPrediction.value),
    col(CurrentPrediction.model_name),
    col(CurrentPrediction.metric_name),
    col(CurrentPrediction.message_uuid),
    col(CurrentPrediction.message_seq),
    col(CurrentPrediction.predicted_at),
)


class _Row(NamedTuple):
    """A current prediction, in the order of `_PREDICTED`; without a message there is none."""

    value: float
    model: str
    metric: str
    message: UUID
    seq: int
    at: datetime


_Said = list[_Row]


def squares_in_force(
    session: Session, squares: Collection[UUID], brought: Brought
) -> list[tuple[UUID, Predicted]]:
    """Return the grid and the prediction in force of each square."""
    found: dict[UUID, dict[UUID, _Said]] = {}
    for part in chunks(list(squares)):
        statement = (
            select(
                col(CurrentPrediction.grid_uuid), col(CurrentPrediction.target_uuid), *_PREDICTED
            )
            .join(Square, col(Square.uuid) == col(CurrentPrediction.target_uuid))
            .join(Grid, col(Grid.uuid) == col(Square.grid_uuid))
            .where(
                one_of(session, col(CurrentPrediction.target_uuid), part),
                col(CurrentPrediction.level) == Level.SQUARE,
                col(Square.deleted_at).is_(None),
                col(Grid.deleted_at).is_(None),
            )
            .order_by(col(CurrentPrediction.message_seq))
        )
        for grid, square, *prediction in session.execute(statement):
            found.setdefault(grid, {}).setdefault(square, []).append(_Row(*prediction))
    return [
        (grid, predicted)
        for grid, said in found.items()
        for predicted in _in_force(session, grid, said, None, brought).values()
    ]


def candidates_on(
    session: Session, squares: Sequence[UUID], brought: Brought
) -> dict[tuple[UUID, UUID], list[Candidate]]:
    """Return, by grid and square, the holes with the prediction in force of each."""
    holes: dict[tuple[UUID, UUID], dict[UUID, bool]] = {}
    found: dict[UUID, dict[UUID, _Said]] = {}
    square_of: dict[UUID, UUID] = {}
    for part in chunks(squares):
        statement = (
            select(
                col(Hole.grid_uuid),
                col(Hole.square_uuid),
                col(Hole.uuid),
                col(Hole.is_near_grid_bar),
                *_PREDICTED,
            )
            .join(Square, col(Square.uuid) == col(Hole.square_uuid))
            .join(Grid, col(Grid.uuid) == col(Hole.grid_uuid))
            .outerjoin(CurrentPrediction, col(CurrentPrediction.target_uuid) == col(Hole.uuid))
            .where(
                one_of(session, col(Hole.square_uuid), part),
                col(Hole.deleted_at).is_(None),
                col(Square.deleted_at).is_(None),
                col(Grid.deleted_at).is_(None),
            )
            .order_by(col(Hole.hole_id), col(CurrentPrediction.message_seq))
        )
        for grid, square, hole, near_bar, *prediction in session.execute(statement):
            holes.setdefault((grid, square), {})[hole] = bool(near_bar)
            said = found.setdefault(grid, {}).setdefault(hole, [])
            square_of[hole] = square
            row = _Row(*prediction)
            if row.message is not None:
                said.append(row)
    predicted: dict[UUID, Predicted] = {}
    for grid, said_of in found.items():
        predicted |= _in_force(session, grid, said_of, square_of, brought)
    return {
        square: [Candidate(hole, near, predicted.get(hole)) for hole, near in of.items()]
        for square, of in holes.items()
    }


def candidates_valued(
    session: Session, squares: Sequence[UUID], values: Mapping[UUID, Valued], brought: Brought
) -> dict[tuple[UUID, UUID], list[Candidate]]:
    """Return what `candidates_on` does where the values in force are known."""
    newest = _newest(session, list(values))
    found: dict[tuple[UUID, UUID], list[Candidate]] = {}
    for part in chunks(squares):
        statement = (
            select(
                col(Hole.grid_uuid),
                col(Hole.square_uuid),
                col(Hole.uuid),
                col(Hole.is_near_grid_bar),
            )
            .where(one_of(session, col(Hole.square_uuid), part), col(Hole.deleted_at).is_(None))
            .order_by(col(Hole.hole_id))
        )
        for grid, square, hole, near_bar in session.execute(statement):
            predicted = None
            if hole in newest:
                message, cause = newest[hole]
                brought[message] = cause
                predicted = Predicted(hole, *values[hole], message)
            found.setdefault((grid, square), []).append(Candidate(hole, bool(near_bar), predicted))
    return found


def _newest(session: Session, holes: Sequence[UUID]) -> dict[UUID, tuple[UUID, Cause]]:
    """Return the message that predicted each hole last.

    In two steps of looks into the index: joined in one, the whole table may be read for a few.
    """
    target, seq = col(CurrentPrediction.target_uuid), col(CurrentPrediction.message_seq)
    found: dict[UUID, tuple[UUID, Cause]] = {}
    for part in chunks(holes):
        of_these = one_of(session, target, part)
        latest = select(target, func.max(seq)).where(of_these).group_by(target)
        last = {hole: number for hole, number in session.execute(latest)}  # noqa: C416 (a Row is no pair to dict())
        statement = select(
            target, seq, col(CurrentPrediction.message_uuid), col(CurrentPrediction.predicted_at)
        ).where(of_these, one_of(session, seq, sorted(set(last.values()))))
        for hole, number, message, at in session.execute(statement):
            if last[hole] == number:
                found[hole] = (message, Cause(number, at))
    return found


def _in_force(
    session: Session,
    grid: UUID,
    found: Mapping[UUID, _Said],
    square_of: Mapping[UUID, UUID] | None,
    brought: Brought,
) -> dict[UUID, Predicted]:
    """Return what is said of each square or hole: the one prediction, or the score of several.

    Rests on the latest message in either case; predictions are in order of arrival.
    """
    several = {target: said for target, said in found.items() if len(said) > 1}
    scores: dict[UUID, float] = {}
    if several:
        values = {
            target: {(row.model, row.metric): row.value for row in said}
            for target, said in several.items()
        }
        scores = scores_of(session, grid, values, square_of)
    predicted: dict[UUID, Predicted] = {}
    for target, said in found.items():
        if not said:
            continue
        last = said[-1]
        brought[last.message] = Cause(last.seq, last.at)
        value, model = last.value, last.model
        if target in scores:
            value, model = scores[target], "+".join(sorted({row.model for row in said}))
        predicted[target] = Predicted(target, value, model, last.message)
    return predicted
