"""Where models place squares and holes among those that look alike.

A model tells coordinates as parameters of the grid: group `coordinates:<uuid>`, key `x` or `y`;
and clusters: group `cluster_indices`, key `<uuid>`. What it told of one only in part is shown in
part.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row as DbRow
from sqlalchemy import exists, select
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from models.cryoem.decision_tables import QualityMetric
from models.cryoem.model_registry import known_model
from models.cryoem.processing_tables import ModelParameter
from models.cryoem.smartem.known import known
from models.cryoem.tables import Grid, Hole, Square
from models.listing import Row
from models.series import Key, Series
from models.sql import chunks, one_of
from models.uuid_text import uuid_text

_COORDINATES: Final = "coordinates:"
_CLUSTERS: Final = "cluster_indices"
_AXES: Final = ("x", "y")


@dataclass
class _Places:
    """What a model told of a grid, by uuid as it wrote it."""

    at: dict[str, dict[str, float]] = field(default_factory=dict)
    clusters: dict[str, int] = field(default_factory=dict)

    def view(self, uuid: str, square: str, hole: str) -> Row:
        at = self.at.get(uuid, {})
        return {
            "gridsquare_uuid": square,
            "foilhole_uuid": hole,
            "x": at.get("x"),
            "y": at.get("y"),
            "index": self.clusters.get(uuid),
        }


def on_grid(session: Session, model: str, grid: UUID) -> Series:
    """Return all that a model gave coordinates on a grid: squares, or holes.

    Raises:
        NotFound: There is no such grid or model.
    """
    known(session, Grid, grid)
    known_model(session, model)
    metrics = _metrics(session)
    metric, group = col(ModelParameter.metric_name), col(ModelParameter.parameter_group)
    before: Any = aliased(ModelParameter)
    told_before = exists().where(
        before.grid_uuid == grid,
        before.model_name == model,
        before.metric_name.in_(metrics),
        before.metric_name < metric,
        before.parameter_group == group,
        before.key.in_(_AXES),
    )
    statement = (
        select(group.label("group"))
        .where(
            col(ModelParameter.grid_uuid) == grid,
            col(ModelParameter.model_name) == model,
            # The index is in order of all, whatever they begin with.
            group >= _COORDINATES,
            group.startswith(_COORDINATES),
            col(ModelParameter.key).in_(_AXES),
            ~told_before,
        )
        .group_by(metric, group)
    )

    def shown(session: Session, rows: list[Row]) -> list[Row]:
        uuids = [row["group"].removeprefix(_COORDINATES) for row in rows]
        places = _read(session, model, grid, only=uuids)
        square_of = _squares_of(session, uuids)
        return [
            places.view(uuid, square_of[uuid], uuid)
            if uuid in square_of
            else places.view(uuid, uuid, "")
            for uuid in uuids
        ]

    keys = (Key(metric, str), Key(group, str))
    return Series("places on a grid", statement, keys, firsts=metrics, shown=shown)


def on_square(session: Session, model: str, square: UUID) -> Series:
    """Return where a model places the holes of a square that are not near a grid bar.

    Raises:
        NotFound: There is no such square or model.
    """
    grid = known(session, Square, square).grid_uuid
    known_model(session, model)
    statement = select(uuid_text(col(Hole.uuid)).label("hole")).where(
        col(Hole.square_uuid) == square,
        col(Hole.deleted_at).is_(None),
        col(Hole.is_near_grid_bar).is_not(True),
    )

    def shown(session: Session, rows: list[Row]) -> list[Row]:
        holes = [row["hole"] for row in rows]
        places = _read(session, model, grid, only=holes)
        return [places.view(hole, str(square), hole) for hole in holes]

    return Series("places on a square", statement, (Key(col(Hole.hole_id), int),), shown=shown)


def clusters(
    session: Session, model: str, grid: UUID, *, only: Collection[str] | None = None
) -> dict[str, int]:
    """Return the cluster of all squares and holes of a grid that have one, or of some of them."""
    return _read(session, model, grid, only=only, coordinates=False).clusters


def _metrics(session: Session) -> tuple[str, ...]:
    """Return what parameters can be for, in order: all metrics, which is an empty name, or one."""
    names = select(col(QualityMetric.name)).order_by(col(QualityMetric.name))
    return ("", *session.scalars(names))


def _squares_of(session: Session, uuids: Iterable[str]) -> dict[str, str]:
    """Return the square of each that is a hole."""
    found: dict[str, str] = {}
    for part in chunks([uuid for text in uuids if (uuid := _uuid(text)) is not None]):
        holes = select(uuid_text(col(Hole.uuid)), uuid_text(col(Hole.square_uuid)))
        rows = session.execute(holes.where(one_of(session, col(Hole.uuid), part)))
        found.update(rows.tuples().all())
    return found


def _uuid(text: str) -> UUID | None:
    """Return the uuid that a model wrote; None for what is none."""
    try:
        return UUID(text)
    except ValueError:
        return None


def _read(
    session: Session,
    model: str,
    grid: UUID,
    *,
    only: Collection[str] | None = None,
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
    session: Session, model: str, grid: UUID, only: Collection[str] | None, coordinates: bool
) -> Iterator[DbRow[tuple[str, str, float]]]:
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
    # Each by its whole key.
    of_metrics = col(ModelParameter.metric_name).in_(_metrics(session))
    for part in chunks(list(only)):
        clustered = clusters.where(of_metrics, one_of(session, key, part))
        yield from session.execute(clustered)
        if coordinates:
            groups = [_COORDINATES + uuid for uuid in part]
            of_groups = statement.where(of_metrics, one_of(session, group, groups))
            yield from session.execute(of_groups.where(key.in_(_AXES)))
