"""Legal holds: sessions that nobody deletes until they are released."""

from collections.abc import Collection, Iterable
from datetime import datetime
from uuid import UUID

from pydantic import Field
from sqlalchemy import select
from sqlmodel import Session, col

from core.errors import NotFound, SessionHeld, SessionLeaving
from models.cryoem.tables import Grid
from models.paging import View
from models.retention.tables import SessionHold, SessionRemoval
from models.sql import chunks, one_of


class Hold(View):
    """Why a session may not be deleted."""

    grid_uuid: UUID = Field(description="The session's grid.")
    reason: str = Field(description="Why it is held.")
    held_by: str = Field(description="Who holds it.")
    held_at: datetime = Field(description="Since when.")


def held(session: Session, grids: Collection[UUID]) -> dict[UUID, Hold]:
    """Return the holds on those of the grids that are held."""
    found: dict[UUID, Hold] = {}
    for part in chunks(list(grids)):
        rows = session.scalars(
            select(SessionHold).where(one_of(session, col(SessionHold.grid_uuid), part))
        )
        found |= {row.grid_uuid: Hold.model_validate(row) for row in rows}
    return found


def get(session: Session, grid: UUID) -> Hold:
    """Return what holds a session.

    Raises:
        NotFound: It is not held.
    """
    row = session.get(SessionHold, grid)
    if row is None:
        raise NotFound(f"Session {grid} is not held.")
    return Hold.model_validate(row)


def require_released(session: Session, grids: Iterable[UUID]) -> None:
    """Do nothing if none of the grids is held.

    Raises:
        SessionHeld: One is.
    """
    for one in held(session, list(grids)).values():
        raise SessionHeld(one.grid_uuid, one.reason, one.held_by)


def hold(session: Session, grid: UUID, *, reason: str, by: str, now: datetime) -> Hold:
    """Hold a session; one that is held already gets the new reason.

    Raises:
        NotFound: There is no such session.
        SessionLeaving: Retention has begun to delete it.
    """
    # Locked: who begins to delete it locks it too, and looks for holds then.
    known = session.scalar(select(col(Grid.uuid)).where(col(Grid.uuid) == grid).with_for_update())
    if known is None:
        raise NotFound(f"There is no session with grid {grid}.")
    removal = session.get(SessionRemoval, grid)
    if removal is not None and removal.ended_at is None:
        raise SessionLeaving(grid, removal.archive)
    row = session.get(SessionHold, grid)
    if row is None:
        row = SessionHold(grid_uuid=grid, reason=reason, held_by=by, held_at=now)
        session.add(row)
    else:
        row.reason, row.held_by, row.held_at = reason, by, now
    session.flush()
    return Hold.model_validate(row)


def release(session: Session, grid: UUID) -> Hold:
    """Release a session; return what held it.

    Raises:
        NotFound: It is not held.
    """
    was = get(session, grid)
    session.delete(session.get(SessionHold, grid))
    session.flush()
    return was
