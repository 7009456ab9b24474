"""Lists cost the same whatever their length: a fixed number of statements, each with an index."""

from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event
from sqlmodel import Session

from models.base import DeliveryState
from models.cryoem.decision_tables import Decision, Level
from models.cryoem.queries import decisions, entities, messages, sessions
from models.cryoem.queries.decisions import DecisionFilter
from models.cryoem.queries.messages import MessageFilter
from models.cryoem.queries.status import get_status, percentile
from models.cryoem.states import MessageState
from models.database import Database
from models.outbox import OutboxMessage
from models.sql import insert_ignore
from tests.database_fixtures import statements
from tests.integration.models.factories import NOON, after, new_message, plant, store

Query = Callable[[Session, UUID], Any]

QUERIES: dict[str, Query] = {
    "messages": lambda s, _: messages.list_messages(s, MessageFilter(), limit=500),
    "sessions": lambda s, _: sessions.list_sessions(s, limit=500),
    "session": sessions.get_session,
    "squares": lambda s, grid: entities.list_squares(s, grid, limit=500),
    "holes": lambda s, grid: entities.list_holes(s, grid, limit=500),
    "micrographs": lambda s, grid: entities.list_micrographs(s, grid, limit=500),
    "decisions": lambda s, _: decisions.list_decisions(s, DecisionFilter(), limit=500),
    "status": lambda s, _: get_status(s, version="1", now=NOON),
}


def decide(database: Database, grid: UUID, squares: tuple[UUID, ...], count: int) -> None:
    """Write decisions about squares, one second after another."""
    rows = [
        {
            "id": uuid4(),
            "grid_uuid": grid,
            "area_uuid": squares[n % len(squares)],
            "level": Level.SQUARE,
            "decision_type": "gridSquareSelection",
            "outcome": {str(squares[n % len(squares)]): True},
            "basis": {},
            "plugin_type": "custom",
            "decided_by": "model",
            "details": "",
            "made_at": after(n // 3),
            "flow_run_id": None,
        }
        for n in range(count)
    ]
    sent = [
        {
            "id": row["id"],
            "domain": "cryoem",
            "kind": "athena.decision",
            "flow": "submit-decisions",
            "key": str(grid),
            "subject": f"gridSquareSelection/{row['area_uuid']}",
            "payload": {},
            "state": DeliveryState.DONE,
            "attempts": 1,
            "fence": 1,
            "available_at": NOON,
            "created_at": NOON,
            "caused_at": row["made_at"],
            "sent_at": row["made_at"] + timedelta(seconds=1),
        }
        for row in rows
    ]
    with database.transaction() as session:
        insert_ignore(session, Decision, rows, unique=["id"])
        insert_ignore(session, OutboxMessage, sent, unique=["id"])


def counted(database: Database, query: Query, grid: UUID) -> int:
    with statements(database) as seen, database.reading() as session:
        query(session, grid)
    return len([one for one in seen if one.lstrip().startswith("SELECT")])


@pytest.mark.parametrize("name", QUERIES)
def test_the_number_of_statements_does_not_grow_with_the_rows(
    database: Database, name: str
) -> None:
    small = plant(database, [[11]])
    store(database, new_message())
    decide(database, small.grid, small.squares, 1)
    few = counted(database, QUERIES[name], small.grid)
    for _ in range(3):
        large = plant(database, [range(100 * n, 100 * n + 20) for n in range(1, 9)])
        decide(database, large.grid, large.squares, 30)
    store(database, *(new_message() for _ in range(50)))
    assert counted(database, QUERIES[name], large.grid) == few <= 12


def test_decisions_made_at_the_same_moment_are_each_on_one_page(database: Database) -> None:
    site = plant(database)
    decide(database, site.grid, site.squares, 50)
    seen: list[UUID] = []
    cursor = None
    with database.reading() as session:
        while True:
            page = decisions.list_decisions(
                session, DecisionFilter(grid=site.grid), limit=7, cursor=cursor
            )
            seen += [one.id for one in page.items]
            if (cursor := page.next_cursor) is None:
                break
    assert len(seen) == len(set(seen)) == 50


def test_latency_is_measured_from_cause_to_answer(database: Database) -> None:
    site = plant(database)
    decide(database, site.grid, site.squares, 10)
    with database.reading() as session:
        latency = get_status(session, version="1", now=NOON).latency
    assert (latency.decisions, latency.p50_seconds, latency.p95_seconds) == (10, 1.0, 1.0)


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1), (0.5, 2), (0.51, 3), (0.75, 3), (0.95, 4), (1.0, 4)]
)
def test_a_percentile_is_one_of_the_values(share: float, expected: float) -> None:
    assert percentile([1, 2, 3, 4], share) == expected


#: A list, the index that its page must come from, and how the list is asked for.
PLANS: list[tuple[str, str, Query]] = [
    (
        "messages",
        "pk_inbox_message",
        lambda s, _: messages.list_messages(s, MessageFilter(), limit=50),
    ),
    (
        "dead messages",
        "ix_inbox_message_open",
        lambda s, _: messages.list_messages(s, MessageFilter(MessageState.DEAD), limit=50),
    ),
    (
        "messages of a grid",
        "ix_inbox_message_key",
        lambda s, grid: messages.list_messages(s, MessageFilter(key=str(grid)), limit=50),
    ),
    (
        "squares",
        "uq_square_grid_uuid_square_id",
        lambda s, grid: entities.list_squares(s, grid, limit=50),
    ),
    (
        "holes",
        "uq_hole_grid_uuid_hole_id",
        lambda s, grid: entities.list_holes(s, grid, limit=50),
    ),
    (
        "decisions",
        "ix_decision_made_at",
        lambda s, _: decisions.list_decisions(s, DecisionFilter(), limit=50),
    ),
]


@pytest.mark.parametrize(("name", "index", "query"), PLANS)
def test_an_index_gives_each_page_in_its_order_on_postgresql(
    postgres_url: str, name: str, index: str, query: Query
) -> None:
    with closing(Database(postgres_url)) as database:
        site = plant(database)
        plans = explained(database, query, site.grid)
    (page,) = [plan for plan in plans if "Limit" in plan]
    assert index in page
    # Rows of the same moment may be put in order among themselves.
    assert "Sort" not in page.replace("Incremental Sort", "").replace("Sort Key", "")


def explained(database: Database, query: Query, grid: UUID) -> list[str]:
    """Return PostgreSQL's plan of each statement of a query.

    It is kept from reading whole tables and from sorting, which it rightly prefers while tables
    are small: what is left shows whether an index can do without.
    """
    asked: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, sql: str, values: Any, *_rest: object) -> None:
        asked.append((sql, values))

    with database.reading() as session:
        event.listen(database.engine, "before_cursor_execute", note)
        query(session, grid)
        event.remove(database.engine, "before_cursor_execute", note)
        connection = session.connection()
        connection.exec_driver_sql("SET enable_seqscan = off")
        connection.exec_driver_sql("SET enable_sort = off")
        return [
            "\n".join(line for (line,) in connection.exec_driver_sql(f"EXPLAIN {sql}", values))
            for sql, values in asked
        ]
