"""How many measurements a second are stored, judged, weighed and told.

    python -m benchmarks.measurements [--rows 9000] [--batch 1000] [--models 4] [--profile] [URL …]

Three metrics of each micrograph, and as many models that predict each of them. What counts is
the way from the inbox to quality, weights, history, current values and `registered` messages
in the outbox, in one process, batch by batch as a worker does it. Without a URL: a private
PostgreSQL that ends with the benchmark. A URL must be that of an empty database made for this.
"""

import argparse
import json
import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from uuid import UUID, uuid4

from sqlalchemy import func, select
from sqlmodel import col

from benchmarks.planted import FIRST_HOLE, HOLES_PER_SQUARE, plant
from benchmarks.predictions import profiled, store_all, timed
from benchmarks.services import PrivatePostgres
from core.clock import utcnow
from domains.cryoem import ids
from domains.cryoem.manifests import ImageManifest, ImageName
from domains.cryoem.metrics import CTF, MOTION, PARTICLES
from models import inbox, migrations
from models.cryoem import intake
from models.cryoem.decision_tables import CurrentPrediction, Level, PredictionModel
from models.cryoem.emitted import KIND
from models.cryoem.entities import apply_epu
from models.cryoem.messages import EpuImageMessage
from models.cryoem.weight_tables import ModelWeightHistory
from models.database import Database
from models.outbox import OutboxMessage
from models.sql import chunks, insert_ignore
from tasks.cryoem.measurements import MeasurementHandler

LIMIT = 1_000
_METRICS = (MOTION, CTF, PARTICLES)


def main() -> int:
    """Measure each database named; return 0 when the limit is kept, else 1."""
    options = argparse.ArgumentParser(
        description="How many measurements a second are stored, judged, weighed and told."
    )
    options.add_argument("--rows", type=int, default=9_000, help="measurements")
    options.add_argument("--batch", type=int, default=1_000)
    options.add_argument("--models", type=int, default=4)
    options.add_argument("--profile", action="store_true", help="show where the time goes")
    options.add_argument("urls", nargs="*", metavar="URL")
    chosen = options.parse_args()
    with ExitStack() as stack:
        urls = chosen.urls or [stack.enter_context(PrivatePostgres()).create("athanor")]
        rates = [
            _measure(url, chosen.rows, chosen.batch, chosen.models, profile=chosen.profile)
            for url in urls
        ]
    return 0 if min(rates) >= LIMIT else 1


def _measure(url: str, rows: int, batch: int, models: int, *, profile: bool) -> float:
    """Return how many measurements a second went through."""
    database = Database(url)
    migrations.upgrade(database)
    dice = random.Random(2026)
    grid, holes = plant(database, rows // len(_METRICS))
    micrographs = _photograph(database, grid, len(holes))
    _predict(database, grid, holes, models, dice)
    bodies = [json.dumps(body).encode() for body in _messages(micrographs, dice)]
    stored = timed(lambda: store_all(database, bodies, batch))
    with profiled(wanted=profile):
        worked = timed(lambda: _work_off(database, grid, batch))
    with database.reading() as session:
        told = session.scalar(
            select(func.count()).select_from(OutboxMessage).where(col(OutboxMessage.kind) == KIND)
        )
        history = session.scalar(select(func.count()).select_from(ModelWeightHistory))
    backend = database.url.get_backend_name()
    database.close()
    print(f"{backend}: {len(bodies):,} measurements of {len(holes):,} micrographs, {models} models")
    print(f"  {told:,} `registered` messages, {history:,} rows of weight history")
    for what, seconds in (("store", stored), ("judge and weigh", worked)):
        print(f"  {what:15} {seconds:6.2f} s {len(bodies) / seconds:8,.0f} measurements/s")
    rate = len(bodies) / (stored + worked)
    print(
        f"  {'together':15} {stored + worked:6.2f} s {rate:8,.0f} measurements/s, limit {LIMIT:,}"
    )
    return rate


def _photograph(database: Database, grid: UUID, count: int) -> list[UUID]:
    """Make a micrograph of each hole; return their uuids."""
    images = [
        EpuImageMessage(
            message_id=None,
            grid_uuid=grid,
            path="benchmark",
            observed_at=utcnow(),
            name=ImageName(
                level="micrograph",
                stem=f"FoilHole_{FIRST_HOLE + n}",
                square_id=n // HOLES_PER_SQUARE + 1,
                hole_id=FIRST_HOLE + n,
            ),
            manifest=ImageManifest(unique_id=f"image-{n}", acquired_at=utcnow()),
        )
        for n in range(count)
    ]
    for part in chunks(images):
        with database.transaction() as session:
            apply_epu(session, part, now=utcnow())
    return [ids.micrograph_uuid(grid, f"FoilHole_{FIRST_HOLE + n}") for n in range(count)]


def _predict(
    database: Database, grid: UUID, holes: Sequence[UUID], models: int, dice: random.Random
) -> None:
    """Give each hole a prediction of each model for each metric."""
    names = [f"model-{n}" for n in range(models)]
    with database.transaction() as session:
        known = [{"name": name, "level": Level.HOLE, "first_seen_at": utcnow()} for name in names]
        insert_ignore(session, PredictionModel, known, unique=["name"])
        for name in names:
            for metric in _METRICS:
                rows = [
                    {
                        "target_uuid": hole,
                        "model_name": name,
                        "metric_name": metric,
                        "grid_uuid": grid,
                        "level": Level.HOLE,
                        "value": dice.random(),
                        "message_seq": 0,
                        "message_uuid": grid,
                        "predicted_at": utcnow(),
                    }
                    for hole in holes
                ]
                insert_ignore(
                    session,
                    CurrentPrediction,
                    rows,
                    unique=["target_uuid", "model_name", "metric_name"],
                )


def _messages(micrographs: Sequence[UUID], dice: random.Random) -> Iterator[dict[str, object]]:
    """Yield what image processing tells of each micrograph, as its steps come through."""
    for micrograph in micrographs:
        common = {"micrograph_uuid": str(micrograph)}
        for measured in (
            {
                "event_type": "motion_correction.completed",
                "total_motion": dice.lognormvariate(2, 0.5),
                "average_motion": dice.random(),
            },
            {
                "event_type": "ctf.completed",
                "ctf_max_resolution_estimate": dice.lognormvariate(1.4, 0.3),
            },
            {
                "event_type": "particle_picking.completed",
                "number_of_particles_picked": dice.randrange(400),
            },
        ):
            yield {**measured, **common, "message_id": str(uuid4())}


def _work_off(database: Database, grid: UUID, limit: int) -> None:
    """Record, judge and weigh, batch by batch, until nothing is left."""
    handler = MeasurementHandler(publish=True)
    while True:
        with database.transaction() as session:
            rows = inbox.take(
                session,
                flow=intake.MEASUREMENTS,
                key=str(grid),
                now=utcnow(),
                limit=limit,
                max_attempts=5,
            )
            if not rows:
                return
            outcome = handler(session, rows)
            inbox.finish(session, outcome.done, now=utcnow(), flow_run_id=None)


if __name__ == "__main__":
    sys.exit(main())
