"""How many requests it takes to register 5,000 areas: `python -m benchmarks.areas [--areas 5000]`.

The real task against the simulated Athena over HTTP, on SQLite. Limit: 10 requests.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from blocks.athena.client import AthenaClient
from blocks.resources import Resources
from core.clock import utcnow
from core.settings import Settings
from domains.cryoem import ids
from domains.cryoem.manifests import EpuSession, HoleTarget, SquareManifest
from messaging.doorbell import LocalDoorbell
from models import migrations
from models.athena import GridType, Session
from models.cryoem import athena
from models.cryoem.decision_tables import AthenaSession
from models.cryoem.entities import apply_epu
from models.cryoem.messages import EpuSessionMessage, EpuSquareMessage
from models.database import Database
from simulators.athena.server import running
from tasks.cryoem.areas import push_areas

LIMIT_REQUESTS = 10
HOLES_PER_SQUARE = 99


async def measure(areas: int) -> bool:
    """Print the figure; return whether the limit is kept."""
    session = EpuSession(epu_id="1", name="benchmark", started_at=utcnow())
    grid = ids.grid_uuid(session)
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'benchmark.db'}")
        migrations.upgrade(database)
        with database.transaction() as db:
            apply_epu(db, _messages(session, areas // (HOLES_PER_SQUARE + 1)), now=utcnow())
        async with running() as service, AthenaClient(service.url) as client:
            created = await client.create_session(
                Session(session_id=grid, session_name="Grid_benchmark")
            )
            row = AthenaSession(
                grid_uuid=grid,
                session_id=grid,
                session_name=created.session_name,
                grid_type=GridType.HOLEY_CARBON,
                adopted=False,
                registered_at=utcnow(),
            )
            await database.write(athena.save_session, row)
            here = Resources(Settings(), database, LocalDoorbell(), None, client)
            stats = service.app.state.simulator.injector.stats
            before, began = stats.requests, time.perf_counter()
            pushed = await push_areas(here, grid)
            seconds, requests = time.perf_counter() - began, stats.requests - before
        database.close()
    print(
        f"{pushed:,} areas registered: {requests} HTTP requests (limit {LIMIT_REQUESTS}), "
        f"{seconds:.2f} s"
    )
    return requests <= LIMIT_REQUESTS and pushed >= areas


def _messages(session: EpuSession, squares: int) -> list[EpuSessionMessage | EpuSquareMessage]:
    common = {"grid_uuid": ids.grid_uuid(session), "path": "-", "observed_at": utcnow()}
    size = HOLES_PER_SQUARE + 1
    return [
        EpuSessionMessage(**common, manifest=session),
        *(
            EpuSquareMessage(
                **common,
                manifest=SquareManifest(
                    square_id=first,
                    holes=tuple(HoleTarget(hole_id=first + n) for n in range(1, size)),
                ),
            )
            for first in range(1, squares * size + 1, size)
        ),
    ]


def main() -> int:
    """Measure; return 0 when the limit is kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--areas", type=int, default=5_000)
    return 0 if asyncio.run(measure(parser.parse_args().areas)) else 1


if __name__ == "__main__":
    sys.exit(main())
