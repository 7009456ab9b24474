"""Make an organisation the owner of a session, and tell whose one is."""

from collections.abc import Collection, Iterable
from uuid import UUID

from sqlalchemy import select
from sqlmodel import Session, col

from models.sql import chunks, insert_ignore, insert_or_replace
from models.visibility.owners import SessionOwner, owner_rows


def claim(session: Session, keys: Iterable[UUID | str], organisation: str) -> dict[str, str]:
    """Make an organisation the owner of what nobody owns yet; return the owner of each key."""
    rows = owner_rows(keys, organisation)
    insert_ignore(session, SessionOwner, rows, unique=["key"])
    return owners(session, [str(row["key"]) for row in rows])


def give(session: Session, keys: Iterable[UUID | str], organisation: str) -> None:
    """Make an organisation the owner, whoever was it before."""
    insert_or_replace(session, SessionOwner, owner_rows(keys, organisation), unique=["key"])


def owners(session: Session, keys: Collection[str]) -> dict[str, str]:
    """Return key → organisation, of those that belong to one."""
    found: dict[str, str] = {}
    for part in chunks(list(keys)):
        statement = select(col(SessionOwner.key), col(SessionOwner.organisation)).where(
            col(SessionOwner.key).in_(part)
        )
        found |= dict(session.execute(statement).tuples().all())
    return found
