"""A session's rows as an archive has them: in one order, and doing nothing by themselves."""

from collections.abc import Iterator, Mapping
from typing import Any, Final
from uuid import UUID

from sqlalchemy import String, select, text
from sqlalchemy.sql.schema import Column
from sqlmodel import Session

from models.base import DeliveryState
from models.cryoem.instructions.tables import ConnectionStatus
from models.retention.archive.codec import ROW_NUMBERS
from models.retention.archive.numbers import Numbers, numbered
from models.retention.conditions import OVER
from models.retention.subtree import Branch
from models.sql import table_of

_ROWS_AT_ONCE: Final = 500
_GIVEN_UP: Final = "This was still to be done when the session was archived."
_OPEN: Final = (DeliveryState.PENDING, DeliveryState.CLAIMED, DeliveryState.WAITING)


def snapshot(session: Session) -> None:
    """Have all that a session reads be of one moment; call it before it reads anything."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
    # SQLite sees one moment from the first statement on.


def rows(
    session: Session, branch: Branch, grid: UUID, numbers: Numbers
) -> Iterator[dict[str, Any]]:
    """Yield a session's rows of a table, in the order of their keys."""
    table = table_of(branch.table)
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    order = [_ordered(column, is_sqlite=is_sqlite) for column in table.primary_key.columns]
    statement = select(*table.columns).where(branch.belongs(grid)).order_by(*order)
    found = session.execute(statement.execution_options(yield_per=_ROWS_AT_ONCE))
    for number, row in enumerate(found.mappings(), start=1):
        still = quiet(branch.name, dict(row))
        for owner, name in ROW_NUMBERS:
            if owner == branch.name:
                still[name] = number
        yield numbered(branch.name, still, numbers)


def _ordered(column: Column[Any], *, is_sqlite: bool) -> Any:
    # Text has another order in each language, but for this one.
    if isinstance(column.type, String):
        return column.collate("BINARY" if is_sqlite else "C")
    return column


def quiet(table: str, row: dict[str, Any]) -> dict[str, Any]:
    """Return a row without what would have work begin again where it is brought back."""
    match table:
        case "inbox_message" | "outbox_message":
            return row | _let_go(row)
        case "grid_plan":
            return row | {"refresh_wanted_at": None}
        case "square":
            return row | {"undecided_since": None}
        case "agent_session":
            return row | {"connection_id": None}
        case "agent_connection" if row["status"] == ConnectionStatus.ACTIVE:
            at, why = row["last_heartbeat_at"], "archived"
            closed = {"closed_at": row["closed_at"] or at, "close_reason": why}
            return row | {"status": ConnectionStatus.CLOSED.value, **closed}
        case "instruction":
            row = row | {"claimed_by": None, "next_send_at": None}
            if row["status"] not in OVER:
                row |= {"status": "expired", "ended_because": _GIVEN_UP}
            return row
    return row


def _let_go(row: Mapping[str, Any]) -> dict[str, Any]:
    free = {"claimed_by": None, "lease_expires_at": None, "fence": 0}
    if row["state"] in _OPEN:
        free |= {"state": DeliveryState.DEAD.value, "error": row["error"] or _GIVEN_UP}
    return free
