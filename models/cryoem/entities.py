"""Put what the agent read in EPU's files into the tables, whatever the order it comes in."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import zip_longest
from uuid import UUID

from sqlalchemy import select, update
from sqlmodel import Session, SQLModel, col

from core.errors import UnknownParent
from domains.cryoem import ids
from models.cryoem import renamed
from models.cryoem.epu_rows import instrument_patch, patches_of
from models.cryoem.messages import (
    EpuImageMessage,
    EpuMessage,
    EpuSessionMessage,
    EpuSquareMessage,
)
from models.cryoem.tables import (
    Acquisition,
    Atlas,
    AtlasTile,
    Grid,
    Hole,
    Micrograph,
    Square,
    TileSquare,
)
from models.merge import Merged, Patch, merge
from models.sql import chunks, lock_until_commit

#: Names of entities as people see them in summaries, parents first.
ENTITY_NAMES: Mapping[type[SQLModel], str] = {
    Acquisition: "acquisitions",
    Grid: "grids",
    Atlas: "atlases",
    AtlasTile: "tiles",
    Square: "squares",
    TileSquare: "tile-square links",
    Hole: "holes",
    Micrograph: "micrographs",
}

#: What has a life of its own: it may be said to be deleted.
_LIVING = frozenset(ENTITY_NAMES) - {TileSquare}


@dataclass(frozen=True)
class Count:
    """How many rows of one kind a batch concerned."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0


@dataclass(frozen=True)
class Applied:
    """What a batch of EPU messages did."""

    counts: Mapping[str, Count]
    #: Squares and holes that were not known before: whatever waits for them may go on.
    new_areas: tuple[UUID, ...] = ()
    new_grids: tuple[UUID, ...] = field(default=())
    #: Acquisitions, atlases, tiles and micrographs that were not known before.
    new_others: tuple[UUID, ...] = ()
    #: Of the uuids that follow from EPU's ids, those of rows that a client named → the rows'.
    names: Mapping[UUID, UUID] = field(default_factory=dict)


def areas_of(grid: UUID) -> str:
    """Return the name of the lock of those who make rows of a grid."""
    return f"areas of {grid}"


def life(model: type[SQLModel], uuid: UUID, seq: int, deleted_at: datetime | None) -> Patch:
    """Return the patch by which the message `seq` says whether an entity exists."""
    values = {"uuid": uuid, "life_seq": seq, "deleted_at": deleted_at}
    return Patch(model, values, clock="life_seq", quiet=True)


def apply_epu(
    session: Session, messages: Sequence[EpuMessage], *, now: datetime, seqs: Sequence[int] = ()
) -> Applied:
    """Upsert everything that the messages say, in one read and one write per table.

    `seqs` tells when each message came in: what it shows was not deleted before then.

    Raises:
        UnknownParent: A message is about a grid or hole that is not known yet.
        MessageRejected: A session without name and id, or an image that names nothing.
    """
    grids = {message.grid_uuid for message in messages}
    for grid in sorted(grids, key=str):
        lock_until_commit(session, areas_of(grid))
    announced = {m.grid_uuid for m in messages if isinstance(m, EpuSessionMessage)}
    acquisitions = _acquisitions(session, grids)
    for grid in grids - announced - set(acquisitions):
        raise UnknownParent("grid", str(grid))
    orphans = _holes_without_square(session, messages)
    patches: list[Patch] = []
    counted: list[int | None] = []
    for message, seq in zip_longest(messages, seqs):
        patches += patches_of(message, orphans)
        counted += [seq] * (len(patches) - len(counted))
        if isinstance(message, EpuSessionMessage):
            acquisitions[message.grid_uuid] = ids.acquisition_uuid(message.manifest)
    patches, names = renamed.in_patches(session, patches, grids)
    shown = {
        (one.model, one.values["uuid"]): seq
        for one, seq in zip(patches, counted, strict=True)
        if seq is not None and one.model in _LIVING
    }
    patches += [life(model, uuid, seq, None) for (model, uuid), seq in shown.items()]
    # Images say which instrument took them; that belongs to their acquisition.
    for message in messages:
        if isinstance(message, EpuImageMessage) and message.grid_uuid in acquisitions:
            patches.append(instrument_patch(acquisitions[message.grid_uuid], message.manifest))
    done = merge(session, patches)
    session.execute(
        update(Grid)
        .where(col(Grid.uuid).in_(grids))
        .values(last_news_at=now)
        .execution_options(synchronize_session=False)
    )
    return _applied(done, names)


def _applied(done: Mapping[type[SQLModel], Merged], names: Mapping[UUID, UUID]) -> Applied:
    counts = {
        name: Count(len(result.new), len(result.changed), len(result.unchanged))
        for model, name in ENTITY_NAMES.items()
        if (result := done.get(model)) is not None
    }
    areas = [key[0] for model in (Square, Hole) for key in done.get(model, Merged()).new]
    grids = [key[0] for key in done.get(Grid, Merged()).new]
    others = [
        key[0]
        for model in (Acquisition, Atlas, AtlasTile, Micrograph)
        for key in done.get(model, Merged()).new
    ]
    return Applied(counts, tuple(areas), tuple(grids), tuple(others), names)


def _acquisitions(session: Session, grids: set[UUID]) -> dict[UUID, UUID]:
    statement = select(col(Grid.uuid), col(Grid.acquisition_uuid)).where(col(Grid.uuid).in_(grids))
    return {grid: acquisition for grid, acquisition in session.execute(statement)}  # noqa: C416 (Row is no tuple to dict())


def _holes_without_square(
    session: Session, messages: Sequence[EpuMessage]
) -> dict[UUID, UUID | None]:
    """Return hole uuid → square uuid for images whose path does not tell the square."""
    holes = {
        ids.hole_uuid(m.grid_uuid, m.name.hole_id)
        for m in messages
        if isinstance(m, EpuImageMessage)
        and m.name.hole_id is not None
        and m.name.square_id is None
    }
    if not holes:
        return {}
    found: dict[UUID, UUID | None] = {
        uuid: ids.square_uuid(m.grid_uuid, m.manifest.square_id)
        for m in messages
        if isinstance(m, EpuSquareMessage)
        for hole in m.manifest.holes
        if (uuid := ids.hole_uuid(m.grid_uuid, hole.hole_id)) in holes
    }
    found |= _squares_of(session, holes)
    names = renamed.targets(session, holes - set(found))
    squares = _squares_of(session, names.values())
    return found | {hole: squares[own] for hole, own in names.items() if own in squares}


def _squares_of(session: Session, holes: Iterable[UUID]) -> dict[UUID, UUID | None]:
    found: dict[UUID, UUID | None] = {}
    for part in chunks(list(holes)):
        statement = select(col(Hole.uuid), col(Hole.square_uuid)).where(col(Hole.uuid).in_(part))
        found |= {hole: square for hole, square in session.execute(statement)}  # noqa: C416 (as above)
    return found
