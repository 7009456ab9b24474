"""Looking at the queues costs the same however much of them is finished."""

import json

import pytest
from sqlalchemy import text
from sqlalchemy.dialects import postgresql

from models.database import Database
from models.depths import unfinished
from models.inbox import InboxMessage
from models.outbox import OutboxMessage
from models.sql import table_of
from tests.integration.models.factories import new_message, store
from tests.integration.models.test_depths import KINDS, put


@pytest.mark.parametrize(
    ("table", "since", "finished", "unsettled"),
    [
        ("inbox_message", "received_at", ["done"], ["pending", "waiting", "dead"]),
        ("outbox_message", "created_at", ["done", "superseded"], ["pending", "dead"]),
    ],
)
def test_what_is_finished_is_not_read(
    postgres_url: str, table: str, since: str, finished: list[str], unsettled: list[str]
) -> None:
    database = Database(postgres_url)
    model = {"inbox_message": InboxMessage, "outbox_message": OutboxMessage}[table]
    if model is InboxMessage:
        store(database, new_message(kind=KINDS[0]))
    else:
        put(database)
    others = ", ".join(
        one.name for one in table_of(model).columns if one.name not in {"seq", "id", "state"}
    )
    with database.transaction() as session:
        for states, number in ((finished, 20_000), (unsettled, 100)):
            listed = ", ".join(f"'{state}'" for state in states)
            session.execute(
                text(
                    f"INSERT INTO {table} (id, state, {others}) SELECT gen_random_uuid(), "
                    f"(ARRAY[{listed}])[1 + i % {len(states)}], {others} FROM {table}, "
                    f"generate_series(1, {number}) i WHERE seq = 1"
                )
            )
    with database.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text(f"ANALYZE {table}"))
        question = unfinished(model, since, KINDS).compile(
            dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}
        )
        found = connection.execute(text(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {question}"))
        (plan,) = found.scalar_one()
    database.close()

    shown = json.dumps(plan, indent=1)
    assert '"Seq Scan"' not in shown, shown
    assert plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"] < 100, shown
