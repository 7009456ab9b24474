"""Wakes a run that lingers over a key when something new is stored for it.

A doorbell is never the only copy: whoever wakes looks into the inbox, and whoever is not
woken looks there when its wait is over.
"""

import asyncio
import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Protocol, Self

import psycopg
from psycopg import sql

from core.announcing import CHANNEL

#: How often to ask SQLite whether another process has committed: it has no way to tell us.
_SQLITE_LOOK_EVERY = 0.1
_RECONNECT_AFTER = 1.0


class Doorbell(Protocol):
    """Announces that a flow has something new for a key."""

    async def notify(self, flow: str, key: str) -> None:
        """Wake whoever waits for this flow and key, in whatever process."""
        ...

    def listening(self, flow: str, key: str) -> AbstractContextManager[asyncio.Event]:
        """Give an event that is set when something may have happened.

        Clear it, look into the inbox, then wait: so nothing falls between looking and waiting.
        """
        ...


class LocalDoorbell:
    """Wakes within this process; the shipped fake, and the core of the real ones."""

    def __init__(self) -> None:
        """Start with nobody waiting."""
        self._waiting: defaultdict[tuple[str, str], set[asyncio.Event]] = defaultdict(set)

    async def notify(self, flow: str, key: str) -> None:
        """Wake whoever waits in this process."""
        self.ring_here(flow, key)

    def ring_here(self, flow: str, key: str) -> None:
        """Wake whoever waits in this process; to be called on its event loop."""
        for event in self._waiting.get((flow, key), ()):
            event.set()

    def ring_all_here(self) -> None:
        """Wake all who wait in this process, when what happened is not known."""
        for events in self._waiting.values():
            for event in events:
                event.set()

    @contextmanager
    def listening(self, flow: str, key: str) -> Iterator[asyncio.Event]:
        """Give an event that is set when something may have happened."""
        event = asyncio.Event()
        self._waiting[flow, key].add(event)
        try:
            yield event
        finally:
            self._waiting[flow, key].discard(event)
            if not self._waiting[flow, key]:
                del self._waiting[flow, key]


async def woken(event: asyncio.Event, *, timeout: float) -> bool:
    """Wait for an event of `listening`; return False when the time runs out first."""
    try:
        async with asyncio.timeout(timeout):
            await event.wait()
    except TimeoutError:
        return False
    return True


class SqliteDoorbell(LocalDoorbell):
    """Wakes across processes that share an SQLite file, by watching its change counter."""

    def __init__(self, path: Path) -> None:
        """Take the database file; it is opened by `opened`."""
        super().__init__()
        self._path = path

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Self]:
        """Watch the file while the context lasts."""
        watcher = asyncio.create_task(self._watch(), name="sqlite-doorbell")
        try:
            yield self
        finally:
            watcher.cancel()
            with suppress(asyncio.CancelledError):
                await watcher

    async def _watch(self) -> None:
        connection = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        try:
            seen = None
            while True:
                # A file that is busy or away for a moment is looked at again.
                with suppress(sqlite3.OperationalError):
                    # Reads a counter in shared memory: no disk, no lock.
                    (version,) = connection.execute("PRAGMA data_version").fetchone()
                    if version != seen and seen is not None:
                        self.ring_all_here()
                    seen = version
                await asyncio.sleep(_SQLITE_LOOK_EVERY)
        finally:
            connection.close()


class PostgresDoorbell(LocalDoorbell):
    """Wakes across processes and machines by LISTEN and NOTIFY."""

    def __init__(self, conninfo: str) -> None:
        """Take a libpq connection string; it is opened by `opened`."""
        super().__init__()
        self._conninfo = conninfo
        self._sender: psycopg.AsyncConnection | None = None
        self._sending = asyncio.Lock()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Self]:
        """Listen while the context lasts."""
        listener = asyncio.create_task(self._listen(), name="postgres-doorbell")
        try:
            yield self
        finally:
            listener.cancel()
            with suppress(asyncio.CancelledError):
                await listener
            if self._sender is not None:
                await self._sender.close()

    async def notify(self, flow: str, key: str) -> None:
        """Wake whoever waits anywhere; a lost announcement is made up for by the sweep."""
        self.ring_here(flow, key)
        async with self._sending:
            try:
                if self._sender is None or self._sender.closed:
                    self._sender = await psycopg.AsyncConnection.connect(
                        self._conninfo, autocommit=True
                    )
                await self._sender.execute("SELECT pg_notify(%s, %s)", (CHANNEL, f"{flow} {key}"))
            except psycopg.OperationalError:
                self._sender = None

    async def _listen(self) -> None:
        while True:
            with suppress(psycopg.OperationalError):
                async with await psycopg.AsyncConnection.connect(
                    self._conninfo, autocommit=True
                ) as connection:
                    await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL)))
                    # Whatever was announced while nobody listened is unknown.
                    self.ring_all_here()
                    async for notice in connection.notifies():
                        flow, _, key = notice.payload.partition(" ")
                        self.ring_here(flow, key)
            await asyncio.sleep(_RECONNECT_AFTER)
