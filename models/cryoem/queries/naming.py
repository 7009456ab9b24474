"""Find a session by what a person calls it."""

from uuid import UUID

from sqlalchemy import or_, select
from sqlmodel import Session, col

from core.errors import NotFound
from models.cryoem.tables import Acquisition, Grid


def as_named(text: str) -> UUID | str:
    """Return what a person names a session by: a grid's uuid, or else a name."""
    try:
        return UUID(text)
    except ValueError:
        return text


def find_session(session: Session, named: UUID | str | None) -> UUID:
    """Return the grid of a session by its uuid or its name; for None, of the latest started.

    Raises:
        NotFound: There is no such session, or several of the name.
    """
    started = col(Acquisition.started_at).desc().nulls_last()
    statement = (
        select(col(Grid.uuid))
        .join(Acquisition, col(Acquisition.uuid) == col(Grid.acquisition_uuid))
        .order_by(started, col(Grid.uuid))
        .limit(1 if named is None else 2)
    )
    if isinstance(named, UUID):
        statement = statement.where(col(Grid.uuid) == named)
    elif named is not None:
        statement = statement.where(or_(col(Acquisition.name) == named, col(Grid.name) == named))
    found = list(session.scalars(statement))
    if not found:
        what = "There are no sessions yet." if named is None else f"There is no session {named}."
        raise NotFound(f"{what} `athanor sessions list` shows them.")
    if len(found) > 1:
        raise NotFound(f"Several sessions are named {named}: name one by its grid's uuid.")
    return found[0]
