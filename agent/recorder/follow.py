"""A folder recorded while it changes, until told to stop."""

import logging
import os
import queue
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedNoWriteEvent,
    FileMovedEvent,
    FileOpenedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from agent.recorder.capture import Capture, Rules
from agent.recorder.snapshot import Progress, Recorded, initial, recorded
from agent.recorder.workspace import Workspace

logger = logging.getLogger(__name__)

#: A file that goes on changing is recorded as it is at least so often, in seconds.
_LONGEST_UNSETTLED = 2.0
#: Longest time between scans of a folder that gives no news, in seconds.
_RESCAN_UNWATCHED = 1.0


class _News(FileSystemEventHandler):
    """Takes the file system's news from watchdog's thread into a queue."""

    def __init__(self) -> None:
        self.queue: queue.SimpleQueue[FileSystemEvent] = queue.SimpleQueue()

    def dispatch(self, event: FileSystemEvent) -> None:
        """Take in an event."""
        if not isinstance(event, FileOpenedEvent | FileClosedNoWriteEvent):
            self.queue.put(event)


@dataclass
class _Pending:
    """Paths that something happened to, with the first and the last time (monotonic)."""

    first: dict[str, float] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)

    def touch(self, path: str) -> None:
        now = time.monotonic()
        self.first.setdefault(path, now)
        self.last[path] = now

    def drop(self, path: str) -> None:
        self.first.pop(path, None)
        self.last.pop(path, None)

    def is_overdue(self, path: str) -> bool:
        return time.monotonic() - self.first[path] >= _LONGEST_UNSETTLED

    def due(self, settle: float) -> list[str]:
        now = time.monotonic()
        return [
            path
            for path, last in self.last.items()
            if now - last >= settle or self.is_overdue(path)
        ]


class Follower:
    """Records a folder while it changes."""

    def __init__(
        self,
        root: Path,
        workspace: Workspace,
        rules: Rules,
        *,
        settle_seconds: float = 0.2,
        rescan_seconds: float = 10.0,
    ) -> None:
        """Prepare, and look at nothing.

        Args:
            root: The folder, as `check_root` returns it.
            workspace: Where the recording grows.
            rules: What is kept of which files.
            settle_seconds: A file unchanged for so long is read.
            rescan_seconds: Time between scans for what the file system did not tell.
        """
        self._root = root
        self._workspace = workspace
        self._capture = Capture(root, workspace, rules)
        self._settle = settle_seconds
        self._rescan = rescan_seconds
        self._news = _News()
        self._pending = _Pending()

    def run(self, stop: threading.Event, *, progress: Progress | None = None) -> Recorded:
        """Record until `stop`; what changed until then is in the recording."""
        observer = Observer()
        try:
            observer.schedule(self._news, str(self._root), recursive=True)
            observer.start()
        except OSError as error:
            # Too many watches, or a file system without them: scanning still finds all.
            self._rescan = min(self._rescan, _RESCAN_UNWATCHED)
            logger.warning(
                "The folder %s cannot be watched (%s); it is scanned every %.1f s instead",
                self._root,
                error.strerror or error,
                self._rescan,
                extra={"action": "watch_refused", "domain": "recorder"},
            )
        try:
            # Watching starts before the snapshot: what comes in between is looked at twice.
            initial(self._capture, progress)
            self._follow(stop, progress)
        finally:
            if observer.is_alive():
                observer.stop()
                observer.join()
        self._take_news()
        self._look(list(self._pending.last), final=True)
        self._scan(final=True)
        return recorded(self._capture)

    def _follow(self, stop: threading.Event, progress: Progress | None) -> None:
        scan_at = time.monotonic() + self._rescan
        while not stop.wait(min(max(self._settle / 2, 0.01), 0.1)):
            self._take_news()
            self._look(self._pending.due(self._settle))
            if time.monotonic() >= scan_at:
                self._scan()
                scan_at = time.monotonic() + self._rescan
            if progress:
                progress(self._workspace.count, self._workspace.bytes)

    def _take_news(self) -> None:
        while True:
            try:
                event = self._news.queue.get_nowait()
            except queue.Empty:
                return
            self._take(event)

    def _take(self, event: FileSystemEvent) -> None:
        source = self._relative(event.src_path)
        if isinstance(event, FileMovedEvent | DirMovedEvent):
            target = self._relative(event.dest_path)
            if source and target:
                self._capture.moved(source, target)
                self._pending.drop(source)
            for path in (source, target):
                if path:
                    self._pending.touch(path)
        elif source:
            self._pending.touch(source)
        if isinstance(event, DirCreatedEvent | DirMovedEvent):
            # What was in it before it was watched, nobody tells.
            self._touch_below(self._relative(event.dest_path) or source)

    def _touch_below(self, folder: str) -> None:
        if folder:
            for path in self._capture.walk(folder):
                self._pending.touch(path)

    def _look(self, paths: list[str], *, final: bool = False) -> None:
        # Folders come before what is in them.
        for path in sorted(paths):
            if self._capture.look(path, final=final or self._pending.is_overdue(path)):
                self._pending.drop(path)
            else:
                self._pending.touch(path)

    def _scan(self, *, final: bool = False) -> None:
        if not self._root.is_dir():
            return  # a network folder that is away has not been deleted
        there = set(self._capture.walk())
        changed = [
            path for path in there | self._capture.known.keys() if self._capture.has_changed(path)
        ]
        for path in changed:
            self._pending.touch(path)
        if final:
            self._look(changed, final=True)

    def _relative(self, path: bytes | str) -> str:
        """Return a path relative to the folder; nothing for the folder, or what lies outside."""
        if not path:
            return ""
        found = Path(os.fsdecode(path))
        if (
            found == self._root
            or not found.is_relative_to(self._root)
            or self._capture.is_ours(found)
        ):
            return ""
        return found.relative_to(self._root).as_posix()
