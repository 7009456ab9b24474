"""Events of entities: that one exists, which makes it known, or that it no longer does."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlmodel import Session, SQLModel, col

from core.errors import MessageRejected
from models import inbox
from models.cryoem import renamed
from models.cryoem.entities import areas_of, life
from models.cryoem.lookup import WORDS, grids_by_any_name, grids_of
from models.cryoem.messages import (
    AtlasEvent,
    Entity,
    HoleEvent,
    LifeCycle,
    MicrographEvent,
    Reference,
    SquareEvent,
    SquareLowmagEvent,
    TileEvent,
    deletes,
)
from models.cryoem.tables import Acquisition, Atlas, AtlasTile, Grid, Hole, Micrograph, Square
from models.inbox import Missing, Received
from models.merge import Patch, merge
from models.sql import chunks, lock_until_commit, one_of

Item = tuple[Received, LifeCycle]

#: Kind → its table and the column of what it belongs to; parents first.
_TABLES: Mapping[Entity, tuple[type[SQLModel], str]] = {
    Entity.ACQUISITION: (Acquisition, "uuid"),
    Entity.GRID: (Grid, "acquisition_uuid"),
    Entity.ATLAS: (Atlas, "grid_uuid"),
    Entity.TILE: (AtlasTile, "atlas_uuid"),
    Entity.SQUARE: (Square, "grid_uuid"),
    Entity.HOLE: (Hole, "square_uuid"),
    Entity.MICROGRAPH: (Micrograph, "hole_uuid"),
}


@dataclass
class Lived:
    """What a batch of events did."""

    done: list[Received] = field(default_factory=list)
    waiting: list[Missing] = field(default_factory=list)
    #: Entities that were not known before.
    new: list[UUID] = field(default_factory=list)


@dataclass(frozen=True)
class _Event:
    message: Received
    event: LifeCycle
    grid: UUID
    target: UUID
    parent: Reference | None


def apply(session: Session, items: Sequence[Item], *, now: datetime) -> Lived:
    """Make entities known, bring back those that were deleted, and mark those that are.

    An event counts from when it came in: an older one changes nothing that a newer one, or a
    newer file, has said. What is about something not known yet is listed in `waiting`.

    Raises:
        MessageRejected: An event contradicts what is known, or what follows from its ids.
    """
    lived = _apply(session, items, now)
    if lived.waiting:
        inbox.before_waiting(session)
        missing = {one.message for one in lived.waiting}
        again = _apply(session, [item for item in items if item[0] in missing], now)
        lived.done += again.done
        lived.new += again.new
        lived.waiting = again.waiting
    return lived


def _apply(session: Session, items: Sequence[Item], now: datetime) -> Lived:
    lived = Lived()
    located = _located(session, items, lived)
    grids = {grid for *_, grid in located}
    for grid in sorted(grids, key=str):
        lock_until_commit(session, areas_of(grid))
    # Only now: what nobody named yet must not get a name meanwhile.
    names = _names(session, located)
    events = [_event(*one, names) for one in located]
    for entity in _TABLES:
        of_kind = [one for one in events if one.event.entity is entity]
        if of_kind:
            _apply_kind(session, entity, of_kind, lived, now)
    session.execute(
        update(Grid)
        .where(col(Grid.uuid).in_(grids))
        .values(last_news_at=now)
        .execution_options(synchronize_session=False)
    )
    return lived


def _located(
    session: Session, items: Sequence[Item], lived: Lived
) -> list[tuple[Received, LifeCycle, UUID]]:
    """Return the events with their grids; what no known thing tells the grid of must wait."""
    wanted: dict[Entity, set[UUID]] = {}
    for _, event in items:
        for entity, uuid in () if event.grid() else event.references():
            wanted.setdefault(entity, set()).add(uuid)
    grids = grids_by_any_name(session, wanted)
    located: list[tuple[Received, LifeCycle, UUID]] = []
    for message, event in items:
        grid = event.grid()
        if grid is None:
            known = (grids[one.uuid] for one in event.references() if one.uuid in grids)
            grid = next(known, None)
        if grid is None:
            lived.waiting.append(_missing(message, event.references()[0]))
            continue
        located.append((message, event, grid))
    return located


def _names(session: Session, located: Sequence[tuple[Received, LifeCycle, UUID]]) -> renamed.Names:
    """Return the rows' own uuids of what events name, or of what follows from their ids."""
    wanted: set[UUID | None] = set()
    for _, event, grid in located:
        parent = event.parent(grid)
        wanted |= {event.uuid, event.follows(grid), None if parent is None else parent.uuid}
    return renamed.targets(session, (uuid for uuid in wanted if uuid is not None))


def _event(message: Received, event: LifeCycle, grid: UUID, names: renamed.Names) -> _Event:
    target, follows = event.target(grid), event.follows(grid)
    own = names.get(target, target)
    # Which acquisition a grid belongs to is looked at with what is known of it.
    if (
        follows is not None
        and event.entity is not Entity.GRID
        and own != names.get(follows, follows)
    ):
        raise MessageRejected(
            f"uuid: is not the uuid that follows from grid {grid} and the natural id",
            fields=["uuid"],
        )
    parent = event.parent(grid)
    if parent is not None:
        parent = parent._replace(uuid=names.get(parent.uuid, parent.uuid))
    return _Event(message, event, grid, own, parent)


def _apply_kind(
    session: Session, entity: Entity, events: Sequence[_Event], lived: Lived, now: datetime
) -> None:
    model, _ = _TABLES[entity]
    known = _owners(session, entity, {one.target for one in events})
    parents: dict[Entity, set[UUID]] = {}
    for one in events:
        if one.parent is not None:
            parents.setdefault(one.parent.entity, set()).add(one.parent.uuid)
    parent_grids = grids_of(session, parents)
    patches: list[Patch] = []
    # What is created first, so that what the same batch deletes is known.
    for one in sorted(events, key=lambda one: deletes(one.event)):
        gone = deletes(one.event)
        if one.target in known:
            _check(one, known[one.target], parent_grids)
        elif gone or not _can_make(one):
            lived.waiting.append(_missing(one.message, Reference(entity, one.target)))
            continue
        else:
            assert one.parent is not None  # noqa: S101 (_can_make)
            if parent_grids.get(one.parent.uuid) is None:
                lived.waiting.append(_missing(one.message, one.parent))
                continue
            known[one.target] = (one.grid, one.parent.uuid)
            _check(one, known[one.target], parent_grids)
            lived.new.append(one.target)
            patches.append(Patch(model, {"uuid": one.target, **dict(_fields(one))}))
        lived.done.append(one.message)
        if not (gone and isinstance(one.event, SquareLowmagEvent)):
            patches.append(life(model, one.target, one.message.seq, now if gone else None))
    merge(session, patches)


def _owners(session: Session, entity: Entity, uuids: set[UUID]) -> dict[UUID, tuple[UUID, UUID]]:
    """Return, for entities that are known, their grid and what they belong to."""
    model, parent = _TABLES[entity]
    uuid_column, parent_column = _column(model, "uuid"), _column(model, parent)
    belongs: dict[UUID, UUID] = {}
    for part in chunks(list(uuids)):
        statement = select(uuid_column, parent_column).where(one_of(session, uuid_column, part))
        belongs |= {uuid: owner for uuid, owner in session.execute(statement)}  # noqa: C416 (a Row is no pair to dict())
    grids = grids_of(session, {entity: set(belongs)})
    return {uuid: (grids[uuid], owner) for uuid, owner in belongs.items() if uuid in grids}


def _column(model: type[SQLModel], name: str) -> Any:
    return getattr(model, name)


def _missing(message: Received, reference: Reference) -> Missing:
    return Missing(message, WORDS[reference.entity], str(reference.uuid))


def _can_make(one: _Event) -> bool:
    """Return whether the event says all that a row needs: natural id and parent.

    A grid needs the name and start that only its EpuSession.dm tells.
    """
    return (
        one.parent is not None
        and one.event.entity not in (Entity.ACQUISITION, Entity.GRID)
        and one.event.follows(one.grid) == one.target
    )


def _check(one: _Event, owner: tuple[UUID, UUID], parent_grids: Mapping[UUID, UUID]) -> None:
    grid, belongs_to = owner
    # That of an acquisition which a client named does not follow from it.
    if grid != one.grid and one.event.entity is not Entity.ACQUISITION:
        raise MessageRejected(f"grid_uuid: {one.target} is on grid {grid}", fields=["grid_uuid"])
    if one.parent is None:
        return
    field_name = f"{one.parent.entity}_uuid"
    if parent_grids.get(one.parent.uuid, grid) != grid:
        raise MessageRejected(
            f"{field_name}: {one.parent.uuid} is not on grid {grid}", fields=[field_name]
        )
    if belongs_to != one.parent.uuid:
        raise MessageRejected(
            f"{field_name}: {one.target} belongs to {WORDS[one.parent.entity]} {belongs_to}",
            fields=[field_name],
        )


def _fields(one: _Event) -> Iterator[tuple[str, Any]]:
    """Yield what the event says of a new entity."""
    parent = one.parent.uuid if one.parent else None
    match one.event:
        case AtlasEvent(id=ident):
            yield from (("grid_uuid", one.grid), ("epu_id", ident))
        case TileEvent(id=ident):
            yield from (("atlas_uuid", parent), ("tile_id", ident))
        case SquareEvent(gridsquare_id=ident) | SquareLowmagEvent(gridsquare_id=ident):
            yield from (("grid_uuid", one.grid), ("square_id", ident))
        case HoleEvent(foilhole_id=ident):
            yield from (("grid_uuid", one.grid), ("square_uuid", parent), ("hole_id", ident))
        case MicrographEvent(micrograph_id=ident):
            yield from (("grid_uuid", one.grid), ("hole_uuid", parent), ("stem", ident))
        case _:
            return
