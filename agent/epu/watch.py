"""Watching a folder in which EPU writes, until told to stop.

News from the file system and scans feed one ledger of files; a file that has settled is
read in a thread and reported. What the file system does not tell (network drives, too many
events, a folder made and filled at once) the next scan finds.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from agent.epu.batch import signatures_of
from agent.epu.files import Signature
from agent.epu.ingest import Ingest
from agent.epu.names import Kind, classify
from agent.epu.observe import Notices, Watches, watches
from agent.epu.paths import PathMap
from agent.epu.read import DEFAULT_MAX_BYTES
from agent.epu.scan import FileFailure, ScanResult, check_folder, find_session_files
from agent.epu.settle import Ledger
from agent.epu.sink import Sink
from agent.epu.status import WaitingStatus, WatchStatus
from core.errors import AthanorError, ConfigurationError

logger = logging.getLogger(__name__)

#: News that comes within so many seconds is looked at together.
_GATHER_SECONDS = 0.03
_LONGEST_PAUSE = 30.0


class Watcher:
    """Reports every EPU file below a folder, and the atlases that its sessions name."""

    def __init__(
        self,
        root: Path,
        sink: Sink,
        *,
        settle_seconds: float = 0.5,
        give_up_seconds: float = 30.0,
        rescan_seconds: float = 10.0,
        max_bytes: int = DEFAULT_MAX_BYTES,
        path_map: PathMap | None = None,
        atlas: Path | None = None,
    ) -> None:
        """Prepare, and touch nothing.

        Args:
            root: A session folder, or a folder above several.
            sink: Where messages go.
            settle_seconds: A file unchanged for so long is read.
            give_up_seconds: A file unreadable and unchanged for so long has failed.
            rescan_seconds: Time between scans for what the file system did not tell.
            max_bytes: Larger files fail.
            path_map: Where paths of the microscope PC are here, to find atlases by AtlasId.
            atlas: A folder with the sessions' atlases somewhere below, instead.
        """
        self._root = root
        self._rescan_seconds = rescan_seconds
        self._ledger = Ledger(settle_seconds=settle_seconds, give_up_seconds=give_up_seconds)
        self._ingest = Ingest(
            self._ledger, sink, max_bytes=max_bytes, path_map=path_map or PathMap(), atlas=atlas
        )
        self._stopping = asyncio.Event()
        self._rescan_at = 0.0
        self._unlistable: tuple[FileFailure, ...] = ()

    def stop(self) -> None:
        """Let `run` return soon. What is not reported yet will be by the next run."""
        self._stopping.set()

    def status(self) -> WatchStatus:
        """Return where every file stands now."""
        now = time.monotonic()
        waiting = self._ledger.waiting
        outcomes = self._ledger.outcomes
        failures = [
            FileFailure(str(path), outcome.failure)
            for path, outcome in outcomes.items()
            if outcome.failure is not None
        ]
        return WatchStatus(
            seen=len(waiting) + len(outcomes),
            sent=len(outcomes) - len(failures),
            waiting=len(waiting),
            failed=len(failures),
            sessions={folder: home.grid for folder, home in self._ingest.homes.items()},
            waiting_files=tuple(
                WaitingStatus(path, file.reason, now - file.first_seen)
                for path, file in waiting.items()
            ),
            failures=(*failures, *self._unlistable),
        )

    async def run(self, *, once: bool = False) -> WatchStatus:
        """Report files until `stop`, or with `once` until all that there are have ended.

        Raises:
            ConfigurationError: The folder cannot be read.
            AthanorError: With `once`, the sink cannot take messages.
        """
        await asyncio.to_thread(check_folder, self._root)
        self._rescan_at = 0.0
        async with _until(self._stopping) as stopped:
            work = asyncio.create_task(self._finish() if once else self._watch())
            try:
                await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                if not work.done():
                    work.cancel()
                    # A reading thread cannot be cancelled; it ends by itself and changes nothing.
                    with contextlib.suppress(asyncio.CancelledError):
                        await work
        if work.done() and not work.cancelled():
            work.result()
        return self.status()

    async def _watch(self) -> None:
        notices = Notices(asyncio.get_running_loop())
        async with watches(notices) as watching:
            # Watching starts before the first scan: what comes in between is seen twice,
            # not missed.
            await asyncio.to_thread(watching.add, self._root, recursive=True)
            pause = 0.0
            while True:
                try:
                    await self._cycle(*notices.take())
                    await self._watch_atlases(watching)
                    pause = 0.0
                except AthanorError as error:
                    # Nothing was marked as done, so all of it is tried again.
                    pause = min(max(2 * pause, 0.5), _LONGEST_PAUSE)
                    logger.warning(
                        "%s; trying again in %.1f s",
                        error,
                        pause,
                        extra={"action": "watch_postponed", "domain": "cryoem"},
                    )
                    await asyncio.sleep(pause)
                await notices.wait(self._seconds_to_next())
                await asyncio.sleep(_GATHER_SECONDS)

    async def _finish(self) -> None:
        await self._cycle(set(), set())
        while self._ledger.next_look() < float("inf"):
            await asyncio.sleep(max(self._ledger.next_look() - time.monotonic(), 0.0))
            await self._look(self._ledger.due(time.monotonic()))
        await self._ingest.give_up_waiting()

    async def _cycle(self, paths: set[Path], folders: set[Path]) -> None:
        known: dict[Path, Signature | None] = {}
        now = time.monotonic()
        if now >= self._rescan_at:
            found = await asyncio.to_thread(find_session_files, self._root)
            self._note_unlistable(found)
            known |= found.signatures
            paths |= set(self._ingest.expected_files())
            await self._ingest.find_missing_atlases(now)
            self._rescan_at = time.monotonic() + self._rescan_seconds
        for folder in folders:
            # A folder that is gone again has nothing to tell.
            with contextlib.suppress(ConfigurationError):
                found = await asyncio.to_thread(find_session_files, folder)
                known |= found.signatures
        await self._look({*paths, *self._ledger.due(now)} - known.keys(), known)

    async def _look(
        self, paths: Iterable[Path], known: dict[Path, Signature | None] | None = None
    ) -> None:
        found = await asyncio.to_thread(signatures_of, list(paths))
        now = time.monotonic()
        ready = [
            path
            for path, signature in {**(known or {}), **found}.items()
            if self._is_ours(path) and self._ledger.observe(path, signature, now)
        ]
        await self._ingest.take(ready)

    def _is_ours(self, path: Path) -> bool:
        """Tell whether to care: an atlas is nobody's until a session names it."""
        return classify(path).kind is not Kind.ATLAS or path in self._ingest.atlases

    def _note_unlistable(self, found: ScanResult) -> None:
        for failure in set(found.failures) - set(self._unlistable):
            logger.warning(
                "%s %s",
                failure.path,
                failure.reason,
                extra={"action": "folder_unreadable", "domain": "cryoem"},
            )
        self._unlistable = found.failures

    async def _watch_atlases(self, watching: Watches) -> None:
        for path in self._ingest.atlases:
            if not watching.covers(path.parent):
                await asyncio.to_thread(watching.add, path.parent, recursive=False)

    def _seconds_to_next(self) -> float:
        next_look = min(self._ledger.next_look(), self._rescan_at)
        return max(next_look - time.monotonic(), 0.0)


@contextlib.asynccontextmanager
async def _until(event: asyncio.Event) -> AsyncIterator[asyncio.Task[bool]]:
    """Give a task that ends with the event, for the time of the block."""
    task = asyncio.create_task(event.wait())
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
