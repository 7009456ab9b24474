"""News from the file system, from watchdog's thread into our event loop."""

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from agent.epu.names import Kind, classify

logger = logging.getLogger(__name__)

_FILE_NEWS = (FileCreatedEvent, FileModifiedEvent, FileMovedEvent, FileClosedEvent)
_FOLDER_NEWS = (DirCreatedEvent, DirMovedEvent)


class Notices(FileSystemEventHandler):
    """Manifests and folders that something happened to; safe to fill from another thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._paths: set[str] = set()
        self._folders: set[str] = set()
        self._news = asyncio.Event()

    def dispatch(self, event: FileSystemEvent) -> None:
        """Take in an event, in watchdog's thread."""
        path = os.fsdecode(event.dest_path or event.src_path)
        if isinstance(event, _FOLDER_NEWS):
            self._add(path, is_folder=True)
        elif isinstance(event, _FILE_NEWS) and classify(path).kind is not Kind.OTHER:
            self._add(path, is_folder=False)

    def _add(self, path: str, *, is_folder: bool) -> None:
        with self._lock:
            is_first = not (self._paths or self._folders)
            (self._folders if is_folder else self._paths).add(path)
        if is_first:
            # Once for all until they are taken: a folder moved here tells of each of its files.
            self._loop.call_soon_threadsafe(self._news.set)

    def take(self) -> tuple[set[Path], set[Path]]:
        """Return the files and folders since the last call."""
        with self._lock:
            paths, folders = self._paths, self._folders
            self._paths, self._folders = set(), set()
        # What comes from here on sets it again, once the loop gets there.
        self._news.clear()
        return set(map(Path, paths)), set(map(Path, folders))

    async def wait(self, seconds: float) -> None:
        """Return when there is news, or after a time."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), seconds)


class Watches:
    """The folders that watchdog watches for us. What it misses, the next scan finds."""

    def __init__(self, notices: Notices, *, polling: bool) -> None:
        """Prepare.

        Args:
            notices: Told of all that happens.
            polling: Ask the file system for no news at all: scans find everything.
        """
        self._notices = notices
        self._observer = None if polling else Observer()
        self._watched: list[tuple[Path, bool]] = []

    def start(self) -> None:
        """Start watchdog's threads."""
        if self._observer is not None:
            self._observer.start()

    def add(self, folder: Path, *, recursive: bool) -> None:
        """Watch a folder that exists, once."""
        if self._observer is None or self.covers(folder) or not folder.is_dir():
            return
        self._watched.append((folder, recursive))
        try:
            self._observer.schedule(self._notices, str(folder), recursive=recursive)
        except OSError as error:
            # Too many watches, or a file system without them: scanning still finds all.
            logger.warning(
                "The folder %s cannot be watched (%s); it is scanned every so often instead",
                folder,
                error.strerror or error,
                extra={"action": "watch_refused", "domain": "cryoem"},
            )

    def covers(self, folder: Path) -> bool:
        """Tell whether news of a folder's files comes already."""
        return any(
            folder == known or (deep and folder.is_relative_to(known))
            for known, deep in self._watched
        )

    def stop(self) -> None:
        """Stop watchdog's threads and wait for their end."""
        if self._observer is not None:
            self._observer.stop()
            if self._observer.is_alive():
                self._observer.join()


@contextlib.asynccontextmanager
async def watches(notices: Notices, *, polling: bool = False) -> AsyncIterator[Watches]:
    """Watch folders while the block runs."""
    watching = Watches(notices, polling=polling)
    watching.start()
    try:
        yield watching
    finally:
        await asyncio.to_thread(watching.stop)
