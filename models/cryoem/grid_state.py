"""What is known of a grid when its holes are put in order: whole columns, read once.

A hole may be collected unless its square is unusable or not selected, it lies near a grid bar,
it was collected (there is a micrograph, or EPU says `Completed`) or skipped (EPU's `Skipped`).
EPU's own words are those of its square's file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final
from uuid import UUID

import numpy as np
from sqlalchemy import and_, func, select
from sqlmodel import Session, col

from domains.cryoem.metrics import CTF
from domains.cryoem.patches import patches
from domains.cryoem.planning import Booleans, Floats, GridState, Integers
from domains.cryoem.scores import overall
from models.columns import Array, read_columns, read_groups
from models.cryoem import weights
from models.cryoem.decision_tables import CurrentPrediction, Level
from models.cryoem.processing_tables import CurrentMeasurement
from models.cryoem.tables import Grid, Hole, Micrograph, Square

#: EPU's states of a hole that is not to be collected any more.
_OVER: Final = ("Completed", "Skipped")
#: A prediction over all metrics.
_EVERY: Final = ""


@dataclass(frozen=True, slots=True)
class GridRead:
    """A grid, and what its rows and columns stand for. N holes, S squares."""

    #: (N,) uuids of the holes, 16 bytes each; by square, then by EPU's id.
    holes: Array
    #: (S,) uuids of the squares, by EPU's id.
    squares: Array
    state: GridState
    #: The quality metrics that scores are made of, and the models that have a say in them.
    metrics: tuple[str, ...]
    models: tuple[str, ...]
    #: (N,) how many current predictions are about the hole itself, of any model and metric.
    own: Integers
    #: (N,) the value of that prediction, where it is one, and its model's place among `models`.
    single: Floats
    speaker: Integers
    #: (N,) whether the hole lies near a grid bar.
    near_grid_bar: Booleans
    #: (S,) whether hole predictions still wait for the square's other holes.
    undecided: Booleans

    @property
    def predicted(self) -> bool:
        """Whether any model says anything about the grid's holes."""
        return bool(np.isfinite(self.state.predictions).any())

    def speaks_for(self, hole: int) -> str:
        """Return the model of a hole's one prediction."""
        of = int(self.speaker[hole])
        return "" if of < 0 else self.models[of]


#: By model and metric: where the targets are among the squares or holes, and the values.
_Predictions = Mapping[tuple[str, ...], tuple[Integers, Floats]]


class _Places:
    """Finds uuids among those of a column."""

    def __init__(self, keys: Array) -> None:
        self.keys = keys
        self._ranked = np.argsort(keys, kind="stable")
        self._last: tuple[Array, Integers] | None = None

    def of(self, wanted: Array) -> Integers:
        """Return where each wanted key is; -1 where it is not."""
        if not len(self.keys) or not len(wanted):
            return np.full(len(wanted), -1, dtype=np.int64)
        # Most models predict the same holes in the same order.
        if self._last is None or not np.array_equal(self._last[0], wanted):
            near = np.searchsorted(self.keys, wanted, sorter=self._ranked)
            place = self._ranked[np.minimum(near, len(self.keys) - 1)]
            found = np.where(self.keys[place] == wanted, place, -1)
            self._last = (wanted, found)
        return self._last[1]


def read_grid(session: Session, grid: UUID, *, ctf_cutoff: float) -> GridRead | None:
    """Read a grid and score its holes; None when it is deleted, or has no holes.

    A hole's prediction is its own, else its square's; at either, one for the metric goes before
    one for all metrics.

    Args:
        session: The transaction.
        grid: The grid.
        ctf_cutoff: A micrograph whose CTF reaches this resolution, in Å, is good; a hole is as
            good as its best.
    """
    of_squares = _squares(session, grid)
    squares = of_squares["uuid"]
    of_holes = _holes(session, grid)
    at = _Places(squares).of(of_holes["square"])
    # Square by square; a hole of a square that is deleted is left out.
    order = np.argsort(at, kind="stable")[np.count_nonzero(at < 0) :]
    if not len(order):
        return None
    at = at[order]
    holes, near_bar, over = (of_holes[name][order] for name in ("uuid", "near_bar", "over"))
    places = np.stack([of_holes["x"], of_holes["y"]], axis=1)[order]
    closed = of_squares["unusable"] | of_squares["left_out"]
    among = _Places(holes)
    patch = patches(places, at)
    collected, outcome, last = _collected(session, grid, among, ctf_cutoff)
    in_force = weights.in_force(session, grid)
    metrics = tuple(sorted(in_force))
    models = tuple(sorted({model for of_metric in in_force.values() for model in of_metric}))
    by_hole = _predictions(session, grid, Level.HOLE, among)
    by_square = _predictions(session, grid, Level.SQUARE, _Places(squares))
    predictions = _spread(models, metrics, len(holes), by_hole)
    if by_square:
        inherited = _spread(models, metrics, len(squares), by_square)[:, :, at]
        predictions = np.where(np.isfinite(predictions), predictions, inherited)
    own, single, speaker = _own(models, len(holes), by_hole)
    weighed = np.array(
        [[in_force[metric].get(model, 0.0) for metric in metrics] for model in models]
    ).reshape(len(models), len(metrics))
    state = GridState(
        square=at,
        patch=patch,
        place=places,
        square_place=np.stack([of_squares["x"], of_squares["y"]], axis=1),
        eligible=~(closed[at] | near_bar | over | collected),
        score=overall(predictions, weighed),
        predictions=predictions,
        weights=weighed,
        outcome=outcome,
        here=None if last is None else (int(at[last]), int(patch[last])),
    )
    return GridRead(
        holes,
        squares,
        state,
        metrics,
        models,
        own,
        single,
        speaker,
        near_grid_bar=near_bar,
        undecided=of_squares["undecided"],
    )


def _squares(session: Session, grid: UUID) -> dict[str, Array]:
    statement = (
        select(
            col(Square.uuid).label("uuid"),
            func.coalesce(col(Square.stage_x), col(Square.physical_x)).label("x"),
            func.coalesce(col(Square.stage_y), col(Square.physical_y)).label("y"),
            col(Square.unusable).label("unusable"),
            col(Square.selected).is_(False).label("left_out"),
            col(Square.undecided_since).is_not(None).label("undecided"),
        )
        .join(Grid, col(Grid.uuid) == col(Square.grid_uuid))
        .where(
            col(Square.grid_uuid) == grid,
            col(Square.deleted_at).is_(None),
            col(Grid.deleted_at).is_(None),
        )
        .order_by(col(Square.square_id))
    )
    return read_columns(
        session,
        statement,
        {
            "uuid": "uuid",
            "x": "number",
            "y": "number",
            "unusable": "truth",
            "left_out": "truth",
            "undecided": "truth",
        },
    )


def _holes(session: Session, grid: UUID) -> dict[str, Array]:
    statement = (
        select(
            col(Hole.uuid).label("uuid"),
            col(Hole.square_uuid).label("square"),
            col(Hole.stage_x).label("x"),
            col(Hole.stage_y).label("y"),
            col(Hole.is_near_grid_bar).label("near_bar"),
            func.coalesce(col(Hole.state).in_(_OVER), False).label("over"),
        )
        .where(col(Hole.grid_uuid) == grid, col(Hole.deleted_at).is_(None))
        .order_by(col(Hole.hole_id))
    )
    return read_columns(
        session,
        statement,
        {
            "uuid": "uuid",
            "square": "uuid",
            "x": "number",
            "y": "number",
            "near_bar": "truth",
            "over": "truth",
        },
    )


def _collected(
    session: Session, grid: UUID, holes: _Places, cutoff: float
) -> tuple[Booleans, Floats, int | None]:
    """Return which holes have a micrograph, how good it is, and which hole was the last."""
    moment = func.coalesce(col(Micrograph.acquired_at), col(Micrograph.observed_at))
    statement = (
        select(
            col(Micrograph.hole_uuid).label("hole"),
            func.min(col(CurrentMeasurement.value)).label("ctf"),
        )
        .outerjoin(
            CurrentMeasurement,
            and_(
                col(CurrentMeasurement.micrograph_uuid) == col(Micrograph.uuid),
                col(CurrentMeasurement.metric_name) == CTF,
            ),
        )
        .where(col(Micrograph.grid_uuid) == grid, col(Micrograph.deleted_at).is_(None))
        .group_by(col(Micrograph.hole_uuid))
        # In turn, so that the last one is where the stage is.
        .order_by(func.max(moment).is_(None).desc(), func.max(moment), col(Micrograph.hole_uuid))
    )
    found = read_columns(session, statement, {"hole": "uuid", "ctf": "number"})
    at = holes.of(found["hole"])
    ctf, at = found["ctf"][at >= 0], at[at >= 0]
    collected = np.zeros(len(holes.keys), dtype=np.bool_)
    collected[at] = True
    outcome = np.full(len(holes.keys), np.nan)
    outcome[at] = np.where(np.isnan(ctf), np.nan, ctf <= cutoff)
    return collected, outcome, int(at[-1]) if len(at) else None


def _predictions(session: Session, grid: UUID, level: Level, targets: _Places) -> _Predictions:
    model, metric = col(CurrentPrediction.model_name), col(CurrentPrediction.metric_name)
    statement = select(
        model.label("model"),
        metric.label("metric"),
        col(CurrentPrediction.target_uuid).label("target"),
        col(CurrentPrediction.value).label("value"),
    ).where(col(CurrentPrediction.grid_uuid) == grid, col(CurrentPrediction.level) == level)
    groups = read_groups(
        session, statement, {"target": "uuid", "value": "number"}, by=("model", "metric")
    )
    found: dict[tuple[str, ...], tuple[Integers, Floats]] = {}
    for key, columns in groups.items():
        of, values = columns["target"], columns["value"]
        at = targets.of(of)
        known = at >= 0
        # What is deleted may have predictions all the same.
        found[key] = (at, values) if known.all() else (at[known], values[known])
    return found


def _spread(
    models: Sequence[str], metrics: Sequence[str], count: int, predictions: _Predictions
) -> Floats:
    """Return the predictions (M, K, count); NaN where there is none."""
    found = np.full((len(models), len(metrics), count), np.nan)
    # Those for all metrics first, so that one for a metric goes over them.
    for (model, metric), (at, values) in sorted(predictions.items(), key=itemgetter(0)):
        if model not in models or (metric != _EVERY and metric not in metrics):
            continue
        of_model = found[models.index(model)]
        if metric == _EVERY:
            of_model[:, at] = values
        else:
            of_model[metrics.index(metric), at] = values
    return found


def _own(
    models: Sequence[str], count: int, predictions: _Predictions
) -> tuple[Integers, Floats, Integers]:
    """Return how many predictions each hole has of its own; one's value, and whose it is."""
    own, speaker = np.zeros((2, count), dtype=np.int64)
    value = np.full(count, np.nan)
    for (model, _), (at, values) in predictions.items():
        own[at] += 1
        value[at] = values
        speaker[at] = models.index(model) if model in models else -1
    return own, value, speaker
