"""A worker in a process of its own: `python -m tests.integration.prefect.worker_process POOL 5`.

The number is for how many seconds its runs may go on when it is told to stop.
"""

import asyncio
import sys

from core.logging import configure
from core.settings import WorkerSettings
from entrypoints.supervisor import Supervisor
from entrypoints.worker import WarmWorker


async def main() -> None:
    pool, stop_seconds = sys.argv[1:]
    worker = WarmWorker(
        WorkerSettings(pool=pool, poll_seconds=0.5, stop_seconds=float(stop_seconds))
    )
    await Supervisor([worker]).run()


if __name__ == "__main__":
    configure()
    asyncio.run(main())
