"""Set-based statements that SQLite and PostgreSQL both understand."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Table, any_, bindparam, column, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import ARRAY
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


def one_of(session: Session, attribute: Any, values: Sequence[Any]) -> ColumnElement[bool]:
    """Return the condition that a column is one of at most `CHUNK` values."""
    if session.get_bind().dialect.name == "sqlite":
        return attribute.in_(values)
    # One array: a thousand parameters would have to be parsed and planned anew each time.
    return attribute == any_(bindparam(None, list(values), type_=ARRAY(attribute.type)))


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
    """Insert the rows whose unique columns are not there yet.

    All rows must have the same keys.
    """
    if rows:
        statement = insert(session, model).on_conflict_do_nothing(index_elements=list(unique))
        _execute(session, statement, rows)


def insert_or_replace(
    session: Session,
    model: type[SQLModel],
    rows: Sequence[dict[str, Any]],
    *,
    unique: Sequence[str],
    unless_newer: str | None = None,
) -> None:
    """Insert the rows; where the unique columns are there already, set all the others.

    All rows must have the same keys, and no two the same unique values. Where the column
    `unless_newer` is greater already, a row stays as it is.
    """
    if not rows:
        return
    statement = insert(session, model)
    new = statement.excluded
    changed = {name: new[name] for name in rows[0] if name not in unique}
    older = None if unless_newer is None else table_of(model).c[unless_newer] <= new[unless_newer]
    statement = statement.on_conflict_do_update(
        index_elements=list(unique), set_=changed, where=older
    )
    _execute(session, statement, rows)


def _execute(
    session: Session,
    statement: postgresql.Insert | sqlite.Insert,
    rows: Sequence[dict[str, Any]],
) -> None:
    if isinstance(statement, sqlite.Insert):
        session.connection().execute(statement, list(rows))
        return
    # One array a column: PostgreSQL's driver would send an executemany row by row.
    types = {name: statement.table.c[name].type for name in rows[0]}
    arrays = [
        bindparam(None, [row[name] for row in rows], type_=ARRAY(kind))
        for name, kind in types.items()
    ]
    columns = [column(name, kind) for name, kind in types.items()]
    values = func.unnest(*arrays).table_valued(*columns).render_derived()
    session.connection().execute(
        statement.from_select(list(types), select(values), include_defaults=False)
    )
