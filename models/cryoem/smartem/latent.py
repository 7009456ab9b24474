"""Where models place squares and holes among those that look alike, and what that suggests.

A model tells coordinates as parameters of the grid: group `coordinates:<uuid>`, key `x` or `y`;
and clusters: group `cluster_indices`, key `<uuid>`. What it told of one only in part is shown in
part.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from sqlalchemy import Row, select
from sqlmodel import Session, col

from domains.cryoem import suggesting
from models.cryoem.decision_tables import CurrentPrediction, Level
from models.cryoem.model_registry import known_model
from models.cryoem.processing_tables import ModelParameter
from models.cryoem.smartem.known import known
from models.cryoem.smartem.prediction_reads import latest
from models.cryoem.smartem.prediction_views import LatentRepresentationResponse
from models.cryoem.tables import Grid, Hole, Square
from models.sql import chunks, one_of

_COORDINATES: Final = "coordinates:"
_CLUSTERS: Final = "cluster_indices"
_AXES: Final = ("x", "y")


@dataclass
class _Places:
    """What a model told of a grid, by uuid as it wrote it."""

    at: dict[str, dict[str, float]] = field(default_factory=dict)
    clusters: dict[str, int] = field(default_factory=dict)

    def view(self, uuid: str, square: UUID | str, hole: UUID | str) -> LatentRepresentationResponse:
        at = self.at.get(uuid, {})
        return LatentRepresentationResponse(
            gridsquare_uuid=square,
            foilhole_uuid=hole,
            x=at.get("x"),
            y=at.get("y"),
            index=self.clusters.get(uuid),
        )


def on_grid(session: Session, model: str, grid: UUID) -> list[LatentRepresentationResponse]:
    """Return all that a model gave coordinates on a grid: squares, or holes.

    Raises:
        NotFound: There is no such grid or model.
    """
    known(session, Grid, grid)
    known_model(session, model)
    places = _read(session, model, grid)
    square_of = _squares_of(session, grid)
    return [
        places.view(uuid, square_of[uuid], uuid)
        if uuid in square_of
        else places.view(uuid, uuid, "")
        for uuid in places.at
    ]


def on_square(session: Session, model: str, square: UUID) -> list[LatentRepresentationResponse]:
    """Return where a model places the holes of a square that are not near a grid bar.

    Raises:
        NotFound: There is no such square or model.
    """
    grid = known(session, Square, square).grid_uuid
    known_model(session, model)
    holes = session.scalars(
        select(col(Hole.uuid))
        .where(
            col(Hole.square_uuid) == square,
            col(Hole.deleted_at).is_(None),
            col(Hole.is_near_grid_bar).is_not(True),
        )
        .order_by(col(Hole.hole_id))
    ).all()
    places = _read(session, model, grid, only=holes)
    return [places.view(str(hole), square, hole) for hole in holes]


def suggest_squares(session: Session, grid: UUID, model: str, latent: str) -> list[UUID]:
    """Return the squares of a grid to image first, the best first.

    Args:
        session: The transaction.
        grid: The grid.
        model: What predicts squares.
        latent: What clusters them.

    Raises:
        NotFound: There is no such grid or model.
    """
    known(session, Grid, grid)
    known_model(session, model)
    known_model(session, latent)
    squares = session.execute(
        select(col(Square.uuid), col(Square.atlas_width))
        .where(col(Square.grid_uuid) == grid, col(Square.deleted_at).is_(None))
        .order_by(col(Square.square_id))
    )
    values = _values(session, grid, model, Level.SQUARE)
    worth = {
        str(uuid): suggesting.square_worth(values[uuid], width)
        for uuid, width in squares
        if uuid in values
    }
    clusters = _read(session, latent, grid, coordinates=False).clusters
    best = suggesting.suggested(worth, clusters, of_a_cluster=suggesting.SQUARES_OF_A_CLUSTER)
    return [UUID(uuid) for uuid in best]


def suggest_holes(session: Session, square: UUID, model: str, latent: str) -> list[UUID]:
    """Return the holes of a square to image first, the best first.

    Args:
        session: The transaction.
        square: The square.
        model: What predicts holes.
        latent: What clusters them.

    Raises:
        NotFound: There is no such square or model.
    """
    grid = known(session, Square, square).grid_uuid
    known_model(session, model)
    known_model(session, latent)
    holes = session.scalars(
        select(col(Hole.uuid))
        .where(col(Hole.square_uuid) == square, col(Hole.deleted_at).is_(None))
        .order_by(col(Hole.hole_id))
    ).all()
    values = _values(session, grid, model, Level.HOLE, square=square)
    worth = {str(uuid): values[uuid] for uuid in holes if uuid in values}
    clusters = _read(session, latent, grid, only=holes, coordinates=False).clusters
    best = suggesting.suggested(worth, clusters, of_a_cluster=suggesting.HOLES_OF_A_CLUSTER)
    return [UUID(uuid) for uuid in best]


def _values(
    session: Session, grid: UUID, model: str, level: Level, *, square: UUID | None = None
) -> dict[UUID, float]:
    statement = select(CurrentPrediction, col(CurrentPrediction.target_uuid)).where(
        col(CurrentPrediction.grid_uuid) == grid,
        col(CurrentPrediction.level) == level,
        col(CurrentPrediction.model_name) == model,
    )
    if square is not None:
        statement = statement.join(
            Hole, col(Hole.uuid) == col(CurrentPrediction.target_uuid)
        ).where(col(Hole.square_uuid) == square)
    rows = session.execute(statement).tuples()
    return {row.target_uuid: row.value for row, _ in latest(rows)}


def _squares_of(session: Session, grid: UUID) -> dict[str, str]:
    """Return the square of each hole of a grid."""
    rows = session.execute(
        select(col(Hole.uuid), col(Hole.square_uuid)).where(col(Hole.grid_uuid) == grid)
    )
    return {str(hole): str(square) for hole, square in rows}


def _read(
    session: Session,
    model: str,
    grid: UUID,
    *,
    only: Collection[UUID] | None = None,
    coordinates: bool = True,
) -> _Places:
    """Return what a model told of a grid, or of some of its holes."""
    places = _Places()
    for row in _rows(session, model, grid, only, coordinates):
        if row.parameter_group == _CLUSTERS:
            places.clusters[row.key] = int(row.value)
        elif row.key in _AXES:
            uuid = row.parameter_group.removeprefix(_COORDINATES)
            places.at.setdefault(uuid, {})[row.key] = row.value
    return places


def _rows(
    session: Session, model: str, grid: UUID, only: Collection[UUID] | None, coordinates: bool
) -> Iterator[Row[tuple[str, str, float]]]:
    group, key = col(ModelParameter.parameter_group), col(ModelParameter.key)
    statement = (
        select(group, key, col(ModelParameter.value))
        .where(col(ModelParameter.grid_uuid) == grid, col(ModelParameter.model_name) == model)
        # Of what was told for several metrics, what came in last counts.
        .order_by(col(ModelParameter.message_seq))
    )
    clusters = statement.where(group == _CLUSTERS)
    placed = statement.where(group.startswith(_COORDINATES))
    if only is None:
        yield from session.execute(clusters)
        if coordinates:
            yield from session.execute(placed)
        return
    for part in chunks([str(uuid) for uuid in only]):
        yield from session.execute(clusters.where(one_of(session, key, part)))
        if coordinates:
            groups = [_COORDINATES + uuid for uuid in part]
            yield from session.execute(statement.where(one_of(session, group, groups)))
