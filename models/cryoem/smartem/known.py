"""What a path names, or that there is no such thing."""

from typing import Any, Final, TypeVar
from uuid import UUID

from sqlalchemy import select
from sqlmodel import Session, SQLModel, col

from core.errors import NotFound
from models.cryoem import renamed
from models.cryoem.tables import Grid, Hole, Micrograph, Square

T = TypeVar("T", bound=SQLModel)

#: What people call the kinds.
_WORDS: Final[dict[type[SQLModel], str]] = {
    Grid: "grid",
    Square: "grid square",
    Hole: "foil hole",
    Micrograph: "micrograph",
}


def known(session: Session, kind: type[T], uuid: UUID) -> T:
    """Return a grid, square, hole or micrograph that there is.

    Raises:
        NotFound: There is none, or it was deleted.
    """
    found = _found(session, kind, uuid)
    if found is None:
        raise NotFound(f"There is no {_WORDS[kind]} {uuid}.")
    return found


def known_by_any_name(session: Session, kind: type[T], uuid: UUID) -> T:
    """Return a square, hole or micrograph that there is, by any of its uuids.

    Raises:
        NotFound: There is none, or it was deleted.
    """
    found = _found(session, kind, uuid)
    if found is None:
        return known(session, kind, renamed.targets(session, [uuid]).get(uuid, uuid))
    return found


def _found(session: Session, kind: type[T], uuid: UUID) -> T | None:
    table: Any = kind
    return session.scalar(
        select(kind).where(col(table.uuid) == uuid, col(table.deleted_at).is_(None))
    )
