"""Read the squares, holes and micrographs of a session."""

from collections.abc import Sequence
from typing import Annotated, TypeAlias
from uuid import UUID

from pydantic import Field
from sqlalchemy import func, select
from sqlmodel import Session, col

from models.cryoem.api_schemas import (
    HoleView,
    MeasurementView,
    MicrographView,
    PredictionView,
    SquareView,
)
from models.cryoem.decision_tables import AthenaArea, CurrentPrediction
from models.cryoem.processing_tables import CurrentMeasurement
from models.cryoem.queries.sessions import require_grid
from models.cryoem.tables import Hole, Micrograph, Square
from models.paging import Keyset, Page

_Int: TypeAlias = Annotated[int, Field(ge=-(2**31), lt=2**31)]
_BY_ID: Keyset[tuple[int]] = Keyset(tuple[_Int])
#: Without NUL, which PostgreSQL refuses.
_BY_STEM: Keyset[tuple[str]] = Keyset(tuple[Annotated[str, Field(pattern=r"^[^\x00]*$")]])


def list_squares(
    session: Session, grid: UUID, *, limit: int, cursor: str | None = None
) -> Page[SquareView]:
    """Return a grid's squares in order of EPU's id.

    Raises:
        NotFound: There is no such grid.
    """
    require_grid(session, grid)
    statement = (
        select(Square)
        .where(col(Square.grid_uuid) == grid)
        .order_by(col(Square.square_id))
        .limit(limit + 1)
    )
    after = _BY_ID.read(cursor)
    if after is not None:
        statement = statement.where(col(Square.square_id) > after[0])
    return _BY_ID.page(
        session.scalars(statement).all(),
        limit,
        key=lambda row: (row.square_id,),
        view=lambda rows: _square_views(session, rows),
    )


def list_holes(
    session: Session,
    grid: UUID,
    *,
    square: UUID | None = None,
    limit: int,
    cursor: str | None = None,
) -> Page[HoleView]:
    """Return a grid's or a square's holes in order of EPU's id.

    Raises:
        NotFound: There is no such grid.
    """
    require_grid(session, grid)
    statement = (
        select(Hole).where(col(Hole.grid_uuid) == grid).order_by(col(Hole.hole_id)).limit(limit + 1)
    )
    if square is not None:
        statement = statement.where(col(Hole.square_uuid) == square)
    after = _BY_ID.read(cursor)
    if after is not None:
        statement = statement.where(col(Hole.hole_id) > after[0])
    return _BY_ID.page(
        session.scalars(statement).all(),
        limit,
        key=lambda row: (row.hole_id,),
        view=lambda rows: _hole_views(session, rows),
    )


def list_micrographs(
    session: Session, grid: UUID, *, limit: int, cursor: str | None = None
) -> Page[MicrographView]:
    """Return a grid's micrographs in order of their file names.

    Raises:
        NotFound: There is no such grid.
    """
    require_grid(session, grid)
    statement = (
        select(Micrograph)
        .where(col(Micrograph.grid_uuid) == grid)
        .order_by(col(Micrograph.stem))
        .limit(limit + 1)
    )
    after = _BY_STEM.read(cursor)
    if after is not None:
        statement = statement.where(col(Micrograph.stem) > after[0])
    return _BY_STEM.page(
        session.scalars(statement).all(),
        limit,
        key=lambda row: (row.stem,),
        view=lambda rows: _micrograph_views(session, rows),
    )


def _square_views(session: Session, rows: Sequence[Square]) -> list[SquareView]:
    uuids = [row.uuid for row in rows]
    areas = _areas(session, uuids)
    predictions = _predictions(session, uuids)
    statement = (
        select(col(Hole.square_uuid), func.count())
        .where(col(Hole.square_uuid).in_(uuids))
        .group_by(col(Hole.square_uuid))
    )
    holes = {square: count for square, count in session.execute(statement)}  # noqa: C416 (a Row is no pair to dict())
    return [
        SquareView.model_validate(
            {
                **row.model_dump(),
                **_area(areas.get(row.uuid)),
                "predictions": predictions.get(row.uuid, []),
                "holes": holes.get(row.uuid, 0),
            }
        )
        for row in rows
    ]


def _hole_views(session: Session, rows: Sequence[Hole]) -> list[HoleView]:
    uuids = [row.uuid for row in rows]
    areas = _areas(session, uuids)
    predictions = _predictions(session, uuids)
    return [
        HoleView.model_validate(
            {
                **row.model_dump(),
                **_area(areas.get(row.uuid)),
                "predictions": predictions.get(row.uuid, []),
            }
        )
        for row in rows
    ]


def _micrograph_views(session: Session, rows: Sequence[Micrograph]) -> list[MicrographView]:
    statement = (
        select(CurrentMeasurement)
        .where(col(CurrentMeasurement.micrograph_uuid).in_([row.uuid for row in rows]))
        .order_by(col(CurrentMeasurement.name))
    )
    found: dict[UUID, list[MeasurementView]] = {}
    for one in session.scalars(statement):
        view = MeasurementView(
            name=one.name,
            metric=one.metric_name,
            value=one.value,
            quality=one.quality,
            measured_at=one.measured_at,
        )
        found.setdefault(one.micrograph_uuid, []).append(view)
    return [
        MicrographView.model_validate({**row.model_dump(), "measurements": found.get(row.uuid, [])})
        for row in rows
    ]


def _areas(session: Session, uuids: Sequence[UUID]) -> dict[UUID, AthenaArea]:
    statement = select(AthenaArea).where(col(AthenaArea.area_uuid).in_(uuids))
    return {row.area_uuid: row for row in session.scalars(statement)}


def _area(row: AthenaArea | None) -> dict[str, int | bool | None]:
    if row is None:
        return {"area_id": None, "registered": False}
    return {"area_id": row.area_id, "registered": row.registered_at is not None}


def _predictions(session: Session, uuids: Sequence[UUID]) -> dict[UUID, list[PredictionView]]:
    statement = (
        select(CurrentPrediction)
        .where(col(CurrentPrediction.target_uuid).in_(uuids))
        .order_by(col(CurrentPrediction.message_seq))
    )
    found: dict[UUID, list[PredictionView]] = {}
    for row in session.scalars(statement):
        view = PredictionView(
            model=row.model_name,
            metric=row.metric_name or None,
            value=row.value,
            predicted_at=row.predicted_at,
        )
        found.setdefault(row.target_uuid, []).append(view)
    return found
