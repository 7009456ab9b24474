"""How many hole predictions a second are stored, recorded and decided.

    python -m benchmarks.predictions [--rows 10000] [--batch 1000] [--profile] [DATABASE_URL …]

Without a URL: SQLite in a temporary folder. A URL must be that of an empty database made for
this; its tables are made when missing, and rows stay in it.
"""

import argparse
import cProfile
import json
import pstats
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

from sqlmodel import Session

from benchmarks.planted import plant
from core.clock import utcnow
from domains.cryoem.policy import Policy
from models import inbox, migrations
from models.cryoem import decisions, intake, predictions
from models.cryoem.messages import (
    Prediction,
    parse_json,
)
from models.database import Database


def main() -> None:
    """Measure each database named: single values, or with `--holes` many a message."""
    options = argparse.ArgumentParser(
        description="How many hole predictions a second are stored, recorded and decided."
    )
    options.add_argument("--rows", type=int, default=10_000)
    options.add_argument("--batch", type=int, default=1_000)
    options.add_argument("--holes", type=int, default=1, help="holes per message")
    options.add_argument("--profile", action="store_true", help="show where the time goes")
    options.add_argument("urls", nargs="*", metavar="DATABASE_URL")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for url in chosen.urls or [f"sqlite:///{Path(folder) / 'benchmark.db'}"]:
            with profiled(wanted=chosen.profile):
                _measure(url, chosen.rows, chosen.batch, chosen.holes)


@contextmanager
def profiled(*, wanted: bool) -> Iterator[None]:
    """Show where the time of what runs meanwhile goes, when that is wanted."""
    profile = cProfile.Profile()
    if wanted:
        profile.enable()
    yield
    if wanted:
        profile.disable()
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)


def _measure(url: str, rows: int, batch: int, per_message: int) -> None:
    database = Database(url)
    migrations.upgrade(database)
    grid, holes = plant(database, rows)
    bodies = ready_bodies(holes, per_message)
    backend = database.url.get_backend_name()
    print(f"{backend}: {rows} holes, {per_message} a message, {batch} messages a batch")
    stored = timed(lambda: store_all(database, bodies, batch))
    worked = timed(lambda: work_off(database, grid, batch))
    for what, seconds in (("store", stored), ("record, decide", worked)):
        print(f"  {what:15} {seconds:6.2f} s {rows / seconds:8.0f} rows/s")
    print(f"  {'together':15} {stored + worked:6.2f} s {rows / (stored + worked):8.0f} rows/s")
    database.close()


def ready_bodies(holes: Sequence[UUID], per_message: int) -> list[bytes]:
    """Return messages as they come, with so many holes in each."""
    parts = [holes[start : start + per_message] for start in range(0, len(holes), per_message)]
    return [_body(part, (n % 100) / 100) for n, part in enumerate(parts)]


def _body(holes: Sequence[UUID], value: float) -> bytes:
    body: dict[str, object] = {
        "prediction_model_name": "benchmark",
        "prediction_value": value,
        "message_id": str(uuid4()),
    }
    if len(holes) == 1:
        body |= {"event_type": "foilhole.model_prediction", "foilhole_uuid": str(holes[0])}
    else:
        named = [str(hole) for hole in holes]
        body |= {"event_type": "foilhole.model_multi_prediction", "foilhole_uuids": named}
    return json.dumps(body).encode()


def timed(work: Callable[[], object]) -> float:
    """Return how many seconds it took."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def store_all(database: Database, bodies: Sequence[bytes], batch: int) -> None:
    """Store messages as a sensor does."""
    for start in range(0, len(bodies), batch):
        _store(database, bodies[start : start + batch])


def _store(database: Database, bodies: Sequence[bytes]) -> None:
    messages = [parse_json(body) for body in bodies]
    with database.transaction() as session:
        rows = intake.prepare(
            session,
            messages,
            source="benchmark",
            message_ids=[message.message_id for message in messages],
        )
        inbox.store(session, rows, now=utcnow())


def work_off(database: Database, grid: UUID, limit: int) -> None:
    """Record and decide, batch by batch, until nothing is left."""
    while _work(database, grid, limit):
        pass


def _work(database: Database, grid: UUID, limit: int) -> bool:
    with database.transaction() as session:
        rows = inbox.take(
            session,
            flow=intake.PREDICTIONS,
            key=str(grid),
            now=utcnow(),
            limit=limit,
            max_attempts=5,
        )
        recorded = predictions.record(session, [(row, _prediction(row.text)) for row in rows])
        _decide(session, grid, recorded)
        inbox.finish(session, recorded.done, now=utcnow(), flow_run_id=None)
    return bool(rows)


def _prediction(text: str) -> Prediction:
    message = parse_json(text)
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
