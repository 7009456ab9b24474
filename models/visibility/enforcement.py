"""Add whose a session is to every query of a caller who does not see all.

A database session that is opened for such a caller is watched: what it asks of mapped classes
gets the conditions of `rules`, wherever in the statement they stand; a statement that nothing
can be added to (text, plain tables) is refused as the mistake that it is; and rows are written
only below what the caller sees. Sessions of others run as if this module did not exist.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Executable,
    Insert,
    Select,
    Table,
    TextClause,
    Update,
    and_,
    event,
    not_,
    or_,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import ORMExecuteState, with_loader_criteria
from sqlalchemy.sql.schema import Column
from sqlmodel import Session, SQLModel

from core.caller import current_caller
from core.errors import OutOfSight
from models.visibility import choice, rules
from models.visibility.owners import SessionOwner, owner_rows
from models.visibility.plain import plain_tables

#: Marks a statement of ours that is to see everything: what asks whether something is another's.
UNSEEN: Final = {"athanor_sees_all": True}
#: Marks a statement that has its conditions, or whose rows were looked at.
CHECKED: Final = {"athanor_checked": True}

_INFO: Final = "athanor_organisations"
_VISITS: Final = "athanor_visits"
#: How many keys are looked at in one query.
_CHUNK: Final = 500


def restrict(session: Session, *, visits: re.Pattern[str] | None = None) -> None:
    """Let a session see and write what its caller may, from now on; nothing for who sees all.

    `visits` tells from the folder of a new acquisition whose it is, where nothing else does.
    """
    if visits is not None:
        session.info[_VISITS] = visits
    organisations = current_caller().organisations
    if organisations is None:
        return
    session.info[_INFO] = organisations
    event.listen(session, "do_orm_execute", _narrow)
    event.listen(session, "after_begin", _watch)


def organisations_of(session: Session) -> frozenset[str] | None:
    """Return whose rows a session sees; None for those of all."""
    return session.info.get(_INFO)


def conditions(session: Session, table: Table) -> tuple[ColumnElement[bool], ...]:
    """Return what a statement on a plain table needs besides its own conditions."""
    organisations = organisations_of(session)
    if organisations is None or rules.is_everybodys(table):
        return ()
    return (rules.criterion(table, organisations),)


def require_all(session: Session, table: Table) -> None:
    """Refuse to write whole columns for who does not see all: nobody looks at their rows."""
    if organisations_of(session) is not None:
        raise _mistake(table.name)


def check_rows(session: Session, table: Table, rows: Iterable[Mapping[str, Any]]) -> None:
    """Refuse rows that are not below what the session sees, or that are another's already.

    An acquisition that is new becomes the caller's.

    Raises:
        OutOfSight: One of them is.
        OrganisationUnclear: The caller has several organisations, and did not say for which.
    """
    organisations = organisations_of(session)
    if organisations is not None:
        _check(session.connection(), table, list(rows), organisations)
    elif table.name == "acquisition":
        _note_owners(session, rows)


def _note_owners(session: Session, rows: Iterable[Mapping[str, Any]]) -> None:
    """Note whose acquisitions are, as who sees all says or as their folders tell."""
    named, visits = choice.chosen(), session.info.get(_VISITS)
    for row in rows if named or visits else ():
        found = visits and visits.search(str(row.get("storage_path") or row.get("path") or ""))
        organisation = named or (found and found["organisation"])
        if organisation:
            _own(session.connection(), [row["uuid"]], organisation)


def _narrow(state: ORMExecuteState) -> None:
    if state.execution_options.get("athanor_sees_all"):
        return
    if isinstance(state.statement, TextClause):
        # Nothing can be added to text; what asks for nothing of anybody's says so.
        raise _mistake("text")
    if state.is_insert:
        return
    organisations: frozenset[str] = state.session.info[_INFO]
    statement: Any = state.statement
    if not state.is_orm_statement and isinstance(statement, Select):
        state.statement = _narrowed(statement, organisations)
    else:
        _require_mapped(statement)
        if not state.is_orm_statement:
            return
        state.statement = statement.options(*_criteria(organisations))
    state.update_execution_options(**CHECKED)


def _narrowed(statement: Select[Any], organisations: frozenset[str]) -> Select[Any]:
    """Add the conditions of the plain tables that a query asks; there may be none below it."""
    asked = [table for table in statement.get_final_froms() if isinstance(table, Table)]
    _require_mapped(statement, but=frozenset(asked))
    return statement.where(*(rules.criterion(table, organisations) for table in asked))


@lru_cache(maxsize=256)
def _criteria(organisations: frozenset[str]) -> tuple[Any, ...]:
    # Here, since that module knows all tables, and so all that know this one.
    from models.registry import all_tables  # noqa: PLC0415

    return tuple(
        with_loader_criteria(
            model, rules.criterion(_table_of(model), organisations), include_aliases=True
        )
        for model in all_tables()
        if not rules.is_everybodys(_table_of(model))
    )


def _watch(session: Session, _transaction: object, connection: Connection) -> None:
    organisations: frozenset[str] = session.info[_INFO]

    def guard(
        connection: Connection,
        statement: Executable,
        many: Sequence[Mapping[str, Any]],
        one: Mapping[str, Any],
        options: Mapping[str, Any],
    ) -> None:
        if options.get("athanor_checked") or options.get("athanor_sees_all"):
            return
        given = list(many) or ([one] if one else [])
        if isinstance(statement, Insert) and isinstance(statement.table, Table):
            _check(connection, statement.table, given or _values_of(statement), organisations)
        elif session._flushing and isinstance(statement, Update | Delete):  # noqa: SLF001 (SQLAlchemy tells no other way)
            # Rows that the session has, which were seen; where they are moved to is looked at.
            assert isinstance(statement.table, Table)  # noqa: S101 (a flush writes tables)
            _check_above(connection, statement.table, given, organisations)
        else:
            _require_mapped(statement)

    event.listen(connection, "before_execute", guard)


def _values_of(statement: Insert) -> list[dict[str, Any]]:
    """Return the row that a statement has within itself."""
    values: Mapping[Any, Any] = statement.compile().params
    if not values:
        raise _mistake(str(statement.table))
    return [dict(values)]


def _require_mapped(statement: Any, *, but: frozenset[Table] = frozenset()) -> None:
    """Refuse a statement that asks plain tables for what belongs to somebody."""
    for table in plain_tables(statement) - but:
        if not rules.is_everybodys(table):
            raise _mistake(table.name)


def _mistake(what: str) -> AssertionError:
    return AssertionError(
        f"a query of {what} passes by who may see it: use mapped classes, or "
        "models.visibility.enforcement.conditions"
    )


def _check(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    organisations: frozenset[str],
) -> None:
    if rules.is_everybodys(table) or table.name in _CHECKED_BEFORE:
        return
    _check_above(connection, table, rows, organisations)
    _check_not_others(connection, table, rows, organisations)
    if table.name == "acquisition":
        _claim(connection, [row["uuid"] for row in rows], organisations)


def _check_above(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    organisations: frozenset[str],
) -> None:
    """Refuse rows that are put below what is not seen."""
    for column, above in _above(table):
        wanted = {row[column.name] for row in rows if row.get(column.name) is not None}
        seen = rules.criterion(above.table, organisations)
        for part in _parts(wanted):
            found = connection.execute(
                select(above).where(above.in_(part), seen), execution_options=UNSEEN
            )
            if len(set(found.scalars())) < len(part):
                raise OutOfSight(f"{above.table.name} {_shown(part)}")


def _claim(connection: Connection, uuids: Sequence[UUID], organisations: frozenset[str]) -> None:
    """Make acquisitions that are nobody's the caller's; those that are another's are refused."""
    acquisition = SQLModel.metadata.tables["acquisition"]
    seen = select(acquisition.c.uuid).where(rules.criterion(acquisition, organisations))
    for part in _parts(dict.fromkeys(uuids)):
        known = connection.execute(
            seen.where(acquisition.c.uuid.in_(part)), execution_options=UNSEEN
        )
        new = sorted(set(part) - set(known.scalars()))
        if new:
            _own(connection, new, choice.of_new(organisations))
        owner = _table_of(SessionOwner)
        mine = select(owner.c.uuid).where(
            owner.c.uuid.in_(new), owner.c.organisation.in_(organisations)
        )
        if new and set(connection.execute(mine, execution_options=UNSEEN).scalars()) != set(new):
            raise OutOfSight(f"acquisition {_shown(new)}")


def _own(connection: Connection, uuids: Sequence[UUID], organisation: str) -> None:
    """Make an organisation the owner of what is nobody's yet."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    for row in owner_rows(uuids, organisation):
        made = dialect.insert(_table_of(SessionOwner)).values(row).on_conflict_do_nothing()
        connection.execute(made, execution_options=CHECKED)


def _check_not_others(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    organisations: frozenset[str],
) -> None:
    """Refuse rows whose key is taken by a row of another's: an upsert would change that."""
    key = list(table.primary_key.columns)
    named = [row for row in rows if all(row.get(column.name) is not None for column in key)]
    for part in _parts(named):
        same = or_(*(and_(*(column == row[column.name] for column in key)) for row in part))
        if len(key) == 1:
            same = key[0].in_([row[key[0].name] for row in part])
        others = select(key[0]).where(same, not_(rules.criterion(table, organisations))).limit(1)
        if connection.execute(others, execution_options=UNSEEN).first() is not None:
            raise OutOfSight(table.name)


#: What is looked at before it comes to rows: messages by `claims`, the audit by nobody.
_CHECKED_BEFORE: Final = frozenset({"inbox_message", "outbox_message", "audit_entry"})


def _above(table: Table) -> Iterator[tuple[Column[Any], Column[Any]]]:
    """Yield the columns that say below what a row is, each with the column that it refers to."""
    tables = SQLModel.metadata.tables
    for name, above in (("grid_uuid", "grid"), ("acquisition_uuid", "acquisition")):
        if name in table.c:
            yield table.c[name], tables[above].c.uuid
    for column in table.c:
        for key in column.foreign_keys:
            parent = key.column.table
            known = column.name in {"grid_uuid", "acquisition_uuid"}
            if not known and parent is not table and not rules.is_everybodys(parent):
                yield column, key.column


def _parts(items: Iterable[Any]) -> Iterator[list[Any]]:
    listed = list(items)
    for start in range(0, len(listed), _CHUNK):
        yield listed[start : start + _CHUNK]


def _shown(values: Sequence[Any]) -> str:
    return str(values[0]) if len(values) == 1 else "of these"


def _table_of(model: type[SQLModel]) -> Table:
    return model.__table__  # pyright: ignore[reportAttributeAccessIssue]
