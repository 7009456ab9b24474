"""Set-based statements that SQLite and PostgreSQL both understand."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    CursorResult,
    FromClause,
    Table,
    TableValuedAlias,
    any_,
    bindparam,
    cast,
    column,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import NullType, TypeEngine
from sqlmodel import Session, SQLModel

from models.arrays import array_literal
from models.visibility.enforcement import CHECKED, UNSEEN, check_rows, conditions

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
    """Wait for a lock by name, held until the transaction ends.

    SQLite has one writer at a time: to be that one is the lock, whatever its name.
    """
    if session.get_bind().dialect.name == "sqlite":
        # The transaction begins with its first statement, not before: what the caller looks
        # at next must not be older than the lock.
        session.connection()
        return
    session.execute(select(until_commit(name, shared=shared)))


def until_commit(name: str, *, shared: bool = False) -> ColumnElement[Any]:
    """Return what takes a lock by name on PostgreSQL, for a statement that asks for more."""
    take = func.pg_advisory_xact_lock_shared if shared else func.pg_advisory_xact_lock
    return take(func.hashtextextended(name, 0))


def one_of(session: Session, attribute: Any, values: Sequence[Any]) -> ColumnElement[bool]:
    """Return the condition that a column is one of at most `CHUNK` values."""
    if session.get_bind().dialect.name == "sqlite":
        return attribute.in_(values)
    # One array: a thousand parameters would have to be parsed and planned anew each time.
    return attribute == any_(_array(values, attribute.type))


def insert(session: Session, model: type[SQLModel]) -> postgresql.Insert | sqlite.Insert:
    """Return the dialect's own INSERT, which knows ON CONFLICT."""
    if session.get_bind().dialect.name == "sqlite":
        return sqlite.insert(table_of(model))
    return postgresql.insert(table_of(model))


def insert_all(session: Session, model: type[SQLModel], rows: Sequence[dict[str, Any]]) -> None:
    """Insert the rows; that one of them is there already is an IntegrityError.

    All rows must have the same keys.
    """
    if not rows:
        return
    check_rows(session, table_of(model), rows)
    statement = insert(session, model)
    if isinstance(statement, postgresql.Insert):
        _insert_unnested(session, table_of(model), rows)
        return
    session.connection().execute(statement, list(rows), execution_options=CHECKED)


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
    if not rows:
        return
    check_rows(session, table_of(model), rows)
    statement = insert(session, model).on_conflict_do_nothing(index_elements=list(unique))
    if isinstance(statement, postgresql.Insert):
        _insert_unnested(session, table_of(model), rows, unique)
        return
    session.connection().execute(statement, list(rows), execution_options=CHECKED)


def insert_new(
    session: Session, model: type[SQLModel], rows: Sequence[dict[str, Any]], *, unique: str
) -> set[Any]:
    """Insert the rows whose unique column is not there yet; return its values that are new.

    All rows must have the same keys, and no two the same unique value.
    """
    if not rows:
        return set()
    check_rows(session, table_of(model), rows)
    key = table_of(model).c[unique]
    statement = insert(session, model).on_conflict_do_nothing(index_elements=[unique])
    if isinstance(statement, postgresql.Insert):
        made = _insert_unnested(session, table_of(model), rows, [unique], returning=unique)
        return set(made.scalars())
    # A driver of SQLite returns nothing of many rows; but nobody else writes meanwhile.
    known: set[Any] = set()
    for part in chunks([row[unique] for row in rows]):
        known |= set(session.scalars(select(key).where(key.in_(part)), execution_options=UNSEEN))
    new = [row for row in rows if row[unique] not in known]
    if new:
        session.connection().execute(statement, new, execution_options=CHECKED)
    return {row[unique] for row in new}


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
    table = table_of(model)
    check_rows(session, table, rows)
    statement = insert(session, model)
    if isinstance(statement, postgresql.Insert):
        _insert_unnested(session, table, rows, unique, replace=True, unless_newer=unless_newer)
        return
    new = statement.excluded
    changed = {name: new[name] for name in rows[0] if name not in unique}
    older = None if unless_newer is None else table.c[unless_newer] <= new[unless_newer]
    statement = statement.on_conflict_do_update(
        index_elements=list(unique), set_=changed, where=older
    )
    session.connection().execute(statement, list(rows), execution_options=CHECKED)


def update_each(
    session: Session,
    model: type[SQLModel],
    rows: Sequence[dict[str, Any]],
    *where: ColumnElement[bool],
    key: str,
    **values: Any,
) -> int:
    """Give each row columns of its own, and `values` to all; return how many there were.

    All rows must have the same names, and no two the same key. The conditions have no list of
    parameters.
    """
    if not rows:
        return 0
    table = table_of(model)
    where = (*where, *conditions(session, table))
    names = [name for name in rows[0] if name != key]
    if session.get_bind().dialect.name == "sqlite":
        each = {name: bindparam(f"new_{name}", type_=table.c[name].type) for name in names}
        found = table.c[key] == bindparam(f"new_{key}", type_=table.c[key].type)
        statement = update(table).where(found, *where).values({**values, **each})
        parameters = [{f"new_{name}": value for name, value in row.items()} for row in rows]
        done = session.connection().execute(statement, parameters, execution_options=CHECKED)
        return done.rowcount
    new = _as_rows(table, rows, [key, *names])
    statement = (
        update(table)
        .where(table.c[key] == new.c[key], *where)
        .values({**values, **{name: new.c[name] for name in names}})
    )
    return session.connection().execute(statement, execution_options=CHECKED).rowcount


def _insert_unnested(
    session: Session,
    table: Table,
    rows: Sequence[dict[str, Any]],
    unique: Sequence[str] = (),
    *,
    replace: bool = False,
    unless_newer: str | None = None,
    returning: str | None = None,
) -> CursorResult[Any]:
    names, fixed = tuple(rows[0]), _fixed(rows)
    if len(fixed) == len(names):
        fixed.popitem()
    text = _insertion(
        table, names, frozenset(fixed), tuple(unique), replace, unless_newer, returning
    )
    values = {
        f"v{place}": array_literal(
            [fixed[name]] if name in fixed else [row[name] for row in rows], table.c[name].type
        )
        for place, name in enumerate(names)
    }
    return session.connection().exec_driver_sql(text, values, execution_options=CHECKED)


@lru_cache(maxsize=1_000)
def _insertion(
    table: Table,
    names: tuple[str, ...],
    fixed: frozenset[str],
    unique: tuple[str, ...],
    replace: bool,
    unless_newer: str | None,
    returning: str | None,
) -> str:
    """Return the text of an insertion: SQLAlchemy would write one with ON CONFLICT anew each time.

    Each column is a parameter, an array; those that are `fixed` have one value for all rows.
    """
    dialect = postgresql.dialect()
    quote = dialect.identifier_preparer.quote
    arrays = {
        name: f"CAST(%(v{place})s AS {ARRAY(table.c[name].type).compile(dialect=dialect)})"
        for place, name in enumerate(names)
    }
    varied = [name for name in names if name not in fixed]
    chosen = [f"({arrays[name]})[1]" if name in fixed else f"r.{quote(name)}" for name in names]
    into, read = ", ".join(map(quote, names)), ", ".join(chosen)
    source = f"unnest({', '.join(arrays[name] for name in varied)})"
    rows = ", ".join(map(quote, varied))
    # Names of our own tables and columns, each quoted.
    text = f"INSERT INTO {quote(table.name)} ({into}) SELECT {read} FROM {source} AS r({rows})"  # noqa: S608
    if unique:
        changed = [name for name in names if name not in unique] if replace else []
        act = _replacement(table, changed, unless_newer) if changed else "NOTHING"
        text += f" ON CONFLICT ({', '.join(map(quote, unique))}) DO {act}"
    return text if returning is None else f"{text} RETURNING {quote(returning)}"


def _replacement(table: Table, changed: Sequence[str], unless_newer: str | None) -> str:
    """Return what an insertion does to a row that is there already."""
    quote = postgresql.dialect().identifier_preparer.quote
    new = [f"{quote(name)} = excluded.{quote(name)}" for name in changed]
    text = f"UPDATE SET {', '.join(new)}"
    if unless_newer is None:
        return text
    number = quote(unless_newer)
    return f"{text} WHERE {quote(table.name)}.{number} <= excluded.{number}"


def _as_rows(
    table: FromClause, rows: Sequence[dict[str, Any]], names: Sequence[str]
) -> TableValuedAlias:
    # One array a column: PostgreSQL's driver would send an executemany row by row.
    arrays = [_array([row[name] for row in rows], table.c[name].type) for name in names]
    columns = [column(name, table.c[name].type) for name in names]
    return func.unnest(*arrays).table_valued(*columns).render_derived()


def _fixed(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the columns that have one value in all rows, which is then sent once."""
    if len(rows) == 1:
        return {}
    first, last = rows[0], rows[-1]
    # Most columns that vary do so between these two.
    alike = [name for name, value in first.items() if last[name] is value or last[name] == value]
    return {
        name: first[name]
        for name in alike
        if [row[name] for row in rows].count(first[name]) == len(rows)
    }


def _array(values: Sequence[Any], kind: TypeEngine[Any]) -> ColumnElement[Any]:
    # Without a type of its own the parameter is an array to the planner, and a constant: a
    # cast of text would be worked out anew for each row that is looked at.
    return cast(bindparam(None, array_literal(values, kind), type_=NullType()), ARRAY(kind))
