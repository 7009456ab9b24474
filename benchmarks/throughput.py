"""How many predictions a second go from a full RabbitMQ queue into the current predictions.

    python -m benchmarks.throughput [--seconds 60] [--multi]

One sensor and one worker, real processes, with Prefect's server, RabbitMQ and PostgreSQL on
the same cores. The queue is filled first, so that publishing takes no part in the figure.
PostgreSQL and RabbitMQ are private ones that end with the benchmark.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from uuid import UUID, uuid4

import pika
import psutil
from pika.adapters.blocking_connection import BlockingChannel
from sqlalchemy import func, select

from benchmarks.facility import Facility, end_on_sigterm, private_facility, wait_for
from benchmarks.planted import plant
from benchmarks.services import PrivateRabbit
from models import migrations
from models.cryoem.decision_tables import CurrentPrediction, Prediction
from models.database import Database

DESCRIPTION = "How many predictions a second go from RabbitMQ into the current predictions."
QUEUE = "throughput"
#: Microscopes at work, and holes on the grid in each.
GRIDS = 4
HOLES = 10_000
HOLES_PER_MESSAGE = 100
LIMITS = {False: 5_000, True: 20_000}
#: Published ahead beyond what the limit asks for, so that the queue never runs dry.
AHEAD = 2.0
LOOK_EVERY = 10.0


def main() -> int:
    """Fill the queue, let it drain, and say how fast."""
    options = argparse.ArgumentParser(description=DESCRIPTION)
    options.add_argument("--seconds", type=float, default=60, help="how long to measure")
    options.add_argument("--multi", action="store_true", help="100 holes a message")
    options.add_argument("--home", type=Path, help="keep the processes' logs here")
    chosen = options.parse_args()
    end_on_sigterm()
    with (
        PrivateRabbit() as rabbit,
        private_facility(
            chosen.home, ATHANOR_RABBITMQ__URL=rabbit.url, ATHANOR_RABBITMQ__QUEUE=QUEUE
        ) as facility,
    ):
        return measure(facility, rabbit.url, seconds=chosen.seconds, multi=chosen.multi)


def measure(facility: Facility, amqp: str, *, seconds: float, multi: bool) -> int:
    """Return 0 when the limit is reached, else 1."""
    limit = LIMITS[multi]
    database = Database(facility.database_url)
    migrations.upgrade(database)
    holes = [hole for _ in range(GRIDS) for hole in plant(database, HOLES)[1]]
    facility.prefect()
    facility.run("init")
    # A sensor declares the queue; it is stopped while the queue is filled.
    (sensor,) = facility.sensors(1)
    sensor.says("Taking messages from queue")
    sensor.hold_down()
    wanted = int(limit * seconds * AHEAD)
    published = fill(amqp, many(holes, wanted) if multi else singles(holes, wanted))
    print(f"{published:,} messages published ahead")
    (worker,) = facility.workers(1)
    sensor.let_up()
    wait_for(lambda: progress(database) > 0, seconds=60, what="the first prediction")
    rates = list(windows(database, [sensor.pid, worker.pid], seconds))
    total = sum(rates) / len(rates)
    what = "holes of model_multi_prediction" if multi else "foilhole.model_prediction messages"
    with database.reading() as session:
        current = session.scalar(select(func.count()).select_from(CurrentPrediction)) or 0
    print(f"{current:,} current predictions; {what}, limit {limit:,}/s")
    print(f"{total:,.0f} {'holes' if multi else 'messages'}/s")
    database.close()
    return 0 if total >= limit else 1


def singles(holes: Sequence[UUID], number: int) -> Iterator[dict[str, object]]:
    """Yield one prediction per message, as models go over the squares of all grids at once."""
    for n, hole in enumerate(islice(cycle(mixed(holes, 1)), number)):
        yield {
            "event_type": "foilhole.model_prediction",
            "foilhole_uuid": str(hole),
            "prediction_model_name": "benchmark",
            "prediction_value": (n % 997) / 997,
        }


def many(holes: Sequence[UUID], number: int) -> Iterator[dict[str, object]]:
    """Yield one value for a hundred holes per message."""
    ordered = mixed(holes, HOLES_PER_MESSAGE)
    parts = [ordered[n : n + HOLES_PER_MESSAGE] for n in range(0, len(holes), HOLES_PER_MESSAGE)]
    for n, part in enumerate(islice(cycle(parts), math.ceil(number / HOLES_PER_MESSAGE))):
        yield {
            "event_type": "foilhole.model_multi_prediction",
            "foilhole_uuids": [str(hole) for hole in part],
            "prediction_model_name": "benchmark",
            "prediction_value": (n % 997) / 997,
        }


def mixed(holes: Sequence[UUID], run: int) -> list[UUID]:
    """Return the holes of all grids by turns, so many of each at a time."""
    grids = [holes[start : start + HOLES] for start in range(0, len(holes), HOLES)]
    return [
        hole
        for start in range(0, HOLES, run)
        for grid in grids
        for hole in grid[start : start + run]
    ]


def fill(amqp: str, messages: Iterator[dict[str, object]]) -> int:
    """Publish persistent messages, then wait until the broker has them; return how many."""
    number = 0
    with pika.BlockingConnection(pika.URLParameters(amqp)) as connection:
        channel = connection.channel()
        for number, message in enumerate(messages, start=1):  # noqa: B007 (the last number counts)
            properties = pika.BasicProperties(delivery_mode=2, message_id=str(uuid4()))
            channel.basic_publish("", QUEUE, json.dumps(message).encode(), properties)
        wait_for(lambda: depth(channel) >= number, seconds=120, what="all messages in the queue")
    return number


def depth(channel: BlockingChannel) -> int:
    """Return how many messages wait in the queue."""
    return channel.queue_declare(QUEUE, passive=True).method.message_count


def windows(database: Database, processes: Sequence[int], seconds: float) -> Iterator[float]:
    """Print and yield the rate of each window of ten seconds."""
    began = time.monotonic()
    before, at = progress(database), began
    busy = cpu(processes)
    while time.monotonic() - began < seconds:
        time.sleep(LOOK_EVERY)
        now, done = time.monotonic(), progress(database)
        used = cpu(processes)
        memory = sum(psutil.Process(pid).memory_info().rss for pid in processes) / 2**20
        rate = (done - before) / (now - at)
        share = [f"{(new - old) / (now - at):.0%}" for old, new in zip(busy, used, strict=True)]
        print(
            f"  {now - began:4.0f} s  {rate:8,.0f}/s   sensor and worker {memory:4.0f} MB, "
            f"CPU {', '.join(share)}",
            flush=True,
        )
        yield rate
        before, at, busy = done, now, used


def cpu(processes: Sequence[int]) -> list[float]:
    """Return the seconds of CPU time that each process has used."""
    return [sum(psutil.Process(pid).cpu_times()[:2]) for pid in processes]


def progress(database: Database) -> int:
    """Return how many predictions are committed, by what the database counts as inserted."""
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(Prediction)) or 0


if __name__ == "__main__":
    sys.exit(main())
