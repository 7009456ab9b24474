"""Watching a folder in which EPU writes, until told to stop.

News from the file system and scans feed one ledger of files; a file that has settled is
read in a thread and reported. What the file system does not tell (network drives, too many
events, a folder made and filled at once) the next scan finds.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path

from agent.beside import beside
from agent.epu.batch import signatures_of
from agent.epu.endings import Endings
from agent.epu.files import Signature
from agent.epu.ingest import Ingest
from agent.epu.names import Kind, classify
from agent.epu.observe import Notices, Watches, watches
from agent.epu.read import DEFAULT_MAX_BYTES
from agent.epu.scan import (
    FileFailure,
    ScanResult,
    check_folder,
    find_session_files,
    outermost,
    parents_first,
)
from agent.epu.settle import Ledger
from agent.epu.sink import Sink
from agent.epu.status import WatchStatus, failures_of, waiting_of
from core.errors import AthanorError, ConfigurationError
from core.path_map import PathMap

logger = logging.getLogger(__name__)

#: News that comes within so many seconds is looked at together.
_GATHER_SECONDS = 0.03
_LONGEST_PAUSE = 30.0
#: Files taken before looking whether there is news: a backlog must not hold up a live session.
_AT_ONCE = 500
#: Scans take at most this part of the time: beside news from the file system, and without.
_SCANNING = {False: 0.1, True: 0.5}


class Watcher:
    """Reports every EPU file below a folder, and the atlases that its sessions name."""

    def __init__(  # noqa: PLR0913 (each is a setting)
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
        polling: bool = False,
        endings: Endings | None = None,
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
            polling: Scan only, and take no news from the file system.
            endings: Says when sessions are over; None for never.
        """
        self._root = root
        self._rescan_seconds = rescan_seconds
        self._settle_seconds = settle_seconds
        self._polling = polling
        self._ledger = Ledger(settle_seconds=settle_seconds, give_up_seconds=give_up_seconds)
        self._ingest = Ingest(
            self._ledger,
            sink,
            max_bytes=max_bytes,
            path_map=path_map or PathMap(),
            atlas=atlas,
            endings=endings or Endings(),
        )
        self._stopping = asyncio.Event()
        self._rescan_at = 0.0
        self._backlog: list[Path] = []
        self._unlistable: tuple[FileFailure, ...] = ()
        self._last_event: float | None = None
        self._paused: str | None = None

    def stop(self) -> None:
        """Let `run` return soon. What is not reported yet will be by the next run."""
        self._stopping.set()

    def status(self) -> WatchStatus:
        """Return where every file stands now."""
        sent = self._ledger.count_ingested()
        waiting = len(self._ledger.waiting)
        failures = failures_of(self._ledger)
        homes = self._ingest.homes.by_folder
        return WatchStatus(
            seen=waiting + sent + len(failures),
            sent=sent,
            waiting=waiting,
            failed=len(failures),
            sessions={folder: home.grid for folder, home in homes.items()},
            waiting_files=waiting_of(self._ledger, time.monotonic()),
            failures=(*failures, *self._unlistable),
            kinds={kind: count for kind, count in self._ledger.kinds.items() if count},
            last_event=self._last_event,
            paused=self._paused,
        )

    async def run(self, *, once: bool = False) -> WatchStatus:
        """Report files until `stop`, or with `once` until all that there are have ended.

        Raises:
            ConfigurationError: The folder cannot be read.
            AthanorError: With `once`, the sink cannot take messages.
        """
        await asyncio.to_thread(check_folder, self._root)
        self._rescan_at = 0.0
        # A reading thread cannot be cancelled; it ends by itself and changes nothing.
        async with (
            beside(self._stopping.wait()) as stopped,
            beside(self._finish() if once else self._watch()) as work,
        ):
            await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
        return self.status()

    async def _watch(self) -> None:
        notices = Notices(asyncio.get_running_loop())
        async with watches(notices, polling=self._polling) as watching:
            # Watching starts before the first scan: what comes in between is seen twice,
            # not missed.
            await asyncio.to_thread(watching.add, self._root, recursive=True)
            pause = 0.0
            while True:
                try:
                    await self._cycle(*notices.take())
                    await self._watch_atlases(watching)
                    pause, self._paused = 0.0, None
                except AthanorError as error:
                    # Nothing was marked as done, so all of it is tried again.
                    pause = min(max(2 * pause, 0.5), _LONGEST_PAUSE)
                    self._paused = str(error)
                    logger.warning(
                        "%s; trying again in %.1f s",
                        error,
                        pause,
                        extra={"action": "watch_postponed", "domain": "cryoem"},
                    )
                    await asyncio.sleep(pause)
                await notices.wait(self._seconds_to_next())
                if not self._backlog:
                    await asyncio.sleep(_GATHER_SECONDS)

    async def _finish(self) -> None:
        await self._cycle(set(), set())
        while self._backlog or self._ledger.is_busy():
            if not self._backlog:
                await asyncio.sleep(max(self._ledger.next_look() - time.monotonic(), 0.0))
            await self._look(self._ledger.due(time.monotonic()))
        await self._ingest.give_up_waiting()
        await self._ingest.end_sessions()

    async def _cycle(self, paths: set[Path], folders: set[Path]) -> None:
        known: dict[Path, Signature | None] = {}
        now = time.monotonic()
        is_scan = now >= self._rescan_at
        if is_scan:
            known |= await self._scan()
            paths |= set(self._ingest.expected_files())
            await self._ingest.find_missing_atlases()
            folders = {one for one in folders if not one.is_relative_to(self._root)}
        for folder in outermost(folders):
            # A folder that is gone again has nothing to tell.
            with contextlib.suppress(ConfigurationError):
                found = await asyncio.to_thread(self._find, folder)
                known |= found.signatures
        await self._look({*paths, *self._ledger.due(now)} - known.keys(), known)
        if is_scan:
            await self._ingest.end_sessions()

    async def _scan(self) -> dict[Path, Signature]:
        """Return what lies below the root and is not known in that very state."""
        began = time.monotonic()
        found = await asyncio.to_thread(self._find, self._root)
        self._note_unlistable(found)
        # What is remembered of a session settles its files: it is read before all else, unless
        # it may still be being written.
        before = time.time_ns() - int(self._settle_seconds * 1e9)
        sessions = [
            path
            for path in takewhile(_is_session, found.files)
            if self._ledger.is_new(path) and found.signatures[path].mtime_ns < before
        ]
        for path in sessions:
            self._ledger.observe(path, found.signatures[path], time.monotonic())
        await self._ingest.take(sessions)
        news = await asyncio.to_thread(self._unknown, found) if sessions else found.signatures
        spent = time.monotonic() - began
        self._rescan_at = time.monotonic() + max(
            self._rescan_seconds, spent / _SCANNING[self._polling]
        )
        return news

    def _find(self, folder: Path) -> ScanResult:
        return find_session_files(folder, known=self._ledger.knows)

    def _unknown(self, found: ScanResult) -> dict[Path, Signature]:
        return {
            path: signature
            for path, signature in found.signatures.items()
            if not self._ledger.knows(path, signature)
        }

    async def _look(
        self, paths: Iterable[Path], known: dict[Path, Signature | None] | None = None
    ) -> None:
        """Look at files, and take those that are ready; of many, the first ones."""
        found = await asyncio.to_thread(signatures_of, list(paths))
        now = time.monotonic()
        ready = [
            path
            for path, signature in {**(known or {}), **found}.items()
            if self._is_ours(path) and self._ledger.observe(path, signature, now)
        ]
        if ready:
            self._last_event = time.time()
        if len(ready) <= _AT_ONCE:
            await self._ingest.take(ready)
        else:
            for path in ready:
                self._ledger.queue(path)
            self._backlog = parents_first({*self._backlog, *ready})
        if self._backlog:
            turn = self._backlog[:_AT_ONCE]
            await self._ingest.take([path for path in turn if path in self._ledger.waiting])
            del self._backlog[:_AT_ONCE]

    def _is_ours(self, path: Path) -> bool:
        """Tell whether to care: an atlas is nobody's until a session names it."""
        return classify(path).kind is not Kind.ATLAS or path in self._ingest.homes.atlases

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
        for path in self._ingest.homes.atlases:
            if not watching.covers(path.parent):
                await asyncio.to_thread(watching.add, path.parent, recursive=False)

    def _seconds_to_next(self) -> float:
        """Return how long there is nothing to do but to wait for news."""
        if self._backlog:
            return 0.0
        next_look = min(self._ledger.next_look(), self._rescan_at)
        return max(next_look - time.monotonic(), 0.0)


def _is_session(path: Path) -> bool:
    return classify(path).kind is Kind.SESSION
