"""Who has the uuids and natural ids that creations ask for."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import and_, or_, select
from sqlmodel import Session

from core.errors import AthanorError, Conflict, MessageRejected
from models.cryoem import renamed
from models.cryoem.messages import Entity
from models.cryoem.smartem.creating import Draft, alias_of
from models.cryoem.smartem.mapping import KINDS, Kind, Row, derived_uuid
from models.cryoem.smartem.owners import LISTINGS
from models.cryoem.smartem.writes import Overtaken
from models.sql import chunks, one_of, table_of

_Key = tuple[Entity, tuple[Any, ...]]


class Taken:
    """Uuids and natural ids that are taken, in the database or by drafts before."""

    def __init__(self, session: Session, drafts: Sequence[Draft]) -> None:
        """Look for those of all drafts: one query per kind."""
        self._session = session
        #: What has the id, and whether it is deleted.
        self._uuids: dict[tuple[Entity, UUID], bool] = {}
        self._naturals: dict[_Key, tuple[UUID, bool]] = {}
        #: What drafts before have taken.
        self._claimed: dict[_Key, UUID] = {}
        by_kind: dict[Entity, list[Row]] = {}
        for one in drafts:
            for kind, row in one.rows:
                by_kind.setdefault(kind.entity, []).append(row)
        for entity, kind in KINDS.items():
            rows = by_kind.get(entity, [])
            for part in chunks(rows):
                self._look(kind, part)
            if entity is Entity.ATLAS and rows:
                self._move_tiles(rows, by_kind.get(Entity.TILE, []))
        #: What has the natural id of a row that is asked for by another uuid.
        self._holders: dict[tuple[Entity, UUID], tuple[UUID, bool]] = {}
        for entity, rows in by_kind.items():
            for row in rows:
                holder = self._holder(KINDS[entity], row)
                if holder is not None and holder[0] != row["uuid"]:
                    self._holders[entity, row["uuid"]] = holder
        self._names = renamed.targets(session, (uuid for _, uuid in self._holders))

    def _look(self, kind: Kind, rows: Sequence[Row]) -> None:
        table = table_of(kind.model)
        columns = [table.c[name] for name in kind.natural]
        uuids = {row["uuid"] for row in rows} | {_by_file(kind, row) for row in rows} - {None}
        named = [row for row in rows if _natural(kind, row) is not None]
        found = [one_of(self._session, table.c.uuid, part) for part in chunks(list(uuids))]
        if named:
            alike = [
                one_of(self._session, column, list({row[column.name] for row in named}))
                for column in columns
            ]
            found.append(and_(*alike))
        statement = select(table.c.uuid, table.c.deleted_at, *columns).where(or_(*found))
        for uuid, deleted_at, *natural in self._session.execute(statement):
            gone = deleted_at is not None
            self._uuids[kind.entity, uuid] = gone
            if columns:
                self._naturals[kind.entity, tuple(natural)] = (uuid, gone)

    def _move_tiles(self, atlases: Sequence[Row], tiles: Sequence[Row]) -> None:
        """Put tiles below the atlas that their grid has already."""
        of_grid = {row["uuid"]: self._holder(KINDS[Entity.ATLAS], row) for row in atlases}
        for tile in tiles:
            holder = of_grid.get(tile["atlas_uuid"])
            if holder is not None:
                tile["atlas_uuid"] = holder[0]

    def _holder(self, kind: Kind, row: Row) -> tuple[UUID, bool] | None:
        """Return what has the natural id of a row, and whether that is deleted."""
        natural, uuid = _natural(kind, row), _by_file(kind, row)
        found = None if natural is None else self._naturals.get((kind.entity, natural))
        if found is None and uuid is not None and (kind.entity, uuid) in self._uuids:
            return uuid, self._uuids[kind.entity, uuid]
        return found

    def claim(self, one: Draft) -> None:
        """Take the ids of a draft, or note why it cannot have them.

        What is there already by its natural id keeps its uuid, and gets another name.

        Raises:
            Overtaken: A draft before makes the same by its natural id.
        """
        mine: dict[tuple[Entity, UUID], bool] = {}
        naturals: dict[_Key, UUID] = {}
        made: list[tuple[Kind, Row]] = []
        for (kind, row), request in zip(one.rows, one.requests, strict=True):
            asked, natural = (kind.entity, row["uuid"]), _natural(kind, row)
            one.step.error = self._refusal(kind, row, mine, naturals)
            if one.step.error is not None:
                return
            mine[asked] = False
            if natural is not None:
                naturals[kind.entity, natural] = row["uuid"]
            own, gone = self._holders.get(asked, (row["uuid"], True))
            if own != row["uuid"]:
                one.step.names[row["uuid"]] = own
                one.aliases.append(alias_of(kind, row["uuid"], own, one.step.grid))
                row["uuid"] = own
            if gone:
                made.append((kind, row))
            else:
                one.found.append((kind, row, request))
        one.rows = made
        self._uuids |= mine
        self._claimed |= naturals

    def _refusal(
        self,
        kind: Kind,
        row: Row,
        mine: Mapping[tuple[Entity, UUID], bool],
        naturals: Mapping[_Key, UUID],
    ) -> AthanorError | None:
        uuid, natural, word = row["uuid"], _natural(kind, row), LISTINGS[kind.entity].name
        if (kind.entity, uuid) in mine:
            return MessageRejected(f"uuid: {uuid} is given twice", fields=["uuid"])
        own, gone = self._holders.get((kind.entity, uuid), (uuid, True))
        known = self._names.get(uuid)
        if known not in (None, own):
            return Conflict(f"uuid: {uuid} is another name of {known}.")
        if self._uuids.get((kind.entity, uuid)) is False or (known is not None and not gone):
            return Conflict(f"There is {_a(word)} {uuid} already.")
        if natural is not None:
            key = (kind.entity, natural)
            if naturals.get(key, uuid) != uuid:
                name = kind.natural_field or "micrograph_id"
                return Conflict(f"{name}: {natural[-1]} is given twice.")
            if self._claimed.get(key, uuid) != uuid:
                raise Overtaken
        return None


def _by_file(kind: Kind, row: Row) -> UUID | None:
    """Return the uuid that a micrograph has if EPU's file was first to tell of it.

    That of another client is found by its `micrograph_id` only: of the names of files there may
    be several alike.
    """
    if kind.entity is not Entity.MICROGRAPH:
        return None
    return derived_uuid(kind, row, row["grid_uuid"])


def _natural(kind: Kind, row: Row) -> tuple[Any, ...] | None:
    if kind.entity is Entity.MICROGRAPH and row["micrograph_id"] is None:
        # Its name follows from a file's, of which there may be several alike.
        return None
    return tuple(row[name] for name in kind.natural) or None


def _a(word: str) -> str:
    return f"an {word}" if word.startswith("a") else f"a {word}"
