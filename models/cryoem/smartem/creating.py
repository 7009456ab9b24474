"""Make what clients ask to be made: set-based, each request whole or not at all."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import and_, or_, select
from sqlmodel import Session

from core.errors import AthanorError, Conflict, MessageRejected
from models.cryoem.messages import Entity
from models.cryoem.smartem.mapping import KINDS, Kind, Row, new_row
from models.cryoem.smartem.owners import LISTINGS, Owner, Owners
from models.cryoem.smartem.requests import AtlasCreateRequest, Request
from models.cryoem.smartem.writes import Create, Overtaken, Step
from models.sql import chunks, insert_new, insert_or_replace, one_of, table_of

_Key = tuple[Entity, tuple[Any, ...]]


@dataclass
class Draft:
    """A creation on its way, and the rows that it makes: parents first."""

    step: Step
    rows: list[tuple[Kind, Row]] = field(default_factory=list)

    @property
    def write(self) -> Create:
        """Return what is asked."""
        assert isinstance(self.step.write, Create)  # noqa: S101 (made for those only)
        return self.step.write


def draft(steps: Sequence[Step], owners: Owners) -> list[Draft]:
    """Return the rows that creations make; note which of them cannot be for want of a parent."""
    drafts = [Draft(step) for step in steps]
    for one in drafts:
        try:
            one.rows = list(_rows(one, owners))
        except AthanorError as error:
            one.step.error = error
    return [one for one in drafts if one.step.error is None]


def _rows(one: Draft, owners: Owners) -> Iterator[tuple[Kind, Row]]:
    kind, parent = KINDS[one.write.entity], one.write.parent
    owner = None
    if kind.parent is not None and parent is not None:
        owner = owners.require(kind.parent, parent)
        one.step.grid = owner.grid
    for place, request in enumerate(one.write.requests):
        where = f"{place}." if len(one.write.requests) > 1 else ""
        _check_parent(kind, request, owner, where)
        row = new_row(kind, request, owner.grid if owner else None)
        if kind.parent_column is not None and owner is not None:
            row[kind.parent_column] = owner.uuid
        yield kind, row
        if kind.entity is Entity.GRID:
            one.step.grid = row["uuid"]
        if isinstance(request, AtlasCreateRequest):
            yield from _tiles(request, row)


def _tiles(request: AtlasCreateRequest, atlas: Row) -> Iterator[tuple[Kind, Row]]:
    kind = KINDS[Entity.TILE]
    owner = Owner(atlas["uuid"], atlas["grid_uuid"])
    for place, tile in enumerate(request.tiles or ()):
        _check_parent(kind, tile, owner, f"tiles.{place}.")
        yield kind, new_row(kind, tile, owner.grid)


def _check_parent(kind: Kind, request: Request, owner: Owner | None, where: str) -> None:
    """Refuse what says that it belongs to something else than the path does."""
    if owner is None:
        return
    for name, expected in (
        (kind.parent_field, owner.uuid),
        (kind.parent_natural_field, None if owner.natural is None else str(owner.natural)),
    ):
        said = None if name is None else getattr(request, name)
        if said is not None and expected is not None and said != expected:
            raise contradicts(f"{where}{name}", said, expected)


def contradicts(name: str, said: object, expected: object) -> MessageRejected:
    """Return the error that says that a field names something else than the path does."""
    reason = f"is {said}, but it belongs to {expected}"
    return MessageRejected(f"{name}: {reason}", fields=[name], reasons=[reason])


class Taken:
    """Uuids and natural ids that are taken, in the database or by drafts before."""

    def __init__(self, session: Session, drafts: Sequence[Draft]) -> None:
        """Look for those of all drafts: one query per kind."""
        self._session = session
        #: What has the id, and whether it is deleted.
        self._uuids: dict[tuple[Entity, UUID], bool] = {}
        self._naturals: dict[_Key, tuple[UUID, bool]] = {}
        by_kind: dict[Entity, list[Row]] = {}
        for one in drafts:
            for kind, row in one.rows:
                by_kind.setdefault(kind.entity, []).append(row)
        for entity, rows in by_kind.items():
            for part in chunks(rows):
                self._look(KINDS[entity], part)

    def _look(self, kind: Kind, rows: Sequence[Row]) -> None:
        table = table_of(kind.model)
        columns = [table.c[name] for name in kind.natural]
        found = one_of(self._session, table.c.uuid, [row["uuid"] for row in rows])
        named = [row for row in rows if _natural(kind, row) is not None]
        if named:
            alike = [
                one_of(self._session, column, list({row[column.name] for row in named}))
                for column in columns
            ]
            found = or_(found, and_(*alike))
        statement = select(table.c.uuid, table.c.deleted_at, *columns).where(found)
        for uuid, deleted_at, *natural in self._session.execute(statement):
            gone = deleted_at is not None
            self._uuids[kind.entity, uuid] = gone
            if columns:
                self._naturals[kind.entity, tuple(natural)] = (uuid, gone)

    def claim(self, one: Draft) -> None:
        """Take the ids of a draft, or note why it cannot have them."""
        mine: set[tuple[Entity, UUID]] = set()
        naturals: dict[_Key, tuple[UUID, bool]] = {}
        for kind, row in one.rows:
            uuid, natural = row["uuid"], _natural(kind, row)
            word = LISTINGS[kind.entity].name
            if (kind.entity, uuid) in mine:
                reason = f"{uuid} is given twice"
                one.step.error = MessageRejected(f"uuid: {reason}", fields=["uuid"])
                return
            if self._uuids.get((kind.entity, uuid), True) is False:
                one.step.error = Conflict(f"There is {_a(word)} {uuid} already.")
                return
            mine.add((kind.entity, uuid))
            if natural is None:
                continue
            key = (kind.entity, natural)
            other, gone = naturals.get(key) or self._naturals.get(key) or (uuid, False)
            if other != uuid:
                one.step.error = Conflict(_taken(kind, row, other, gone=gone))
                return
            naturals[key] = (uuid, False)
        self._uuids |= dict.fromkeys(mine, False)
        self._naturals |= naturals


def _natural(kind: Kind, row: Row) -> tuple[Any, ...] | None:
    if kind.entity is Entity.MICROGRAPH and row["micrograph_id"] is None:
        # Its name follows from a file's, of which there may be several alike.
        return None
    return tuple(row[name] for name in kind.natural) or None


def _taken(kind: Kind, row: Row, other: UUID, *, gone: bool) -> str:
    deleted = ", which was deleted: make it again under that uuid" if gone else ""
    word = LISTINGS[kind.entity].name
    if kind.entity is Entity.ATLAS:
        return f"grid_uuid: the grid has {word} {other} already{deleted}."
    name = kind.natural_field or "micrograph_id"
    return f"{name}: {row[kind.natural[-1]]} is {word} {other} already{deleted}."


def _a(word: str) -> str:
    return f"an {word}" if word.startswith("a") else f"a {word}"


def insert(session: Session, drafts: Sequence[Draft]) -> None:
    """Insert the rows of all drafts; those that were deleted are brought back as they are new.

    Raises:
        Overtaken: Another process made one of them at the same moment.
    """
    by_kind: dict[Entity, list[Row]] = {}
    for one in drafts:
        for kind, row in one.rows:
            row["life_seq"] = one.step.seq
            by_kind.setdefault(kind.entity, []).append(row)
    for entity, kind in KINDS.items():
        rows = by_kind.get(entity, [])
        for part in chunks(rows):
            made = insert_new(session, kind.model, part, unique="uuid")
            again = [row for row in part if row["uuid"] not in made]
            if again:
                _bring_back(session, kind, again)


def _bring_back(session: Session, kind: Kind, rows: Sequence[Row]) -> None:
    table = table_of(kind.model)
    statement = select(table.c.uuid).where(
        one_of(session, table.c.uuid, [row["uuid"] for row in rows]),
        table.c.deleted_at.is_not(None),
    )
    gone = set(session.scalars(statement.with_for_update()))
    if len(gone) < len(rows):
        raise Overtaken
    insert_or_replace(session, kind.model, rows, unique=["uuid"])
