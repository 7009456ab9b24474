"""From a published prediction to the decision that Athena accepted: `python -m benchmarks.latency`.

Real processes on private servers: RabbitMQ, a sensor, PostgreSQL, Prefect's server (on
PostgreSQL), a worker, a simulated Athena. Squares are known and registered beforehand; each
message is a square's prediction and leads to one decision. Counted from just before the
publishing to Athena's answer (`outbox_message.sent_at`), at 20 messages a second, then at 500.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pika
import psycopg

from benchmarks.chaos.world import Grid, make_grids
from benchmarks.facility import Facility, end_on_sigterm, private_facility, together, wait_for
from benchmarks.services import PrivateRabbit

QUEUE = "smartem_backend"
#: Seconds of the way, as tables tell them: (name, from, to).
_STAGES = (
    ("published → stored", "published", "received"),
    ("stored → decided", "received", "made"),
    ("decided → accepted", "made", "sent"),
)


@dataclass(frozen=True)
class Load:
    """How much comes, and how soon it must be through; seconds by percentile."""

    per_second: int
    seconds: int
    limits: dict[int, float]


LOADS = (Load(20, 45, {50: 0.4, 95: 1.0, 99: 2.0}), Load(500, 20, {95: 2.0}))
_WARM_UP = Load(20, 8, {})


@dataclass(frozen=True)
class Moments:
    """When one message was where; seconds since the epoch."""

    published: float
    received: float
    made: float
    sent: float


def main() -> int:
    """Measure; return 0 when all limits are kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--sensors", type=int, default=1)
    parser.add_argument("--grids", type=int, default=2)
    parser.add_argument("--squares", type=int, default=2_500, help="a grid")
    parser.add_argument("--logs", type=Path, help="folder in which the processes' logs stay")
    parser.add_argument("--setting", action="append", default=[], metavar="NAME=VALUE")
    chosen = parser.parse_args()
    end_on_sigterm()
    settings = dict(one.split("=", maxsplit=1) for one in chosen.setting)
    with (
        PrivateRabbit() as rabbit,
        private_facility(chosen.logs, ATHANOR_RABBITMQ__URL=rabbit.url, **settings) as plant,
    ):
        grids = make_grids(0, grids=chosen.grids, squares=chosen.squares, holes=0)
        _prepare(plant, grids, sensors=chosen.sensors, workers=chosen.workers)
        _measure(plant, rabbit.url, grids, _WARM_UP)
        lines = [_report(load, _measure(plant, rabbit.url, grids, load)) for load in LOADS]
    for text, _ in lines:
        print(text)
    return 0 if all(kept for _, kept in lines) else 1


def _prepare(plant: Facility, grids: Sequence[Grid], *, sensors: int, workers: int) -> None:
    """Start everything and have all squares registered at Athena."""
    together(plant.athena, plant.prefect)
    plant.run("init")
    plant.sensors(sensors)
    together(plant.api, lambda: plant.workers(workers))
    for grid in grids:
        said = list(grid.said_by_agent())
        for start in range(0, len(said), 1_000):
            part = said[start : start + 1_000]
            httpx.post(f"{plant.api_url}/messages", json=part, timeout=60).raise_for_status()
    wanted = sum(len(grid.squares) for grid in grids)

    def registered() -> bool:
        found = [
            httpx.get(f"{plant.athena_url}/api/v1/Session/{grid.uuid}/Areas", timeout=30)
            for grid in grids
        ]
        return sum(len(one.json()) for one in found if one.is_success) == wanted

    took = wait_for(registered, seconds=120, what="the squares at Athena")
    print(f"{wanted} squares registered at Athena in {took:.1f} s", flush=True)
    plant.processes["api"].stop()


def _measure(plant: Facility, url: str, grids: Sequence[Grid], load: Load) -> list[Moments]:
    """Publish a load, wait for the decisions, and return when each message was where."""
    published = _publish(url, grids, load)

    def through() -> bool:
        time.sleep(0.5)
        return not _left(plant.database_url, list(published))

    wait_for(through, seconds=120, what="the decisions")
    rows = _rows(plant.database_url, list(published))
    overtaken = len(published) - len(rows)
    print(
        f"{len(rows)} of {len(published)} messages have their decision at Athena"
        + (f", {overtaken} were overtaken by the next one for their square" if overtaken else ""),
        flush=True,
    )
    return [
        Moments(
            published[row["message_id"]],
            row["received_at"].timestamp(),
            row["made_at"].timestamp(),
            row["sent_at"].timestamp(),
        )
        for row in rows
    ]


_MOMENTS = """
SELECT i.message_id, i.received_at, d.made_at, o.sent_at
FROM outbox_message o
JOIN decision d ON d.id = o.id
JOIN inbox_message i ON i.seq = (SELECT value::bigint FROM jsonb_each_text(d.basis) LIMIT 1)
WHERE o.state = 'done' AND i.message_id = ANY(%s)
"""


def _left(url: str, idents: list[str]) -> int:
    """Return how much of what was published is on its way."""
    with psycopg.connect(url) as database:
        done, unsent = database.execute(
            "SELECT (SELECT count(*) FROM inbox_message WHERE state = 'done'"
            " AND message_id = ANY(%s)),"
            " (SELECT count(*) FROM outbox_message WHERE state IN ('pending', 'claimed'))",
            (idents,),
        ).fetchone() or (0, 0)
    return len(idents) - done + unsent


def _rows(url: str, idents: list[str]) -> list[dict[str, Any]]:
    with psycopg.connect(url) as database:
        cursor = database.execute(_MOMENTS, (idents,))
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor]


def _publish(url: str, grids: Sequence[Grid], load: Load) -> dict[str, float]:
    """Publish at a steady pace, squares in turn; return when each message was."""
    # Grids in turn, so that all of them are at work.
    squares = [one.uuid for alike in zip(*(g.squares for g in grids), strict=True) for one in alike]
    number = load.per_second * load.seconds
    name = f"{load.per_second}-{time.time_ns()}"
    published: dict[str, float] = {}
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        began = time.monotonic()
        for n in range(number):
            early = began + n / load.per_second - time.monotonic()
            if early > 0:
                connection.sleep(early)
            ident = f"{name}-{n}"
            published[ident] = time.time()
            channel.basic_publish(
                "",
                QUEUE,
                _body(squares[n % len(squares)], n),
                pika.BasicProperties(message_id=ident, delivery_mode=pika.DeliveryMode.Persistent),
            )
        late = time.monotonic() - began - load.seconds
    print(f"{number} messages published at {load.per_second}/s ({late:+.2f} s)", flush=True)
    return published


def _body(square: UUID, number: int) -> bytes:
    return json.dumps(
        {
            "event_type": "gridsquare.model_prediction",
            "gridsquare_uuid": str(square),
            "prediction_model_name": "latency",
            "prediction_value": (number % 100) / 100,
        }
    ).encode()


def _report(load: Load, moments: Sequence[Moments]) -> tuple[str, bool]:
    """Return the figures of a load in words, and whether its limits are kept."""
    whole = [one.sent - one.published for one in moments]
    for name, start, end in _STAGES:
        took = [getattr(one, end) - getattr(one, start) for one in moments]
        print(f"  {name:20} {_percentiles(took)}")
    kept = all(_percentile(whole, p) <= limit for p, limit in load.limits.items())
    limits = ", ".join(f"p{p} {limit * 1000:.0f} ms" for p, limit in load.limits.items())
    text = f"published → accepted at {load.per_second}/s: {_percentiles(whole)} (limits: {limits})"
    return text, kept


def _percentile(values: Sequence[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def _percentiles(values: Sequence[float]) -> str:
    return "  ".join(f"p{p} {_percentile(values, p) * 1000:5.0f} ms" for p in (50, 95, 99))


if __name__ == "__main__":
    sys.exit(main())
