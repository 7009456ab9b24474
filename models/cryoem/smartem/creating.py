"""Make what clients ask to be made: set-based, each request whole or not at all."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import select
from sqlmodel import Session

from core.errors import AthanorError, MessageRejected
from models.cryoem import renamed
from models.cryoem.messages import Entity
from models.cryoem.smartem.mapping import KINDS, Kind, Row, derived_uuid, new_row
from models.cryoem.smartem.owners import Owner, Owners
from models.cryoem.smartem.requests import AtlasCreateRequest, Request
from models.cryoem.smartem.writes import Create, Overtaken, Step
from models.sql import chunks, insert_new, insert_or_replace, one_of, table_of


@dataclass
class Draft:
    """A creation on its way, and the rows that it makes: parents first."""

    step: Step
    rows: list[tuple[Kind, Row]] = field(default_factory=list)
    #: What was asked of each row, as long as none is known to be there.
    requests: list[Request] = field(default_factory=list)
    #: What is there already under another uuid: the row as asked for, with its own uuid.
    found: list[tuple[Kind, Row, Request]] = field(default_factory=list)
    #: Other names of its rows, and of what it found.
    aliases: list[Row] = field(default_factory=list)

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
            for kind, row, request in _rows(one, owners):
                one.rows.append((kind, row))
                one.requests.append(request)
        except AthanorError as error:
            one.step.error = error
    return [one for one in drafts if one.step.error is None]


def _rows(one: Draft, owners: Owners) -> Iterator[tuple[Kind, Row, Request]]:
    kind, parent = KINDS[one.write.entity], one.write.parent
    owner = None
    if kind.parent is not None and parent is not None:
        owner = owners.require(kind.parent, parent)
        one.step.grid = owner.grid
    for place, request in enumerate(one.write.requests):
        where = f"{place}." if len(one.write.requests) > 1 else ""
        _check_parent(kind, request, owner, where, owners)
        row = new_row(kind, request, owner.grid if owner else None)
        if kind.parent_column is not None and owner is not None:
            row[kind.parent_column] = owner.uuid
        yield kind, row, request
        if kind.entity is Entity.GRID:
            one.step.grid = row["uuid"]
        if isinstance(request, AtlasCreateRequest):
            yield from _tiles(request, row, owners)


def _tiles(
    request: AtlasCreateRequest, atlas: Row, owners: Owners
) -> Iterator[tuple[Kind, Row, Request]]:
    kind = KINDS[Entity.TILE]
    owner = Owner(atlas["uuid"], atlas["grid_uuid"])
    for place, tile in enumerate(request.tiles or ()):
        _check_parent(kind, tile, owner, f"tiles.{place}.", owners)
        yield kind, new_row(kind, tile, owner.grid), tile


def _check_parent(
    kind: Kind, request: Request, owner: Owner | None, where: str, owners: Owners
) -> None:
    """Refuse what says that it belongs to something else than the path does."""
    if owner is None:
        return
    for name, expected in (
        (kind.parent_field, owner.uuid),
        (kind.parent_natural_field, None if owner.natural is None else str(owner.natural)),
    ):
        said = None if name is None else getattr(request, name)
        if name is not None and name == kind.parent_field:
            said = owners.own(kind.parent, said)
        if said is not None and expected is not None and said != expected:
            raise contradicts(f"{where}{name}", said, expected)


def contradicts(name: str, said: object, expected: object) -> MessageRejected:
    """Return the error that says that a field names something else than the path does."""
    reason = f"is {said}, but it belongs to {expected}"
    return MessageRejected(f"{name}: {reason}", fields=[name], reasons=[reason])


def alias_of(kind: Kind, uuid: UUID, own: UUID, grid: UUID | None) -> Row:
    """Return the row that remembers another name of something."""
    return {"uuid": uuid, "target_uuid": own, "entity": kind.entity.value, "grid_uuid": grid}


def insert(session: Session, drafts: Sequence[Draft]) -> None:
    """Insert the rows of all drafts; those that were deleted are brought back as they are new.

    The uuids that follow from EPU's ids become other names of those that clients chose.

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
    for one in drafts:
        one.aliases += _derived(one)
    for part in chunks([alias for one in drafts for alias in one.aliases]):
        renamed.put(session, part)


def _derived(one: Draft) -> Iterator[Row]:
    if one.step.grid is None:
        return
    for kind, row in one.rows:
        uuid = derived_uuid(kind, row, one.step.grid)
        if uuid is not None and uuid != row["uuid"]:
            yield alias_of(kind, uuid, row["uuid"], one.step.grid)


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
