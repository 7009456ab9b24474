"""Find the grid of whatever a message names."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlmodel import Session, col

from models.cryoem import renamed
from models.cryoem.messages import Entity
from models.cryoem.processing_tables import HoleGroup
from models.cryoem.tables import Atlas, AtlasTile, Grid, Hole, Micrograph, Square
from models.sql import chunks, one_of

#: What people call the kinds.
WORDS: Mapping[Entity, str] = {
    Entity.ACQUISITION: "acquisition",
    Entity.GRID: "grid",
    Entity.ATLAS: "atlas",
    Entity.TILE: "tile",
    Entity.SQUARE: "square",
    Entity.HOLE: "hole",
    Entity.MICROGRAPH: "micrograph",
    Entity.GROUP: "group",
}

#: Kind → its uuid and its grid's.
_COLUMNS: Mapping[Entity, tuple[Any, Any]] = {
    Entity.ACQUISITION: (col(Grid.acquisition_uuid), col(Grid.uuid)),
    Entity.GRID: (col(Grid.uuid), col(Grid.uuid)),
    Entity.ATLAS: (col(Atlas.uuid), col(Atlas.grid_uuid)),
    Entity.TILE: (col(AtlasTile.uuid), col(Atlas.grid_uuid)),
    Entity.SQUARE: (col(Square.uuid), col(Square.grid_uuid)),
    Entity.HOLE: (col(Hole.uuid), col(Hole.grid_uuid)),
    Entity.MICROGRAPH: (col(Micrograph.uuid), col(Micrograph.grid_uuid)),
    Entity.GROUP: (col(HoleGroup.uuid), col(HoleGroup.grid_uuid)),
}


def grids_of(session: Session, wanted: Mapping[Entity, Collection[UUID]]) -> dict[UUID, UUID]:
    """Return uuid → grid uuid, of those that are known; one query per kind."""
    return dict(_found(session, wanted))


def grids_by_any_name(
    session: Session, wanted: Mapping[Entity, Collection[UUID]]
) -> dict[UUID, UUID]:
    """Return uuid → grid uuid, also of those that are no row's own uuid, but another name."""
    found = grids_of(session, wanted)
    others = {uuid for uuids in wanted.values() for uuid in uuids} - set(found)
    return found | renamed.grids(session, others)


def _found(
    session: Session, wanted: Mapping[Entity, Collection[UUID]]
) -> Iterator[tuple[UUID, UUID]]:
    for entity, uuids in wanted.items():
        uuid, grid = _COLUMNS[entity]
        statement = select(uuid, grid)
        if entity is Entity.TILE:
            statement = statement.join(Atlas, col(Atlas.uuid) == col(AtlasTile.atlas_uuid))
        for part in chunks(list(uuids)):
            rows = session.execute(statement.where(one_of(session, uuid, part)))
            yield from rows.tuples()
