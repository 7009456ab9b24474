"""Where models place squares and holes among those that look alike.

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

from models.cryoem.model_registry import known_model
from models.cryoem.processing_tables import ModelParameter
from models.cryoem.smartem.known import known
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


def clusters(
    session: Session, model: str, grid: UUID, *, only: Collection[UUID] | None = None
) -> dict[str, int]:
    """Return the cluster of all squares and holes of a grid that have one, or of some of them."""
    return _read(session, model, grid, only=only, coordinates=False).clusters


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
