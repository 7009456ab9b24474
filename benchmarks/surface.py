"""How many entities a second SmartEM's clients can write over HTTP.

    python -m benchmarks.surface [--seconds 20] [--clients 64] [--batches 4] [--published]

`athanor api` is a process of its own on a private PostgreSQL; the clients, which share one event
loop here, keep their connections and send what was written beforehand. Single POSTs make one
micrograph each, on the holes of one grid; batches make 1,000 squares each.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
import psutil
from sqlalchemy import func, select

from benchmarks.facility import Facility, end_on_sigterm, private_facility
from models import migrations
from models.cryoem.tables import Micrograph, Square
from models.database import Database

DESCRIPTION = "How many entities a second SmartEM's clients can write over HTTP."
SINGLE_LIMIT, BATCH_LIMIT = 800, 8_000
HOLES = 500
BATCH = 1_000
WARM_UP = 2.0
JSON = {"Content-Type": "application/json"}

#: Makes the path and the body of the next request.
Requests = Iterator[tuple[str, Any]]


def main() -> int:
    """Measure both; return 0 when both limits are reached."""
    options = argparse.ArgumentParser(description=DESCRIPTION)
    options.add_argument("--seconds", type=float, default=20, help="how long to measure each")
    options.add_argument("--clients", type=int, default=64, help="who post single micrographs")
    options.add_argument("--batches", type=int, default=4, help="clients who post batches")
    options.add_argument(
        "--published", action="store_true", help="put a message to publish into the outbox for each"
    )
    chosen = options.parse_args()
    end_on_sigterm()
    # Nobody is there to publish to: the messages are written, and stay in the outbox.
    broker = {"ATHANOR_RABBITMQ__URL": "amqp://127.0.0.1:1/"} if chosen.published else {}
    with private_facility(None, **broker) as facility, opened(facility) as database:
        facility.api()
        grid, holes = prepare(facility.api_url)
        single = measure(
            facility,
            "single POSTs of micrographs",
            lambda: micrographs(holes),
            clients=chosen.clients,
            seconds=chosen.seconds,
            each=1,
        )
        batches = measure(
            facility,
            f"squares in batches of {BATCH:,}",
            lambda: squares(grid),
            clients=chosen.batches,
            seconds=chosen.seconds,
            each=BATCH,
        )
        with database.reading() as session:
            stored = [
                session.scalar(select(func.count()).select_from(kind)) or 0
                for kind in (Micrograph, Square)
            ]
        print(f"stored: {stored[0]:,} micrographs, {stored[1]:,} squares")
    print(f"single POSTs: {single:,.0f}/s (limit {SINGLE_LIMIT:,})")
    print(f"in batches: {batches:,.0f} entities/s (limit {BATCH_LIMIT:,})")
    return 0 if single >= SINGLE_LIMIT and batches >= BATCH_LIMIT else 1


@contextmanager
def opened(facility: Facility) -> Iterator[Database]:
    """Give the facility's database, migrated."""
    database = Database(facility.database_url)
    migrations.upgrade(database)
    yield database
    database.close()


def prepare(url: str) -> tuple[UUID, list[tuple[UUID, int]]]:
    """Make a grid and a square with holes; return the grid and the holes with EPU's ids."""
    acquisition, grid, square = uuid4(), uuid4(), uuid4()
    holes = [(uuid4(), ident) for ident in range(1, HOLES + 1)]
    with httpx.Client(base_url=url, timeout=60, headers=JSON) as client:
        for path, body in (
            ("/acquisitions", {"uuid": acquisition, "name": "surface"}),
            (
                f"/acquisitions/{acquisition}/grids",
                {"uuid": grid, "name": "surface", "acquisition_uuid": acquisition},
            ),
            (
                f"/grids/{grid}/gridsquares",
                {"uuid": square, "gridsquare_id": "0", "grid_uuid": grid},
            ),
            (
                f"/gridsquares/{square}/foilholes",
                [
                    {
                        "uuid": hole,
                        "foilhole_id": str(ident),
                        "gridsquare_id": "0",
                        "gridsquare_uuid": square,
                    }
                    for hole, ident in holes
                ],
            ),
        ):
            answer = client.post(path, content=json.dumps(body, default=str).encode())
            answer.raise_for_status()
    return grid, holes


def micrographs(holes: Sequence[tuple[UUID, int]]) -> Requests:
    """Yield what SmartEM's agent sends of micrographs, one after the other."""
    for number in count():
        hole, ident = holes[number % len(holes)]
        stem = f"FoilHole_{ident}_Data_{number}_20260302_101502"
        yield (
            f"/foilholes/{hole}/micrographs",
            {
                "uuid": uuid4(),
                "foilhole_id": str(ident),
                "foilhole_uuid": hole,
                "location_id": str(number % 9),
                "high_res_path": f"/data/epu/{stem}_Fractions.mrc",
                "manifest_file": f"/data/epu/{stem}.xml",
                "acquisition_datetime": "2026-03-02T10:15:02+00:00",
                "defocus": -1.8e-6,
                "detector_name": "EF-Falcon",
                "energy_filter": True,
                "phase_plate": False,
                "image_size_x": 4096,
                "image_size_y": 4096,
                "binning_x": 1,
                "binning_y": 1,
                "status": "none",
            },
        )


def squares(grid: UUID) -> Requests:
    """Yield batches of squares as SmartEM's agent sends them of an atlas."""
    for number in count():
        first = 1 + number * BATCH
        yield (
            f"/grids/{grid}/gridsquares/batch",
            {
                "gridsquares": [
                    {
                        "uuid": uuid4(),
                        "gridsquare_id": str(ident),
                        "grid_uuid": grid,
                        "center_x": ident % 5000,
                        "center_y": ident % 4000,
                        "size_width": 120,
                        "size_height": 118,
                        "status": "none",
                        "lowmag": True,
                    }
                    for ident in range(first, first + BATCH)
                ]
            },
        )


def measure(
    facility: Facility,
    what: str,
    requests: Callable[[], Requests],
    *,
    clients: int,
    seconds: float,
    each: int,
) -> float:
    """Return how many entities a second were answered with 201, after a warm-up."""
    address = urlsplit(facility.api_url)
    made = requests()
    # Written beforehand: writing them takes no part in the figure. The rest is made meanwhile.
    ahead = int(1.5 * seconds * (SINGLE_LIMIT if each == 1 else BATCH_LIMIT) / each)
    written = iter([as_bytes(address.netloc, *next(made)) for _ in range(ahead)])

    def following() -> bytes:
        return next(written, None) or as_bytes(address.netloc, *next(made))

    process = psutil.Process(facility.processes["api"].pid)
    before = process.cpu_times()
    done = asyncio.run(
        post_all(
            address.hostname or "", address.port or 0, following, clients=clients, seconds=seconds
        )
    )
    used = process.cpu_times()
    spent = used.user + used.system - before.user - before.system
    late = sorted(latency for _, latency in done)
    print(
        f"{what}: {len(done):,} requests by {clients} clients, p50 {late[len(late) // 2]:.3f} s, "
        f"p95 {late[int(len(late) * 0.95)]:.3f} s; the API's process "
        f"{spent / (seconds + WARM_UP):.0%} of a core, {process.memory_info().rss / 2**20:.0f} MB",
        flush=True,
    )
    return sum(began > WARM_UP for began, _ in done) * each / seconds


def as_bytes(host: str, path: str, body: Any) -> bytes:
    """Return a request as it goes over the wire."""
    content = json.dumps(body, default=str).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


async def post_all(
    host: str, port: int, following: Callable[[], bytes], *, clients: int, seconds: float
) -> list[tuple[float, float]]:
    """Post until the time is over; return when each answer came, and after how long."""
    done: list[tuple[float, float]] = []
    start = time.perf_counter()

    async def client() -> None:
        reader, writer = await asyncio.open_connection(host, port, limit=2**24)
        while (began := time.perf_counter() - start) < seconds + WARM_UP:
            writer.write(following())
            await read_created(reader)
            now = time.perf_counter() - start
            if now < seconds + WARM_UP:
                done.append((now, now - began))
        writer.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return done


async def read_created(reader: asyncio.StreamReader) -> None:
    """Read one answer; raise if it is not 201."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line[15:]) for line in head.split(b"\r\n") if line[:15].lower() == b"content-length:"
    )
    body = await reader.readexactly(length)
    if not head.startswith(b"HTTP/1.1 201"):
        raise RuntimeError(f"{head.decode()}{body[:1000].decode()}")


if __name__ == "__main__":
    sys.exit(main())
