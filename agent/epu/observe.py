"""News from the file system, from watchdog's thread into our event loop."""

import asyncio
import contextlib
import logging
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
        self._paths: set[Path] = set()
        self._folders: set[Path] = set()
        self._news = asyncio.Event()

    def dispatch(self, event: FileSystemEvent) -> None:
        """Take in an event, in watchdog's thread."""
        path = Path(str(event.dest_path or event.src_path))
        if isinstance(event, _FOLDER_NEWS):
            self._loop.call_soon_threadsafe(self._add_folder, path)
        elif isinstance(event, _FILE_NEWS) and classify(path).kind is not Kind.OTHER:
            self._loop.call_soon_threadsafe(self._add_path, path)

    # Which set is in use is asked when the loop gets here: `take` may have changed it meanwhile.
    def _add_folder(self, path: Path) -> None:
        self._folders.add(path)
        self._news.set()

    def _add_path(self, path: Path) -> None:
        self._paths.add(path)
        self._news.set()

    def take(self) -> tuple[set[Path], set[Path]]:
        """Return the files and folders since the last call."""
        taken = self._paths, self._folders
        self._paths, self._folders = set(), set()
        self._news.clear()
        return taken

    async def wait(self, seconds: float) -> None:
        """Return when there is news, or after a time."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), seconds)


class Watches:
    """The folders that watchdog watches for us. What it misses, the next scan finds."""

    def __init__(self, notices: Notices) -> None:
        self._notices = notices
        self._observer = Observer()
        self._watched: list[tuple[Path, bool]] = []

    def start(self) -> None:
        """Start watchdog's threads."""
        self._observer.start()

    def add(self, folder: Path, *, recursive: bool) -> None:
        """Watch a folder that exists, once."""
        if self.covers(folder) or not folder.is_dir():
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
        self._observer.stop()
        if self._observer.is_alive():
            self._observer.join()


@contextlib.asynccontextmanager
async def watches(notices: Notices) -> AsyncIterator[Watches]:
    """Watch folders while the block runs."""
    watching = Watches(notices)
    watching.start()
    try:
        yield watching
    finally:
        await asyncio.to_thread(watching.stop)
