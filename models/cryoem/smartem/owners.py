"""Find what writes name: where it is, if it exists still."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from sqlalchemy import null, select
from sqlmodel import Session, col

from core.errors import NotFound
from models.cryoem import renamed
from models.cryoem.messages import Entity
from models.cryoem.smartem import views
from models.cryoem.smartem.mapping import KINDS, Row
from models.cryoem.smartem.writes import Create, Link, Write
from models.cryoem.tables import Atlas, Grid, Hole, Micrograph, Square
from models.listing import Listing
from models.sql import chunks, one_of, table_of

#: Kind → what clients are shown of it.
LISTINGS: Final[Mapping[Entity, Listing]] = {
    Entity.ACQUISITION: views.ACQUISITIONS,
    Entity.GRID: views.GRIDS,
    Entity.ATLAS: views.ATLASES,
    Entity.TILE: views.TILES,
    Entity.SQUARE: views.SQUARES,
    Entity.HOLE: views.HOLES,
    Entity.MICROGRAPH: views.MICROGRAPHS,
}

#: Kind → its grid, its id by EPU, and that of what it belongs to.
_PLACES: Final[Mapping[Entity, tuple[Any, Any, Any]]] = {
    Entity.ACQUISITION: (null(), null(), null()),
    Entity.GRID: (col(Grid.uuid), null(), null()),
    Entity.ATLAS: (col(Atlas.grid_uuid), null(), null()),
    Entity.TILE: (col(Atlas.grid_uuid), null(), null()),
    Entity.SQUARE: (col(Square.grid_uuid), col(Square.square_id), null()),
    Entity.HOLE: (col(Hole.grid_uuid), col(Hole.hole_id), col(Square.square_id)),
    Entity.MICROGRAPH: (col(Micrograph.grid_uuid), null(), col(Hole.hole_id)),
}


@dataclass(frozen=True)
class Owner:
    """What those who belong to an entity must know of it."""

    uuid: UUID
    #: None for an acquisition.
    grid: UUID | None
    #: EPU's id of a square or hole, and of what it belongs to.
    natural: int | None = None
    above: int | None = None


class Owners:
    """What exists of what a group of writes names; neither it nor its parents are deleted."""

    def __init__(self, session: Session, wanted: Mapping[Entity, Collection[UUID]]) -> None:
        """Look: one query per kind, and another for those that are named otherwise."""
        self._session = session
        self._known: dict[tuple[Entity, UUID], Owner] = {}
        self.look(wanted)

    def look(self, wanted: Mapping[Entity, Collection[UUID]]) -> None:
        """Look for more."""
        self._look(wanted)
        missing = {
            entity: [uuid for uuid in uuids if (entity, uuid) not in self._known]
            for entity, uuids in wanted.items()
        }
        names = renamed.targets(self._session, (uuid for some in missing.values() for uuid in some))
        if not names:
            return
        self._look(
            {entity: {names[u] for u in some if u in names} for entity, some in missing.items()}
        )
        for entity, some in missing.items():
            for uuid in some:
                owner = self._known.get((entity, names.get(uuid, uuid)))
                if owner is not None:
                    self._known[entity, uuid] = owner

    def _look(self, wanted: Mapping[Entity, Collection[UUID]]) -> None:
        session = self._session
        for entity, uuids in wanted.items():
            listing = LISTINGS[entity]
            statement = listing.source(
                select(listing.uuid, *_PLACES[entity]).select_from(listing.model)
            )
            for part in chunks(list(uuids)):
                for row in session.execute(statement.where(one_of(session, listing.uuid, part))):
                    self._known[entity, row[0]] = Owner(*row)

    def require(self, entity: Entity, uuid: UUID) -> Owner:
        """Return one that exists, by any of its uuids.

        Raises:
            NotFound: There is none, or none any more.
        """
        owner = self._known.get((entity, uuid))
        if owner is None:
            raise NotFound(f"There is no {LISTINGS[entity].name} {uuid}.")
        return owner

    def own(self, entity: Entity | None, uuid: Any) -> Any:
        """Return the row's own uuid, of what was looked for and is there; else what is given."""
        owner = None if entity is None else self._known.get((entity, uuid))
        return uuid if owner is None else owner.uuid


def by_own_name(write: Write, owners: Owners) -> Write:
    """Return a write that names what it is about by the rows' own uuids."""
    match write:
        case Create():
            return write
        case Link(tile=tile, squares=squares):
            named = tuple((owners.own(Entity.SQUARE, uuid), place) for uuid, place in squares)
            return Link(owners.own(Entity.TILE, tile), named)
        case _:
            own = owners.own(write.entity, write.uuid)
            return write if own == write.uuid else replace(write, uuid=own)


def grids_of_acquisitions(
    session: Session, acquisitions: Collection[UUID]
) -> dict[UUID, list[UUID]]:
    """Return the grids of acquisitions, as far as they exist."""
    found: dict[UUID, list[UUID]] = {}
    for part in chunks(list(acquisitions)):
        statement = select(col(Grid.acquisition_uuid), col(Grid.uuid)).where(
            one_of(session, col(Grid.acquisition_uuid), part), col(Grid.deleted_at).is_(None)
        )
        for acquisition, grid in session.execute(statement):
            found.setdefault(acquisition, []).append(grid)
    return found


def rows_of(session: Session, entity: Entity, uuids: Collection[UUID]) -> dict[UUID, Row]:
    """Return whole rows, locked until the transaction ends (on SQLite it is the only writer)."""
    table = table_of(KINDS[entity].model)
    found: dict[UUID, Row] = {}
    for part in chunks(sorted(uuids, key=str)):
        statement = (
            select(table)
            .where(one_of(session, table.c.uuid, part))
            .order_by(table.c.uuid)
            .with_for_update()
        )
        found |= {row["uuid"]: dict(row) for row in session.execute(statement).mappings()}
    return found
