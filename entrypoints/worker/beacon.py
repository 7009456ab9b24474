"""Writes a worker's health file as long as the worker's event loop turns."""

import asyncio
from asyncio import Event, Task
from contextlib import suppress
from pathlib import Path
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from core.clock import utcnow
from core.errors import StorageUnavailable
from entrypoints.health_file import WRITE_EVERY, HealthFile, remove, remove_leftovers
from entrypoints.worker.worker import WarmWorker
from models.database import Database

#: Seconds that the database may take to answer.
_PATIENCE: Final = 3.0


class Beacon:
    """Says how a worker is until it is stopped."""

    name = "health file"

    def __init__(self, worker: WarmWorker, database: Database, folder: Path) -> None:
        """Take whom to ask and where to write; nothing is written."""
        self._worker = worker
        self._database = database
        self._folder = folder
        self._life: Task[None] | None = None
        self._stopping = Event()

    async def start(self) -> None:
        """Write the first time, and take away what killed workers left."""
        remove_leftovers(self._folder)
        await self._write()
        self._life = asyncio.create_task(self._live(), name="health file")

    async def wait(self) -> None:
        """Return when it was stopped."""
        await self._stopping.wait()

    async def stop(self) -> None:
        """Take the file away."""
        self._stopping.set()
        if self._life:
            await self._life
        remove(self._folder, self._worker.identity.name)

    async def _live(self) -> None:
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(WRITE_EVERY):
                    await self._stopping.wait()
            # A full disk shows as a silent worker, which is what it soon will be.
            with suppress(OSError):
                await self._write()

    async def _write(self) -> None:
        health = self._worker.health()
        HealthFile(
            name=health.name,
            host=self._worker.identity.host,
            pid=self._worker.identity.pid,
            written_at=utcnow(),
            pool=health.pool,
            running=health.running,
            max_runs=health.max_runs,
            finished=health.finished,
            stopping=health.stopping,
            last_poll=health.last_poll,
            prefect=health.problem,
            database=await self._trouble_of_database(),
        ).write(self._folder)

    async def _trouble_of_database(self) -> str | None:
        try:
            async with asyncio.timeout(_PATIENCE):
                await asyncio.to_thread(self._database.check)
        except TimeoutError:
            return f"The database does not answer within {_PATIENCE:.0f} s."
        except (StorageUnavailable, SQLAlchemyError) as exc:
            return str(exc)
        return None
