"""Let entities and all that belongs to them exist no longer; their rows stay, for the history."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlmodel import Session, SQLModel, col

from core.errors import AthanorError, NotFound
from models.cryoem.messages import Entity
from models.cryoem.smartem.mapping import KINDS
from models.cryoem.smartem.owners import LISTINGS, Owners, grids_of_acquisitions
from models.cryoem.smartem.writes import Delete, Step
from models.cryoem.tables import Atlas, AtlasTile, Grid, Hole, Micrograph, Square
from models.retention.holds import require_released


def check_deletes(session: Session, steps: Sequence[Step], owners: Owners) -> dict[UUID, set[UUID]]:
    """Note what cannot be deleted; return the grids of each thing that can."""
    grids: dict[UUID, set[UUID]] = {}
    gone: set[tuple[Entity, UUID]] = set()
    for one in steps:
        assert isinstance(one.write, Delete)  # noqa: S101 (sorted by the caller)
        write = one.write
        try:
            one.grid = owners.require(write.entity, write.uuid).grid
            if (write.entity, write.uuid) in gone:
                raise NotFound(f"There is no {LISTINGS[write.entity].name} {write.uuid}.")
            grids[write.uuid] = _held_still(session, write, one.grid)
        except AthanorError as error:
            one.error = error
        gone.add((write.entity, write.uuid))
    return grids


def _held_still(session: Session, write: Delete, grid: UUID | None) -> set[UUID]:
    """Return the grids that a deletion concerns, locked against being held meanwhile."""
    if grid is not None:
        grids = {grid}
    else:
        grids = set(grids_of_acquisitions(session, [write.uuid]).get(write.uuid, ()))
    session.execute(
        select(col(Grid.uuid))
        .where(col(Grid.uuid).in_(grids))
        .order_by(col(Grid.uuid))
        .with_for_update()
    )
    require_released(session, grids)
    return grids


def delete(
    session: Session, steps: Sequence[Step], grids: dict[UUID, set[UUID]], *, now: datetime
) -> None:
    """Mark entities and what belongs to them, since now, by each deletion's message."""
    for one in steps:
        assert isinstance(one.write, Delete)  # noqa: S101 (sorted by the caller)
        for model, condition in _subtree(one.write, grids[one.write.uuid]):
            row: Any = model
            session.execute(
                update(model)
                .where(condition, row.deleted_at.is_(None))
                .values(deleted_at=now, life_seq=one.seq)
                .execution_options(synchronize_session=False)
            )


def _subtree(write: Delete, grids: set[UUID]) -> Iterator[tuple[type[SQLModel], Any]]:
    """Yield the tables and conditions of a thing and all that belongs to it."""
    model: Any = KINDS[write.entity].model
    yield model, model.uuid == write.uuid
    match write.entity:
        case Entity.ACQUISITION | Entity.GRID:
            yield Grid, col(Grid.uuid).in_(grids)
            atlases = select(col(Atlas.uuid)).where(col(Atlas.grid_uuid).in_(grids))
            yield AtlasTile, col(AtlasTile.atlas_uuid).in_(atlases)
            for table in (Atlas, Square, Hole, Micrograph):
                yield table, col(table.grid_uuid).in_(grids)
        case Entity.ATLAS:
            yield AtlasTile, col(AtlasTile.atlas_uuid) == write.uuid
        case Entity.SQUARE:
            holes = select(col(Hole.uuid)).where(col(Hole.square_uuid) == write.uuid)
            yield Micrograph, col(Micrograph.hole_uuid).in_(holes)
            yield Hole, col(Hole.square_uuid) == write.uuid
        case Entity.HOLE:
            yield Micrograph, col(Micrograph.hole_uuid) == write.uuid
        case _:
            return
