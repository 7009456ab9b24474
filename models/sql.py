"""Set-based statements that SQLite and PostgreSQL both understand."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import Table, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, SQLModel

T = TypeVar("T")

#: Keeps any one statement well below SQLite's limit of 32,766 bound values.
CHUNK = 1_000


def chunks(items: Sequence[T], size: int = CHUNK) -> Iterator[Sequence[T]]:
    """Yield the items in runs of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def table_of(model: type[SQLModel]) -> Table:
    """Return the table behind a SQLModel class."""
    return model.__table__  # pyright: ignore[reportAttributeAccessIssue]


def lock_until_commit(session: Session, name: str, *, shared: bool = False) -> None:
    """Wait for a lock by name, held until the transaction ends; SQLite has one writer anyway."""
    if session.get_bind().dialect.name == "sqlite":
        return
    take = func.pg_advisory_xact_lock_shared if shared else func.pg_advisory_xact_lock
    session.execute(select(take(func.hashtextextended(name, 0))))


def insert(session: Session, model: type[SQLModel]) -> postgresql.Insert | sqlite.Insert:
    """Return the dialect's own INSERT, which knows ON CONFLICT."""
    if session.get_bind().dialect.name == "sqlite":
        return sqlite.insert(table_of(model))
    return postgresql.insert(table_of(model))


def insert_ignore(
    session: Session,
    model: type[SQLModel],
    rows: Sequence[dict[str, Any]],
    *,
    unique: Sequence[str],
) -> None:
    """Insert the rows whose unique columns are not there yet."""
    if rows:
        statement = insert(session, model).on_conflict_do_nothing(index_elements=list(unique))
        session.connection().execute(statement, list(rows))


def insert_or_replace(
    session: Session,
    model: type[SQLModel],
    rows: Sequence[dict[str, Any]],
    *,
    unique: Sequence[str],
) -> None:
    """Insert the rows; where the unique columns are there already, set all the other columns.

    All rows must have the same keys.
    """
    if not rows:
        return
    statement = insert(session, model)
    changed = {name: statement.excluded[name] for name in rows[0] if name not in unique}
    statement = statement.on_conflict_do_update(index_elements=list(unique), set_=changed)
    session.connection().execute(statement, list(rows))
