"""How long a session of 40,000 holes takes to be exported, deleted and imported.

    python -m benchmarks.archives [--holes 40000] [DATABASE_URL …]

Each hole has an area, a score, three predictions, each with its message, and three current ones;
every eighth a micrograph with three measurements, old and current. A second session of the same
size lies in the same tables and stays. Without a URL: SQLite in a temporary folder, and a private
PostgreSQL. A URL must be that of an empty database made for this; rows stay in it. Fails when a
limit is missed.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text, update
from sqlmodel import SQLModel, col

from benchmarks.planted import plant
from benchmarks.services import PrivatePostgres
from core.clock import utcnow
from domains.retention import SCIENTIFIC, Operation
from models import migrations
from models.base import DeliveryState
from models.cryoem.decision_tables import AthenaArea, CurrentPrediction, Level, Prediction
from models.cryoem.processing_tables import CurrentMeasurement, Measurement
from models.cryoem.tables import Acquisition, Grid, Micrograph
from models.cryoem.weight_tables import HoleScore
from models.database import Database
from models.inbox import InboxMessage
from models.sql import chunks, insert_ignore, table_of
from tasks.cryoem.exporting import export_session
from tasks.cryoem.importing import import_session
from tasks.retention import Retention

_MODELS = ("ice", "contamination", "ctf-net")
_VALUES = ("total_motion", "ctf_max_resolution_estimate", "number_of_particles_picked")
_HOLES_PER_MICROGRAPH = 8
_LONG_AGO = timedelta(days=3 * 365)
_EXPORT_SECONDS, _DELETE_SECONDS, _IMPORT_SECONDS = 30, 30, 40

Row = dict[str, Any]


class Pace:
    """The longest time between two batches."""

    def __init__(self) -> None:
        """Begin now."""
        self._last = time.perf_counter()
        self.longest = 0.0

    def __call__(self, _what: str, _rows: int) -> None:
        """Note that a batch ended."""
        now = time.perf_counter()
        self.longest = max(self.longest, now - self._last)
        self._last = now


def main() -> int:
    """Measure each database; return 0 when the limits are kept."""
    options = argparse.ArgumentParser(description="Export, deletion and import of a session.")
    options.add_argument("--holes", type=int, default=40_000)
    options.add_argument("urls", nargs="*", metavar="DATABASE_URL")
    chosen = options.parse_args()
    with ExitStack() as stack:
        urls = chosen.urls or list(_own(stack))
        kept = [_measure(url, chosen.holes) for url in urls]
    return 0 if all(kept) else 1


def _own(stack: ExitStack) -> Iterator[str]:
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    yield f"sqlite:///{Path(folder) / 'benchmark.db'}"
    yield stack.enter_context(PrivatePostgres()).create("archives")


def _measure(url: str, count: int) -> bool:
    database = Database(url)
    migrations.upgrade(database)
    _live(database, *plant(database, count))
    grid, holes = plant(database, count)
    _live(database, grid, holes)
    _end(database, grid)
    kept = True
    print(f"{database.url.get_backend_name()}: {count} holes")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "session.tar.zst"

        async def leave(pace: Pace) -> dict[str, int]:
            done = await export_session(database, grid, path, progress=pace)
            return done.rows

        async def go(pace: Pace) -> dict[str, int]:
            retention = Retention(database, SCIENTIFIC, progress=pace)
            return (await retention.run(Operation.SESSIONS)).tables

        async def come(pace: Pace) -> dict[str, int]:
            done = await import_session(database, path, limit=2**40, progress=pace)
            return done.new

        for name, work, limit in (
            ("export", leave, _EXPORT_SECONDS),
            ("deletion", go, _DELETE_SECONDS),
            ("import", come, _IMPORT_SECONDS),
        ):
            kept = _timed(name, work, limit) and kept
    database.close()
    return kept


def _timed(
    name: str, work: Callable[[Pace], Coroutine[Any, Any, dict[str, int]]], limit: float
) -> bool:
    pace = Pace()
    began = time.perf_counter()
    rows = sum(asyncio.run(work(pace)).values())
    took = time.perf_counter() - began
    print(
        f"  {name}: {took:.1f} s (limit {limit} s), {rows:,} rows, {rows / took:,.0f} rows/s, "
        f"longest without progress {pace.longest:.2f} s",
        flush=True,
    )
    return took <= limit


def _live(database: Database, grid: UUID, holes: list[UUID]) -> None:
    """Have each hole be registered, predicted, scored and, some of them, measured."""
    now, key = utcnow() - _LONG_AGO, str(grid)
    with database.reading() as session:
        first = session.scalar(text("SELECT coalesce(max(seq), 0) + 1 FROM inbox_message")) or 1
    named = [(first + n, uuid4(), hole) for n, hole in enumerate(holes * len(_MODELS))]
    models = [model for model in _MODELS for _ in holes]
    predicted = [
        {"message_seq": seq, "message_uuid": id_, "target_uuid": hole, "model_name": model}
        | {"grid_uuid": grid, "level": Level.HOLE, "value": (seq % 997) / 997, "predicted_at": now}
        for (seq, id_, hole), model in zip(named, models, strict=True)
    ]
    messages = [
        {"id": id_, "seq": seq, "source": "mq", "message_id": str(id_), "domain": "cryoem"}
        | {"kind": "foilhole.model_prediction", "flow": "ingest-predictions", "key": key}
        | {"payload": {"event_type": "foilhole.model_prediction", "foilhole_uuid": str(hole)}}
        | {"state": DeliveryState.DONE, "attempts": 1, "fence": 0}
        | {"available_at": now, "received_at": now, "done_at": now}
        for seq, id_, hole in named
    ]
    areas = [
        {"area_uuid": hole, "grid_uuid": grid, "area_id": n, "area_type": "FoilHole"}
        | {"registered_at": now}
        for n, hole in enumerate(holes, start=1_000)
    ]
    scores = [
        {"hole_uuid": hole, "grid_uuid": grid, "score": 0.5, "expected": 0.5, "uncertainty": 0.1}
        | {"refreshed_at": now}
        for hole in holes
    ]
    _store(database, InboxMessage, messages, ["id"])
    _store(database, Prediction, predicted, ["message_seq", "target_uuid"])
    current = [{**row, "metric_name": ""} for row in predicted]
    _store(database, CurrentPrediction, current, ["target_uuid", "model_name", "metric_name"])
    _store(database, AthenaArea, areas, ["area_uuid"])
    _store(database, HoleScore, scores, ["hole_uuid"])
    _measured(database, grid, holes[::_HOLES_PER_MICROGRAPH], first)
    with database.transaction() as session:
        if not database.is_sqlite:  # where numbers that were given are not counted
            session.execute(
                text(
                    "SELECT setval(pg_get_serial_sequence('inbox_message', 'seq'), "
                    "(SELECT max(seq) FROM inbox_message))"
                )
            )


def _measured(database: Database, grid: UUID, holes: Sequence[UUID], first: int) -> None:
    now = utcnow() - _LONG_AGO
    images = [
        {"uuid": uuid4(), "grid_uuid": grid, "hole_uuid": hole, "stem": f"FoilHole_{hole}"}
        | {"acquired_at": now, "defocus": -1.8e-6, "path": f"/data/{hole}.xml"}
        for hole in holes
    ]
    values = [
        {"message_seq": first + n, "name": name, "micrograph_uuid": image["uuid"]}
        | {"grid_uuid": grid, "value": 12.5, "quality": 0.5, "distribution": {"bins": [1, 2, 3]}}
        | {"message_uuid": uuid4(), "measured_at": now}
        for n, image in enumerate(images)
        for name in _VALUES
    ]
    _store(database, Micrograph, images, ["uuid"])
    _store(database, Measurement, values, ["message_seq", "name"])
    _store(database, CurrentMeasurement, values, ["micrograph_uuid", "name"])


def _store(
    database: Database, model: type[SQLModel], rows: Sequence[Row], unique: Sequence[str]
) -> None:
    for part in chunks(rows, 10_000):
        with database.transaction() as session:
            insert_ignore(session, model, part, unique=unique)
    with database.transaction() as session:
        session.execute(text(f'ANALYZE "{table_of(model).name}"'))


def _end(database: Database, grid: UUID) -> None:
    """Have a session be over for years."""
    then = utcnow() - _LONG_AGO
    with database.transaction() as session:
        mine = session.get(Grid, grid)
        assert mine is not None
        mine.last_news_at = then
        session.execute(
            update(Acquisition)
            .where(col(Acquisition.uuid) == mine.acquisition_uuid)
            .values(started_at=then, ended_at=then)
        )


if __name__ == "__main__":
    sys.exit(main())
