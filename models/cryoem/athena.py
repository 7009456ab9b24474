"""What Athena knows of our grids, squares and holes: ids asked for, given and confirmed."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlmodel import Session, col

from core.errors import UnknownParent
from domains.cryoem.ids import atlas_uuid
from domains.cryoem.policy import area_ids
from models.athena import AreaType
from models.cryoem.decision_tables import AthenaArea, AthenaSession, Level
from models.cryoem.entities import areas_of
from models.cryoem.tables import Acquisition, Grid, Hole, Square
from models.sql import chunks, insert_ignore, lock_until_commit, one_of

#: Of Athena's area ids, which are 32 bits.
_LARGEST_ID = 2**31 - 1


@dataclass(frozen=True)
class NewArea:
    """A square or hole to register."""

    area_uuid: UUID
    area_id: int
    area_type: str
    parent_area_id: int | None


def get_grid(session: Session, grid: UUID) -> tuple[Grid, Acquisition]:
    """Return the grid and its acquisition.

    Raises:
        UnknownParent: There is no such grid yet.
    """
    row = session.execute(
        select(Grid, Acquisition)
        .join(Acquisition, col(Acquisition.uuid) == col(Grid.acquisition_uuid))
        .where(col(Grid.uuid) == grid)
    ).one_or_none()
    if row is None:
        raise UnknownParent("grid", str(grid))
    session.expunge_all()
    return row[0], row[1]


def grid_name(session: Session, grid: UUID) -> str:
    """Return what people call the grid: its name at Athena, or its uuid while it has no name."""
    name = session.scalar(select(col(Grid.name)).where(col(Grid.uuid) == grid))
    return str(grid) if name is None else f"Grid_{name}"


def own_name(name: str, grid: UUID) -> str:
    """Return what Athena is to call a grid whose name it has given to another's session."""
    return f"{name}_{grid.hex[:8]}"


def get_session(session: Session, grid: UUID) -> AthenaSession | None:
    """Return the Athena session of a grid, if it has one."""
    return session.get(AthenaSession, grid)


def has_other_grid(session: Session, ident: UUID | None, grid: UUID) -> bool:
    """Return whether Athena's session is that of another grid."""
    found = session.scalar(
        select(col(AthenaSession.grid_uuid)).where(
            col(AthenaSession.session_id) == ident, col(AthenaSession.grid_uuid) != grid
        )
    )
    return found is not None


def save_session(session: Session, row: AthenaSession) -> None:
    """Store what Athena calls the grid; one stored before stays."""
    values = row.model_dump()
    insert_ignore(session, AthenaSession, [values], unique=["grid_uuid"])


def set_run(session: Session, grid: UUID, *, known: int | None, **values: Any) -> None:
    """Store the acquisition run's number, start, stop and reason.

    `known` is the number that the caller found: when the session has got another run since,
    nothing is changed.
    """
    session.execute(
        update(AthenaSession)
        .where(
            col(AthenaSession.grid_uuid) == grid,
            col(AthenaSession.run_number).is_not_distinct_from(known),
        )
        .values(**values)
        .execution_options(synchronize_session=False)
    )


def allocate_areas(session: Session, grid: UUID) -> int:
    """Give an area id to each square and hole that has none; return how many."""
    lock_until_commit(session, areas_of(grid))
    taken = set(
        session.scalars(select(col(AthenaArea.area_id)).where(col(AthenaArea.grid_uuid) == grid))
    )
    squares = session.execute(
        select(col(Square.uuid), col(Square.square_id))
        .where(col(Square.grid_uuid) == grid, col(Square.uuid).not_in(_allocated(grid)))
        .order_by(col(Square.square_id))
    ).all()
    given = area_ids([natural for _, natural in squares], taken)
    rows = [
        _row(grid, uuid, ident, Level.SQUARE, None)
        for (uuid, _), ident in zip(squares, given, strict=True)
    ]
    insert_ignore(session, AthenaArea, rows, unique=["area_uuid"])
    holes = session.execute(
        select(col(Hole.uuid), col(Hole.hole_id), col(AthenaArea.area_id))
        .join(AthenaArea, col(AthenaArea.area_uuid) == col(Hole.square_uuid))
        .where(col(Hole.grid_uuid) == grid, col(Hole.uuid).not_in(_allocated(grid)))
        .order_by(col(Hole.hole_id))
    ).all()
    given = area_ids([natural for _, natural, _ in holes], taken | set(given))
    rows = [
        _row(grid, uuid, ident, Level.HOLE, parent)
        for (uuid, _, parent), ident in zip(holes, given, strict=True)
    ]
    insert_ignore(session, AthenaArea, rows, unique=["area_uuid"])
    return len(squares) + len(holes)


def allocate_atlas(session: Session, grid: UUID) -> bool:
    """Give an area id to the grid's atlas, of which orders of squares are; False if it has one.

    Its id is the largest that is free: the small ones may be EPU's ids of squares and holes.
    """
    atlas = atlas_uuid(grid)
    if session.get(AthenaArea, atlas) is not None:
        return False
    lock_until_commit(session, areas_of(grid))
    taken = set(
        session.scalars(select(col(AthenaArea.area_id)).where(col(AthenaArea.grid_uuid) == grid))
    )
    ident = next(ident for ident in range(_LARGEST_ID, 0, -1) if ident not in taken)
    row = {**_row(grid, atlas, ident, Level.SQUARE, None), "area_type": AreaType.ATLAS}
    insert_ignore(session, AthenaArea, [row], unique=["area_uuid"])
    return True


def has_unallocated_areas(session: Session, grid: UUID) -> bool:
    """Return whether a square or hole has no area id yet."""
    return any(
        session.scalar(
            select(col(entity.uuid))
            .where(col(entity.grid_uuid) == grid, col(entity.uuid).not_in(_allocated(grid)))
            .limit(1)
        )
        is not None
        for entity in (Square, Hole)
    )


def _allocated(grid: UUID) -> Any:
    return select(col(AthenaArea.area_uuid)).where(col(AthenaArea.grid_uuid) == grid)


def _row(grid: UUID, uuid: UUID, ident: int, level: Level, parent: int | None) -> dict[str, Any]:
    return {
        "area_uuid": uuid,
        "grid_uuid": grid,
        "area_id": ident,
        "area_type": level,
        "parent_area_id": parent,
        "registered_at": None,
    }


def unregistered_areas(session: Session, grid: UUID, limit: int) -> list[NewArea]:
    """Return areas that Athena has not confirmed, squares before holes."""
    rows = session.scalars(
        select(AthenaArea)
        .where(col(AthenaArea.grid_uuid) == grid, col(AthenaArea.registered_at).is_(None))
        .order_by(col(AthenaArea.area_type).desc(), col(AthenaArea.area_id))
        .limit(limit)
    )
    return [NewArea(r.area_uuid, r.area_id, r.area_type, r.parent_area_id) for r in rows]


def mark_registered(session: Session, areas: Sequence[UUID], *, now: datetime | None) -> None:
    """Note that Athena has confirmed areas, or (`now` is None) that it lacks them."""
    for part in chunks(areas):
        session.execute(
            update(AthenaArea)
            .where(col(AthenaArea.area_uuid).in_(part))
            .values(registered_at=now)
            .execution_options(synchronize_session=False)
        )


def forget_areas_except(session: Session, grid: UUID, known: Collection[int]) -> int:
    """Mark as unregistered the areas that Athena turns out not to have; return how many."""
    rows = session.execute(
        select(col(AthenaArea.area_uuid), col(AthenaArea.area_id)).where(
            col(AthenaArea.grid_uuid) == grid, col(AthenaArea.registered_at).is_not(None)
        )
    ).all()
    lost = [uuid for uuid, ident in rows if ident not in known]
    mark_registered(session, lost, now=None)
    return len(lost)


def forget_session(session: Session, grid: UUID) -> None:
    """Forget the Athena session of a grid and what it knew, because Athena has lost it."""
    session.execute(
        update(AthenaArea).where(col(AthenaArea.grid_uuid) == grid).values(registered_at=None)
    )
    session.execute(delete(AthenaSession).where(col(AthenaSession.grid_uuid) == grid))


def grids_to_register(session: Session, *, silent_since: datetime) -> list[UUID]:
    """Return grids that Athena has not been told of and whose acquisition goes on."""
    return list(
        session.scalars(
            select(col(Grid.uuid))
            .join(Acquisition, col(Acquisition.uuid) == col(Grid.acquisition_uuid))
            .outerjoin(AthenaSession, col(AthenaSession.grid_uuid) == col(Grid.uuid))
            .where(
                col(AthenaSession.run_number).is_(None),
                col(Acquisition.ended_at).is_(None),
                col(Grid.last_news_at) >= silent_since,
            )
        )
    )


def grids_with_unregistered_areas(session: Session) -> set[UUID]:
    """Return registered grids that have an atlas, squares or holes Athena does not know."""
    atlases = select(col(AthenaArea.grid_uuid)).join(
        AthenaSession, col(AthenaSession.grid_uuid) == col(AthenaArea.grid_uuid)
    )
    found = set(
        session.scalars(
            atlases.where(
                col(AthenaArea.registered_at).is_(None),
                col(AthenaArea.area_type) == AreaType.ATLAS,
                col(AthenaSession.run_stopped_at).is_(None),
            )
        )
    )
    for entity in (Square, Hole):
        statement = (
            select(col(entity.grid_uuid))
            .join(AthenaSession, col(AthenaSession.grid_uuid) == col(entity.grid_uuid))
            .outerjoin(AthenaArea, col(AthenaArea.area_uuid) == col(entity.uuid))
            .where(
                col(AthenaArea.registered_at).is_(None),
                col(AthenaSession.run_stopped_at).is_(None),
            )
            .distinct()
        )
        found |= set(session.scalars(statement))
    return found


def registered_grids(session: Session) -> set[UUID]:
    """Return the grids that have an Athena session."""
    return set(session.scalars(select(col(AthenaSession.grid_uuid))))


def registered_among(session: Session, grids: Collection[UUID]) -> set[UUID]:
    """Return those of the grids that have an Athena session."""
    found: set[UUID] = set()
    for part in chunks(list(grids)):
        statement = select(col(AthenaSession.grid_uuid)).where(
            one_of(session, col(AthenaSession.grid_uuid), part)
        )
        found |= set(session.scalars(statement))
    return found


def grids_to_close(session: Session, *, silent_since: datetime) -> list[UUID]:
    """Return grids whose run goes on though their session ended or has long been silent."""
    return list(
        session.scalars(
            select(col(Grid.uuid))
            .join(AthenaSession, col(AthenaSession.grid_uuid) == col(Grid.uuid))
            .join(Acquisition, col(Acquisition.uuid) == col(Grid.acquisition_uuid))
            .where(
                col(AthenaSession.run_number).is_not(None),
                col(AthenaSession.run_stopped_at).is_(None),
                (col(Acquisition.ended_at).is_not(None)) | (col(Grid.last_news_at) < silent_since),
            )
        )
    )


def count_areas(session: Session, grid: UUID) -> dict[str, int]:
    """Return how many areas of each type Athena has confirmed."""
    rows = session.execute(
        select(col(AthenaArea.area_type), func.count())
        .where(col(AthenaArea.grid_uuid) == grid, col(AthenaArea.registered_at).is_not(None))
        .group_by(col(AthenaArea.area_type))
    )
    return {level: count for level, count in rows}  # noqa: C416 (a Row is no pair to dict())
