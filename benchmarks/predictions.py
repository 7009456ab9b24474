"""How many hole predictions a second are stored, recorded and decided.

    python -m benchmarks.predictions [--rows 10000] [--batch 1000] [--profile] [DATABASE_URL …]

Without a URL: SQLite in a temporary folder. A URL must be that of an empty database made for
this; its tables are made when missing, and rows stay in it.
"""

import argparse
import cProfile
import pstats
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from sqlmodel import Session

from core.clock import utcnow
from domains.cryoem import ids
from domains.cryoem.manifests import EpuSession, HoleTarget, SquareManifest
from domains.cryoem.policy import Policy
from models import inbox, migrations
from models.cryoem import decisions, intake, predictions
from models.cryoem.entities import apply_epu
from models.cryoem.messages import EpuSessionMessage, EpuSquareMessage, Prediction, parse
from models.database import Database

#: As on a real grid.
HOLES_PER_SQUARE = 500


def main() -> None:
    """Measure each database named."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rows", type=int, default=10_000)
    options.add_argument("--batch", type=int, default=1_000)
    options.add_argument("--profile", action="store_true", help="show where the time goes")
    options.add_argument("urls", nargs="*", metavar="DATABASE_URL")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for url in chosen.urls or [f"sqlite:///{Path(folder) / 'benchmark.db'}"]:
            with _profiled(wanted=chosen.profile):
                _measure(url, chosen.rows, chosen.batch)


@contextmanager
def _profiled(*, wanted: bool) -> Iterator[None]:
    profile = cProfile.Profile()
    if wanted:
        profile.enable()
    yield
    if wanted:
        profile.disable()
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)


def _measure(url: str, rows: int, batch: int) -> None:
    database = Database(url)
    migrations.upgrade(database)
    grid, holes = _plant(database, rows)
    bodies: list[object] = [
        {
            "event_type": "foilhole.model_prediction",
            "foilhole_uuid": str(hole),
            "prediction_model_name": "benchmark",
            "prediction_value": (n % 100) / 100,
            "message_id": str(uuid4()),
        }
        for n, hole in enumerate(holes)
    ]
    print(f"{database.url.get_backend_name()}: {rows} hole predictions, {batch} a batch")
    parts = [bodies[start : start + batch] for start in range(0, rows, batch)]
    stored = _timed(lambda: [_store(database, part) for part in parts])
    worked = _timed(lambda: [_work(database, grid, batch) for _ in parts])
    for what, seconds in (("store", stored), ("record, decide", worked)):
        print(f"  {what:15} {seconds:6.2f} s {rows / seconds:8.0f} rows/s")
    print(f"  {'together':15} {stored + worked:6.2f} s {rows / (stored + worked):8.0f} rows/s")
    database.close()


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _plant(database: Database, count: int) -> tuple[UUID, list[UUID]]:
    """Make a grid with so many holes."""
    manifest = EpuSession(epu_id=str(uuid4()), name="benchmark", started_at=utcnow())
    grid = ids.grid_uuid(manifest)
    common: dict[str, Any] = {"grid_uuid": grid, "path": "benchmark", "observed_at": utcnow()}
    with database.transaction() as session:
        apply_epu(session, [EpuSessionMessage(manifest=manifest, **common)], now=utcnow())
        for square, first in enumerate(range(0, count, HOLES_PER_SQUARE), start=1):
            numbers = range(first, min(first + HOLES_PER_SQUARE, count))
            found = tuple(HoleTarget(hole_id=10_000 + n) for n in numbers)
            squares = SquareManifest(square_id=square, holes=found)
            apply_epu(session, [EpuSquareMessage(manifest=squares, **common)], now=utcnow())
    return grid, [ids.hole_uuid(grid, 10_000 + n) for n in range(count)]


def _store(database: Database, bodies: list[object]) -> None:
    messages = [parse(body) for body in bodies]
    with database.transaction() as session:
        rows = intake.prepare(
            session,
            messages,
            source="benchmark",
            message_ids=[message.message_id for message in messages],
        )
        inbox.store(session, rows, now=utcnow())


def _work(database: Database, grid: UUID, limit: int) -> None:
    with database.transaction() as session:
        lease, rows = inbox.claim_messages(
            session,
            flow=intake.PREDICTIONS,
            key=str(grid),
            holder="benchmark",
            now=utcnow(),
            lease_seconds=30,
            limit=limit,
            max_attempts=5,
        )
    with database.transaction() as session:
        recorded = predictions.record(session, [(row, _prediction(row.payload)) for row in rows])
        _decide(session, grid, recorded)
        inbox.finish(session, recorded.done, lease, now=utcnow(), flow_run_id=None)


def _prediction(payload: dict[str, Any]) -> Prediction:
    message = parse(payload)
    assert isinstance(message, Prediction)
    return message


def _decide(session: Session, grid: UUID, recorded: predictions.Recorded) -> None:
    decisions.decide(
        session,
        grid,
        squares=recorded.squares,
        squares_of_holes=recorded.squares_of_holes,
        policy=Policy(),
        settle_seconds=0.5,
        now=utcnow(),
    )


if __name__ == "__main__":
    main()
