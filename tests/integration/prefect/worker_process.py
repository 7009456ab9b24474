"""A worker in a process of its own: `python -m tests.integration.prefect.worker_process POOL`."""

import asyncio
import sys

from core.logging import configure
from core.settings import WorkerSettings
from entrypoints.supervisor import Supervisor
from entrypoints.worker import WarmWorker


async def main() -> None:
    worker = WarmWorker(WorkerSettings(pool=sys.argv[1], poll_seconds=0.5), drain_seconds=0.5)
    await Supervisor([worker]).run()


if __name__ == "__main__":
    configure()
    asyncio.run(main())
