"""How long a ring takes to reach the flow's code: `python -m benchmarks.ring [--rings 100]`.

A Prefect server on SQLite in a temporary folder (on an empty PostgreSQL database with
`--database URL`; or the one at PREFECT_API_URL with `--server`), a warm worker and a launcher
in this process. Rings come one at a time (limit: median 150 ms), then all at once; last, what
the worker's process weighs.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sized
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
from pydantic import SecretStr

from core.settings import PrefectSettings, WorkerSettings
from entrypoints.ports import free_port
from entrypoints.prefect_server import PrefectServer, use_server

LIMIT_MS = 150.0
_WARM_UP = 5
_PAUSE_SECONDS = 0.05


@asynccontextmanager
async def server_of_our_own(database: str | None) -> AsyncIterator[str]:
    url = SecretStr(database) if database else None
    with tempfile.TemporaryDirectory() as home:
        server = PrefectServer(PrefectSettings(port=free_port(), database_url=url), Path(home))
        await server.start()
        try:
            yield server.api_url
        finally:
            await server.stop()


@asynccontextmanager
async def server_there() -> AsyncIterator[str]:
    yield os.environ["PREFECT_API_URL"]


async def until(count: int, reached: Sized) -> None:
    while len(reached) < count:  # noqa: ASYNC110  # the probe shall do nothing but note the time
        await asyncio.sleep(0.001)


async def measure(rings: int, burst: int) -> bool:
    """Print the figures; return whether the limit is kept."""
    # Prefect reads PREFECT_API_URL when it is imported.
    from prefect.client.orchestration import get_client  # noqa: PLC0415

    from benchmarks.ring_flow import REACHED  # noqa: PLC0415
    from deployments.project import DeploymentDefinition  # noqa: PLC0415
    from deployments.registry import register_deployments  # noqa: PLC0415
    from entrypoints.worker import WarmWorker  # noqa: PLC0415
    from messaging.launcher import Launcher  # noqa: PLC0415

    reached: dict[int, float] = {}
    REACHED.set(reached)
    definition = DeploymentDefinition.model_validate(
        {
            "name": "probe",
            "entrypoint": "benchmarks/ring_flow.py:probe",
            "work_pool": {"name": "benchmark"},
            "description": "Rung by benchmarks.ring.",
        }
    )
    async with get_client() as client:
        await register_deployments(client, [definition])
    worker = WarmWorker(WorkerSettings(pool="benchmark"))
    await worker.start()
    try:
        async with Launcher(rung=worker.wake) as launcher:
            latencies = []
            for number in range(_WARM_UP + rings):
                rung = time.perf_counter()
                await launcher.launch("probe/probe", {"number": number})
                await until(number + 1, reached)
                latencies.append((reached[number] - rung) * 1_000)
                await asyncio.sleep(_PAUSE_SECONDS)
            before = len(reached)
            rung = time.perf_counter()
            async with asyncio.TaskGroup() as group:
                for number in range(burst):
                    group.create_task(launcher.launch("probe/probe", {"number": 10**6 + number}))
            await until(before + burst, reached)
            together = time.perf_counter() - rung
    finally:
        await worker.stop()

    measured = sorted(latencies[_WARM_UP:])
    median, late = statistics.median(measured), measured[int(len(measured) * 0.95)]
    weight = psutil.Process().memory_info().rss / 2**20
    print(f"ring to flow code   p50 {median:6.1f} ms   p95 {late:6.1f} ms   (limit {LIMIT_MS:.0f})")
    print(f"{burst} rings at once    {together:6.2f} s    {burst / together:6.1f} runs/s")
    print(f"resident             {weight:6.0f} MB after {before + burst} runs")
    return median <= LIMIT_MS


async def main() -> int:
    """Measure and return 0 if the limit is kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rings", type=int, default=100)
    parser.add_argument("--burst", type=int, default=40)
    parser.add_argument("--server", action="store_true", help="use the server at PREFECT_API_URL")
    parser.add_argument("--database", help="postgresql://…, empty, for the server's runs")
    options = parser.parse_args()
    server = server_there() if options.server else server_of_our_own(options.database)
    async with server as api_url:
        use_server(api_url)
        return 0 if await measure(options.rings, options.burst) else 1


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
