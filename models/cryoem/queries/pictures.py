"""Read what the pictures of a session show: its squares, holes, weights and exposures.

A fixed number of queries, whatever the size of the grid.
"""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Subquery, and_, case, func, or_, select
from sqlmodel import Session, col

from domains.cryoem.metrics import CTF
from models.cryoem.athena import get_grid
from models.cryoem.decision_tables import CurrentPrediction, Level
from models.cryoem.processing_tables import CurrentMeasurement
from models.cryoem.session_pictures import (
    Exposure,
    HoleMark,
    HoleState,
    SessionPictures,
    SquareMark,
    WeightPoint,
    of_interest,
)
from models.cryoem.tables import Hole, Micrograph, Square
from models.cryoem.weight_tables import HoleScore, MetricStatistics, ModelWeightHistory

#: Points of a line of weights: more than a picture has pixels for are left out.
_MOST_STEPS: Final = 400
#: EPU's word for a hole that is not to be collected any more.
_SKIPPED: Final = "Skipped"


def read_pictures(
    session: Session, grid: UUID, *, cutoff: float, all_holes: bool = False
) -> SessionPictures:
    """Read what the pictures of a session show, with the holes of its square of interest.

    Raises:
        UnknownParent: There is no such grid.
    """
    known, acquisition = get_grid(session, grid)
    squares = read_squares(session, grid)
    shown = of_interest(squares)
    holes: tuple[HoleMark, ...] = ()
    if shown is not None:
        only = None if all_holes else shown.uuid
        holes = read_holes(session, grid, cutoff=cutoff, square=only)
    return SessionPictures(
        grid_uuid=grid,
        name=known.name,
        started_at=acquisition.started_at,
        cutoff=cutoff,
        squares=squares,
        holes=holes,
        weights=read_weights(session, grid),
        exposures=read_exposures(session, grid),
    )


def read_squares(session: Session, grid: UUID) -> tuple[SquareMark, ...]:
    """Return a grid's squares in order of EPU's id."""
    own = (
        select(col(CurrentPrediction.target_uuid), func.avg(col(CurrentPrediction.value)))
        .where(
            col(CurrentPrediction.grid_uuid) == grid, col(CurrentPrediction.level) == Level.SQUARE
        )
        .group_by(col(CurrentPrediction.target_uuid))
    )
    predicted = dict(session.execute(own).tuples().all())
    scored = _by_square(
        session,
        select(
            col(Hole.square_uuid),
            func.avg(col(HoleScore.score)).label("score"),
            func.min(col(HoleScore.suggested_acquisition_index)).label("next_index"),
            func.count().label("holes"),
        )
        .outerjoin(HoleScore, col(HoleScore.hole_uuid) == col(Hole.uuid))
        .where(col(Hole.grid_uuid) == grid, col(Hole.deleted_at).is_(None))
        .group_by(col(Hole.square_uuid)),
    )
    collected = _by_square(
        session,
        select(
            col(Hole.square_uuid),
            func.count(col(Micrograph.hole_uuid).distinct()).label("collected"),
        )
        .join(Micrograph, col(Micrograph.hole_uuid) == col(Hole.uuid))
        .where(col(Micrograph.grid_uuid) == grid, col(Micrograph.deleted_at).is_(None))
        .group_by(col(Hole.square_uuid)),
    )
    rows = session.scalars(
        select(Square)
        .where(col(Square.grid_uuid) == grid, col(Square.deleted_at).is_(None))
        .order_by(col(Square.square_id))
    )
    return tuple(
        SquareMark(
            uuid=row.uuid,
            square_id=row.square_id,
            x=row.atlas_x,
            y=row.atlas_y,
            width=row.atlas_width,
            height=row.atlas_height,
            rotation=row.atlas_rotation or 0.0,
            left_out=bool(row.unusable) or row.selected is False,
            score=scored[row.uuid].score if row.uuid in scored else None,
            predicted=predicted.get(row.uuid),
            holes=scored[row.uuid].holes if row.uuid in scored else 0,
            collected=collected[row.uuid].collected if row.uuid in collected else 0,
            next_index=scored[row.uuid].next_index if row.uuid in scored else None,
        )
        for row in rows
    )


def _by_square(session: Session, statement: Any) -> Mapping[UUID, Any]:
    return {row.square_uuid: row for row in session.execute(statement)}


def read_holes(
    session: Session, grid: UUID, *, cutoff: float, square: UUID | None = None
) -> tuple[HoleMark, ...]:
    """Return the holes of a grid, or of one of its squares, in order of EPU's id."""
    best = _best_ctf(grid)
    statement = (
        select(
            col(Hole.uuid),
            col(Hole.square_uuid),
            col(Hole.hole_id),
            func.coalesce(col(Hole.x), col(Hole.found_x)).label("x"),
            func.coalesce(col(Hole.y), col(Hole.found_y)).label("y"),
            func.coalesce(col(Hole.width), col(Hole.found_width)).label("width"),
            col(HoleScore.score),
            col(HoleScore.suggested_acquisition_index).label("index"),
            col(HoleScore.expected),
            col(HoleScore.uncertainty),
            _state_of(best, cutoff).label("state"),
            best.c.ctf,
        )
        .outerjoin(HoleScore, col(HoleScore.hole_uuid) == col(Hole.uuid))
        .outerjoin(best, best.c.hole_uuid == col(Hole.uuid))
        .where(col(Hole.grid_uuid) == grid, col(Hole.deleted_at).is_(None))
        .order_by(col(Hole.hole_id))
    )
    if square is not None:
        statement = statement.where(col(Hole.square_uuid) == square)
    return tuple(
        HoleMark(*row[:10], state=HoleState(row.state), ctf=row.ctf)
        for row in session.execute(statement)
    )


def _best_ctf(grid: UUID) -> Subquery:
    """Return the holes that have a micrograph, and the best CTF of each."""
    return (
        select(col(Micrograph.hole_uuid), func.min(col(CurrentMeasurement.value)).label("ctf"))
        .outerjoin(CurrentMeasurement, _measures_ctf())
        .where(col(Micrograph.grid_uuid) == grid, col(Micrograph.deleted_at).is_(None))
        .group_by(col(Micrograph.hole_uuid))
        .subquery()
    )


def _measures_ctf() -> Any:
    return and_(
        col(CurrentMeasurement.micrograph_uuid) == col(Micrograph.uuid),
        col(CurrentMeasurement.metric_name) == CTF,
    )


def _state_of(best: Subquery, cutoff: float) -> Any:
    left_out = or_(
        col(Hole.is_near_grid_bar).is_(True),
        col(Hole.state) == _SKIPPED,
        and_(
            col(HoleScore.hole_uuid).is_not(None),
            col(HoleScore.suggested_acquisition_index).is_(None),
        ),
    )
    return case(
        (best.c.ctf <= cutoff, HoleState.GOOD),
        (best.c.ctf > cutoff, HoleState.POOR),
        (best.c.hole_uuid.is_not(None), HoleState.UNMEASURED),
        (left_out, HoleState.LEFT_OUT),
        (col(HoleScore.hole_uuid).is_not(None), HoleState.PLANNED),
        else_=HoleState.UNSCORED,
    )


def read_weights(session: Session, grid: UUID) -> tuple[WeightPoint, ...]:
    """Return how the weights on a grid changed, thinned out where there are very many."""
    most = session.scalar(
        select(func.max(col(MetricStatistics.count))).where(col(MetricStatistics.grid_uuid) == grid)
    )
    stride = max(1, (most or 0) // _MOST_STEPS)
    at, step = col(ModelWeightHistory.changed_at), col(ModelWeightHistory.step)
    seq = col(ModelWeightHistory.message_seq)
    statement = (
        select(
            col(ModelWeightHistory.metric_name),
            col(ModelWeightHistory.model_name),
            at,
            step,
            col(ModelWeightHistory.weight),
        )
        .where(
            col(ModelWeightHistory.grid_uuid) == grid,
            # What a person set is never left out, nor is what came last.
            or_(step % stride == 0, seq < 0, step == most),
        )
        .order_by(col(ModelWeightHistory.metric_name), at, step, seq)
    )
    return tuple(WeightPoint(*row) for row in session.execute(statement))


def read_exposures(session: Session, grid: UUID) -> tuple[Exposure, ...]:
    """Return a grid's micrographs in order of time; those of no known time are left out."""
    at = func.coalesce(col(Micrograph.acquired_at), col(Micrograph.observed_at))
    statement = (
        select(at, func.min(col(CurrentMeasurement.value)))
        .outerjoin(CurrentMeasurement, _measures_ctf())
        .where(
            col(Micrograph.grid_uuid) == grid,
            col(Micrograph.deleted_at).is_(None),
            at.is_not(None),
        )
        .group_by(col(Micrograph.uuid), at)
        .order_by(at, col(Micrograph.uuid))
    )
    return tuple(Exposure(*row) for row in session.execute(statement))
