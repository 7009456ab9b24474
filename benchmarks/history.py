"""What a message costs with much history behind it, and how the database finds its way.

    python -m benchmarks.history [--rows 10000 2000000] [--messages 20000]

On a private PostgreSQL, filled with so many finished messages and their predictions: hole
predictions are stored, recorded and decided, and the plans of the queries that are made for
every batch are shown.
"""

import argparse
import sys
from collections.abc import Iterator
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.engine import Engine

from benchmarks.planted import plant
from benchmarks.predictions import ready_bodies, store_all, timed, work_off
from benchmarks.services import PrivatePostgres
from core.clock import utcnow
from models import inbox, migrations
from models.cryoem import intake
from models.database import Database

HOLES = 10_000
BATCH = 1_000
#: What a message may cost at most with the longest history, against the shortest.
FLAT = 1.3

_MESSAGES = """
    INSERT INTO inbox_message (state, attempts, available_at, fence, id, source, message_id,
        domain, kind, flow, key, payload, received_at, done_at, flow_run_id)
    SELECT 'done', 0, moment, 0, gen_random_uuid(), 'history', n::text, 'cryoem',
        'foilhole.model_prediction', 'ingest-predictions', :grid,
        json_build_object('event_type', 'foilhole.model_prediction', 'foilhole_uuid',
            holes.uuids[1 + n % :holes], 'prediction_model_name', 'history',
            'prediction_value', 0.5),
        moment, moment, 'history'
    FROM generate_series(1, :rows) AS n
    CROSS JOIN (SELECT array_agg(uuid) AS uuids FROM hole) AS holes
    CROSS JOIN LATERAL (SELECT now() - n * interval '1 ms' AS moment) AS moments
"""
_PREDICTIONS = """
    INSERT INTO prediction (message_seq, target_uuid, grid_uuid, level, model_name, value,
        message_uuid, predicted_at)
    SELECT seq, (payload ->> 'foilhole_uuid')::uuid, key::uuid, 'foilhole', 'history', 0.5, id,
        received_at
    FROM inbox_message WHERE source = 'history'
"""


def main() -> int:
    """Measure with each length of history."""
    options = argparse.ArgumentParser(description="What a message costs with much history.")
    options.add_argument("--rows", type=int, nargs="+", default=[10_000, 2_000_000])
    options.add_argument("--messages", type=int, default=20_000)
    chosen = options.parse_args()
    costs: list[float] = []
    with PrivatePostgres() as postgres:
        for rows in chosen.rows:
            database = Database(postgres.create(f"history_{rows}"))
            migrations.upgrade(database)
            grid, holes = plant(database, HOLES)
            _fill(database.engine, grid, rows)
            bodies = ready_bodies([holes[n % HOLES] for n in range(chosen.messages)], 1)
            stored = timed(lambda: store_all(database, bodies, BATCH))  # noqa: B023 (called at once)
            worked = timed(lambda: work_off(database, grid, BATCH))  # noqa: B023 (called at once)
            costs.append((stored + worked) / chosen.messages)
            print(f"{rows:9,} rows of history: {costs[-1] * 1e6:.0f} µs a message", flush=True)
            if rows == max(chosen.rows):
                for line in _plans(database, grid):
                    print(line)
            database.close()
    growth = max(costs) / costs[0]
    print(f"{1 / costs[-1]:,.0f} messages/s with the longest history, {growth:.2f} times the cost")
    return 0 if growth <= FLAT else 1


def _fill(engine: Engine, grid: UUID, rows: int) -> None:
    with engine.begin() as connection:
        values = {"grid": str(grid), "rows": rows, "holes": HOLES}
        connection.execute(text(_MESSAGES), values)
        connection.execute(text(_PREDICTIONS))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))


def _plans(database: Database, grid: UUID) -> Iterator[str]:
    """Yield the plans of what is asked for every batch and every sweep."""
    flow, key, now = intake.PREDICTIONS, str(grid), utcnow()
    with database.reading() as session:
        seen: list[str] = []
        connection = session.connection()
        connection.execute(text("LOAD 'auto_explain'"))
        for setting in ("log_min_duration = 0", "log_analyze = on"):
            connection.execute(text(f"SET auto_explain.{setting}"))
        connection.execute(text("SET client_min_messages = log"))
        raw = connection.connection.driver_connection
        raw.add_notice_handler(lambda notice: seen.append(notice.message_primary or ""))  # pyright: ignore[reportOptionalMemberAccess]
        inbox.has_work(session, flow=flow, key=key, now=now, max_attempts=5)
        inbox.take(session, flow=flow, key=key, now=now, limit=BATCH, max_attempts=5)
        inbox.keys_with_work(session, now=now, max_attempts=5)
    for plan in seen:
        yield plan.partition("\n")[2] or plan


if __name__ == "__main__":
    sys.exit(main())
