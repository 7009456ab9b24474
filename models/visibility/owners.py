"""Which organisation (visit or group) a session belongs to.

What is in no row here belongs to nobody in particular: only who sees all sees it. A session is
somebody's before anything of it is in the tables: with the first message that names it.
"""

from collections.abc import Collection, Iterable
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, or_, select
from sqlmodel import Field, SQLModel

from core.caller import current_caller
from core.clock import utcnow
from models import base  # noqa: F401 (names constraints, so it goes before any table)


class SessionOwner(SQLModel, table=True):
    """To whom an acquisition, a grid, or an agent's session belongs."""

    __tablename__ = "session_owner"  # pyright: ignore[reportAssignmentType]

    #: Uuid of the acquisition or grid as text, which is the key of its messages; or the id of
    #: the agent's session.
    key: str = Field(primary_key=True)
    #: The same as uuid; NULL for what has none.
    uuid: UUID | None = Field(default=None, unique=True)
    organisation: str = Field(index=True)
    #: Who brought it.
    claimed_by: str
    claimed_at: datetime


def owned_by(organisations: Collection[str], what: str = "uuid") -> Select[Any]:
    """Return the query for the uuids (or keys) that belong to one of the organisations."""
    table = SessionOwner.__table__  # pyright: ignore[reportAttributeAccessIssue]
    return select(table.c[what]).where(table.c.organisation.in_(sorted(organisations)))


def owners_of(grid: str) -> Select[Any]:
    """Return the query for the organisation of a grid, by its uuid as text."""
    owner = SessionOwner.__table__  # pyright: ignore[reportAttributeAccessIssue]
    grids = SQLModel.metadata.tables["grid"]
    with suppress(ValueError):
        acquisition = select(grids.c.acquisition_uuid).where(grids.c.uuid == UUID(grid))
        either = or_(owner.c.key == grid, owner.c.uuid.in_(acquisition))
        return select(owner.c.organisation).where(either)
    return select(owner.c.organisation).where(owner.c.key == grid)


def owner_rows(keys: Iterable[UUID | str], organisation: str) -> list[dict[str, object]]:
    """Return the rows that make the organisation the owner, claimed by the current caller."""
    now = utcnow()
    return [
        {
            "key": str(key),
            "uuid": key if isinstance(key, UUID) else None,
            "organisation": organisation,
            "claimed_by": current_caller().name,
            "claimed_at": now,
        }
        for key in dict.fromkeys(keys)
    ]
