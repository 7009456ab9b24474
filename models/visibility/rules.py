"""Which rows belong to a session, and so to an organisation: one rule for each table.

Most rules follow from the tables: what has a `grid_uuid` belongs to that grid, what refers to
such a row belongs where that does. A table without any rule is shown to nobody but those who
see all; what everybody may see is listed here by name.
"""

from collections.abc import Callable, Collection
from functools import cache
from typing import Any, Final, TypeAlias

from sqlalchemy import (
    Column,
    ColumnElement,
    CompoundSelect,
    Select,
    Table,
    false,
    or_,
    select,
    true,
)
from sqlmodel import SQLModel

from models.uuid_text import uuid_text
from models.visibility.owners import owned_by

Organisations: TypeAlias = Collection[str]
Uuids: TypeAlias = Select[Any] | CompoundSelect[Any]
Rule: TypeAlias = Callable[[Table, Organisations], ColumnElement[bool]]

#: What is not about any one session.
EVERYBODYS: Final = frozenset(
    {
        "alembic_version",
        "initial_weight",
        "prediction_model",
        "quality_metric",
        # Found only by who knows what was asked, by whom and under which key.
        "answer",
        # Not read for anybody: how messages get to where they are worked on.
        "delivery",
        "drain",
        # Who may sign in, and as what: guarded by permissions.
        "access_user",
        "login",
        "refresh_token",
        "machine_client",
        "api_key",
        # Who owns what: read by these rules themselves.
        "session_owner",
    }
)


def criterion(table: Table, organisations: Organisations) -> ColumnElement[bool]:
    """Return the condition of the rows that belong to one of the organisations."""
    rule = _RULES.get(table.name) or _by_columns(table)
    return rule(table, organisations)


def is_everybodys(table: Table) -> bool:
    """Whether all may see all of its rows."""
    return table.name in EVERYBODYS


def has_rule(table: Table) -> bool:
    """Whether it is known to whom its rows belong."""
    return is_everybodys(table) or table.name in _RULES or _by_columns(table) is not _nobodys


def grids(organisations: Organisations) -> Uuids:
    """Return the query for the grids of these organisations."""
    grid = _table("grid")
    return owned_by(organisations).union_all(
        select(grid.c.uuid).where(grid.c.acquisition_uuid.in_(owned_by(organisations)))
    )


def _acquisition(table: Table, organisations: Organisations) -> ColumnElement[bool]:
    grid = _table("grid")
    of_grids = select(grid.c.acquisition_uuid).where(grid.c.uuid.in_(owned_by(organisations)))
    return or_(table.c.uuid.in_(owned_by(organisations)), table.c.uuid.in_(of_grids))


def _grid(table: Table, organisations: Organisations) -> ColumnElement[bool]:
    owned = owned_by(organisations)
    return or_(table.c.uuid.in_(owned), table.c.acquisition_uuid.in_(owned))


def _by_key(table: Table, organisations: Organisations) -> ColumnElement[bool]:
    grid = _table("grid")
    of_acquisitions = select(uuid_text(grid.c.uuid)).where(
        grid.c.acquisition_uuid.in_(owned_by(organisations))
    )
    return table.c.key.in_(owned_by(organisations, "key").union_all(of_acquisitions))


def _inbox(table: Table, organisations: Organisations) -> ColumnElement[bool]:
    sent = table.c.organisation.in_(sorted(organisations))
    return or_(_by_key(table, organisations), sent)


def _by_organisation(table: Table, organisations: Organisations) -> ColumnElement[bool]:
    return table.c.organisation.in_(sorted(organisations))


def _by_grid(table: Table, organisations: Organisations) -> ColumnElement[bool]:
    return table.c.grid_uuid.in_(grids(organisations))


def _by_acquisition(table: Table, organisations: Organisations) -> ColumnElement[bool]:
    acquisition = _table("acquisition")
    seen = select(acquisition.c.uuid).where(_acquisition(acquisition, organisations))
    return table.c.acquisition_uuid.in_(seen)


def _agent_session(table: Table, organisations: Organisations) -> ColumnElement[bool]:
    return or_(
        _by_grid(table, organisations),
        _by_acquisition(table, organisations),
        table.c.session_id.in_(owned_by(organisations, "key")),
    )


def _by_agent_session(table: Table, organisations: Organisations) -> ColumnElement[bool]:
    sessions = _table("agent_session")
    seen = select(sessions.c.session_id).where(_agent_session(sessions, organisations))
    return table.c.session_id.in_(seen)


def _live_event(table: Table, organisations: Organisations) -> ColumnElement[bool]:
    return or_(_by_acquisition(table, organisations), _by_agent_session(table, organisations))


def _nobodys(_table: Table, _organisations: Organisations) -> ColumnElement[bool]:
    return false()


def _everybodys(_table: Table, _organisations: Organisations) -> ColumnElement[bool]:
    return true()


_RULES: Final[dict[str, Rule]] = {
    **dict.fromkeys(EVERYBODYS, _everybodys),
    "acquisition": _acquisition,
    "grid": _grid,
    "inbox_message": _inbox,
    "outbox_message": _by_key,
    "agent_session": _agent_session,
    "live_event": _live_event,
    "audit_entry": _by_organisation,
}


@cache
def _by_columns(table: Table) -> Rule:
    """Return the rule that follows from a table's columns."""
    if "grid_uuid" in table.c:
        return _by_grid
    if "acquisition_uuid" in table.c:
        return _by_acquisition
    for column in table.c:
        for key in column.foreign_keys:
            above = key.column.table
            if above is not table and not is_everybodys(above) and has_rule(above):
                return _below(column, key.column)
    if "session_id" in table.c:
        return _by_agent_session
    return _nobodys


def _below(column: Column[Any], parent: Column[Any]) -> Rule:
    def belongs(table: Table, organisations: Organisations) -> ColumnElement[bool]:
        above = parent.table
        assert isinstance(above, Table)  # noqa: S101 (what a foreign key refers to)
        seen = select(parent).where(criterion(above, organisations))
        return table.c[column.name].in_(seen)

    return belongs


def _table(name: str) -> Table:
    return SQLModel.metadata.tables[name]
