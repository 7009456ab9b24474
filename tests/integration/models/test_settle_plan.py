"""What is done is found by its number, however much waits behind it."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlmodel import Session

from models import inbox
from models.database import Database
from models.inbox import Missing, Received
from tests.integration.models.factories import NOON, new_message, store, take

Settle = Callable[[Session, list[Received]], None]


def _finish(session: Session, messages: list[Received]) -> None:
    inbox.finish(session, messages, now=NOON, flow_run_id=None)


def _let_wait(session: Session, messages: list[Received]) -> None:
    inbox.let_wait(session, [Missing(one, "hole", "unknown") for one in messages])


@pytest.mark.parametrize("settle", [_finish, _let_wait])
def test_open_messages_behind_are_not_read(postgres_url: str, settle: Settle) -> None:
    database = Database(postgres_url)
    # As far as the database knows, next to nothing is open: so an index of that looks short.
    with database.transaction() as session:
        session.execute(text("ALTER TABLE inbox_message SET (autovacuum_enabled = off)"))
    store(database, new_message())
    with database.transaction() as session:
        _finish(session, take(session))
        session.execute(text("ANALYZE inbox_message"))
    store(database, *(new_message() for _ in range(5_000)))
    with database.transaction() as session:
        messages = take(session, limit=10)
        plan = _plan(database, session, lambda: settle(session, messages))
    database.close()

    assert "pk_inbox_message" in plan, plan
    assert "ix_inbox_message_open" not in plan, plan


def _plan(database: Database, session: Session, act: Callable[[], None]) -> str:
    """Return how the database goes about the one update of messages that an act makes."""
    updates: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, sql: str, given: Any, *_rest: object) -> None:
        if sql.startswith("UPDATE inbox_message"):
            updates.append((sql, given))

    event.listen(database.engine, "before_cursor_execute", note)
    act()
    event.remove(database.engine, "before_cursor_execute", note)
    ((sql, given),) = updates
    shown = session.connection().exec_driver_sql(f"EXPLAIN {sql}", given)
    return "\n".join(shown.scalars())
