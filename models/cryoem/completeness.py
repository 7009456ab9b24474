"""Whether all squares of a grid, and all holes of a square, are known."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, update
from sqlmodel import Session, col

from models import inbox
from models.cryoem import renamed
from models.cryoem.lookup import WORDS, grids_of
from models.cryoem.messages import Entity, GridRegistered, Reference, SquareRegistered
from models.cryoem.tables import Grid, Square
from models.inbox import Missing, Received
from models.sql import chunks, one_of

Item = tuple[Received, GridRegistered | SquareRegistered]


@dataclass
class Told:
    """What a batch of messages that tell of completeness did."""

    done: list[Received] = field(default_factory=list)
    waiting: list[Missing] = field(default_factory=list)
    #: Grids of which it is news that all their squares are known.
    grids: list[UUID] = field(default_factory=list)


def apply(session: Session, items: Sequence[Item], *, now: datetime) -> Told:
    """Note what others say is complete; a grid or square that is not known yet is waited for."""
    named = [(message, one, _about(one)) for message, one in items]
    known = _known(session, [about for _, _, about in named])
    if any(about.uuid not in known for _, _, about in named):
        inbox.before_waiting(session)
        names = renamed.targets(session, (one.uuid for *_, one in named if one.uuid not in known))
        named = [
            (message, one, about._replace(uuid=names.get(about.uuid, about.uuid)))
            for message, one, about in named
        ]
        known = _known(session, [about for _, _, about in named])
    told = Told()
    squares: list[UUID] = []
    for message, one, about in named:
        if about.uuid not in known:
            told.waiting.append(Missing(message, WORDS[about.entity], str(about.uuid)))
            continue
        told.done.append(message)
        if isinstance(one, SquareRegistered):
            squares.append(about.uuid)
        elif note_squares(session, about.uuid, now=now, told=True):
            told.grids.append(about.uuid)
    note_holes(session, squares, now=now)
    return told


def _about(one: GridRegistered | SquareRegistered) -> Reference:
    if isinstance(one, GridRegistered):
        return Reference(Entity.GRID, one.grid_uuid)
    return Reference(Entity.SQUARE, one.target())


def _known(session: Session, references: Sequence[Reference]) -> set[UUID]:
    wanted: dict[Entity, set[UUID]] = {}
    for entity, uuid in references:
        wanted.setdefault(entity, set()).add(uuid)
    return set(grids_of(session, wanted))


def note_squares(session: Session, grid: UUID, *, now: datetime, told: bool = False) -> bool:
    """Note that all squares of a grid are known, if they are; return whether that is news.

    They are when somebody says so (`told`), or when EpuSession.dm has listed squares and there
    are as many, each of which the atlas or its own file describes.
    """
    statement = update(Grid).where(col(Grid.uuid) == grid, col(Grid.squares_known_at).is_(None))
    if not told:
        of_grid = select(func.count()).where(col(Square.grid_uuid) == grid).correlate(Grid)
        by_name_only = of_grid.where(
            col(Square.placed_at).is_(None),
            col(Square.observed_at).is_(None),
            col(Square.deleted_at).is_(None),
        )
        statement = statement.where(
            col(Grid.squares_listed) > 0,
            by_name_only.scalar_subquery() == 0,
            of_grid.scalar_subquery() >= col(Grid.squares_listed),
        )
    return bool(
        session.scalars(
            statement.values(squares_known_at=now)
            .returning(col(Grid.uuid))
            .execution_options(synchronize_session=False)
        ).all()
    )


def note_holes(session: Session, squares: Collection[UUID], *, now: datetime) -> list[UUID]:
    """Note that all holes of squares are known; return those of which that is news."""
    news: list[UUID] = []
    for part in chunks(list(squares)):
        news += session.scalars(
            update(Square)
            .where(one_of(session, col(Square.uuid), part), col(Square.holes_known_at).is_(None))
            .values(holes_known_at=now)
            .returning(col(Square.uuid))
            .execution_options(synchronize_session=False)
        )
    return news
