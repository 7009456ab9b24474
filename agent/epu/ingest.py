"""From files that are ready to messages that are stored: whose they are, and in what order."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import UUID

from agent.epu.batch import Reading, Unread, read_files
from agent.epu.endings import Endings
from agent.epu.files import ABSENT, Signature, signature_of
from agent.epu.homes import Home, Homes
from agent.epu.names import Kind, classify
from agent.epu.remembered import FileRecord
from agent.epu.report import report, report_failure
from agent.epu.scan import locate_atlas, parents_first
from agent.epu.settle import Ledger
from agent.epu.sink import SendRejected, Sink
from core.errors import ConfigurationError
from core.path_map import PathMap
from domains.cryoem.manifests import EpuSession
from models.cryoem.messages import Message

logger = logging.getLogger(__name__)

#: Files read and sent together: so many, or so many bytes of them; what a large square says
#: takes several times as much memory.
_TOGETHER = 100
_BYTES_TOGETHER = 8_000_000
_NO_SESSION = "no EpuSession.dm has been read in its folder or above"


class Ingest:
    """Reads what is ready, and sends it, sessions before their files."""

    def __init__(
        self,
        ledger: Ledger,
        sink: Sink,
        *,
        max_bytes: int,
        path_map: PathMap,
        atlas: Path | None,
        endings: Endings,
    ) -> None:
        self.homes = Homes()
        self._ledger = ledger
        self._sink = sink
        self._max_bytes = max_bytes
        self._path_map = path_map
        self._atlas_folder = atlas
        self._endings = endings
        #: The grids that have the atlas as it is now.
        self._atlas_known: defaultdict[Path, set[UUID]] = defaultdict(set)

    def expected_files(self) -> list[Path]:
        """Return the atlases that have not come yet."""
        return [path for path in self.homes.atlases if path in self._ledger.waiting]

    async def take(self, ready: Sequence[Path]) -> None:
        """Read and send files, parents first; one without a known session waits for it."""
        ordered = parents_first(ready)
        sessions = [path for path in ordered if classify(path).kind is Kind.SESSION]
        for path in sessions:
            await self._take_session(path)
        # What was remembered of the sessions may have settled some of the others.
        rest = [path for path in ordered[len(sessions) :] if path in self._ledger.waiting]
        for some in list(self._lots(rest)):
            await self._take_files(some)

    def _lots(self, paths: Sequence[Path]) -> Iterator[list[Path]]:
        lot: list[Path] = []
        size = 0
        for path in paths:
            more = self._ledger.waiting[path].signature.size
            if lot and (len(lot) == _TOGETHER or size + more > _BYTES_TOGETHER):
                yield lot
                lot, size = [], 0
            lot.append(path)
            size += more
        if lot:
            yield lot

    async def _take_session(self, path: Path) -> None:
        [reading] = await asyncio.to_thread(read_files, [path], self._max_bytes)
        if isinstance(reading, Unread):
            await self._unread(reading)
            return
        assert isinstance(reading.manifest, EpuSession) and reading.grid is not None  # noqa: S101, PT018 (by its name)
        home = Home(path.parent, reading.grid, reading.manifest)
        before = self.homes.by_folder.get(home.folder)
        if before is None or before.grid != home.grid:
            await self._recall(home)
        if not self._ledger.is_known_content(path, reading.digest):
            if not await self._send_readings([(reading, home)]):
                return
        elif before == home:
            self._ledger.ingested(path, reading.signature, reading.digest)
            return
        self.homes.add(home)
        now = time.monotonic()
        if before is not None and before.grid != home.grid:
            # Another session in the same folder: what lies there is of another grid now.
            self._ledger.start_over(home.folder, now)
        self._ledger.ingested(path, reading.signature, reading.digest)
        self._ledger.unpark(home.folder, now)
        await self._want_atlas(home, now)

    async def _recall(self, home: Home) -> None:
        """Take what was reported of a session before our time as done."""
        remembered = await self._sink.recall(home.grid)
        self._endings.discovered(home, remembered, time.time())
        if home.folder in self.homes.by_folder:
            # The folder's files are known as another session's: all are reported anew.
            return
        for one in remembered.files:
            self._ledger.recall(one.path, one.signature, one.digest)
            if classify(one.path).kind is Kind.ATLAS:
                self._atlas_known[one.path].add(one.grid)

    async def _take_files(self, paths: Sequence[Path]) -> None:
        homed: dict[Path, list[Home]] = {}
        for path in paths:
            homes = self.homes.of(path)
            if homes:
                homed[path] = homes
            else:
                self._ledger.park(path, _NO_SESSION)
        to_send: list[tuple[Reading, Home]] = []
        for reading in await asyncio.to_thread(read_files, list(homed), self._max_bytes):
            if isinstance(reading, Unread):
                await self._unread(reading, homed[reading.path][0])
            elif self._ledger.is_known_content(reading.path, reading.digest):
                self._ledger.ingested(reading.path, reading.signature, reading.digest)
            else:
                to_send += [(reading, home) for home in homed[reading.path]]
        await self._send_readings(to_send)

    async def _send_readings(self, readings: Sequence[tuple[Reading, Home]]) -> bool:
        """Send what was read and end those files; return whether all of it was taken."""
        refused: dict[int, str] = {}
        messages = [
            report(
                reading.path,
                classify(reading.path),
                reading.manifest,
                grid=home.grid,
                session_dir=home.folder,
                signature=reading.signature,
            )
            for reading, home in readings
        ]
        files = [
            FileRecord(home.grid, reading.path, reading.signature, reading.digest)
            for reading, home in readings
        ]
        try:
            await self._send(messages, files)
        except SendRejected as error:
            refused = error.refused
        for index, (reading, home) in enumerate(readings):
            if index in refused:
                reason = f"Athanor refused it: {refused[index]}"
                await self._fail(reading.path, reading.signature, reason, home.grid)
            else:
                self._reported(reading, home)
        return not refused

    def _reported(self, reading: Reading, home: Home) -> None:
        self._ledger.ingested(reading.path, reading.signature, reading.digest)
        if classify(reading.path).kind is Kind.ATLAS:
            self._atlas_known[reading.path].add(home.grid)
        else:
            self._endings.reported(home.grid, reading.signature.mtime_ns, time.time())

    async def _send(self, messages: Sequence[Message], files: Sequence[FileRecord] = ()) -> None:
        if messages:
            await self._sink.send(messages, files=files)
            logger.info(
                "Reported %d files", len(messages), extra={"action": "reported", "domain": "cryoem"}
            )

    async def _unread(self, unread: Unread, home: Home | None = None) -> None:
        now = time.monotonic()
        if not self._ledger.unreadable(unread.path, unread.reason, now):
            return
        grid = home.grid if home else None
        if not unread.locked:
            await self._fail(unread.path, unread.signature, unread.reason, grid)
        elif self._ledger.locked(unread.path, now):
            await self._complain(unread.path, unread.signature, unread.reason, grid)

    async def _fail(self, path: Path, signature: Signature, reason: str, grid: UUID | None) -> None:
        await self._complain(path, signature, reason, grid)
        self._ledger.failed(path, signature, reason)

    async def _complain(
        self, path: Path, signature: Signature, reason: str, grid: UUID | None
    ) -> None:
        message = report_failure(str(path), reason, grid=grid, signature=signature)
        try:
            await self._sink.send([message])
        except SendRejected as error:
            logger.warning(
                "The failure of %s could not be reported: %s",
                path,
                error,
                extra={"action": "failure_refused", "domain": "cryoem"},
            )
        logger.warning("%s: %s", path, reason, extra={"action": "file_failed", "domain": "cryoem"})

    async def _want_atlas(self, home: Home, now: float) -> None:
        """Wait for the session's atlas, wherever that is or will be."""
        try:
            path = await asyncio.to_thread(
                locate_atlas, home.manifest, self._path_map, self._atlas_folder
            )
        except ConfigurationError as error:
            named = Path(home.manifest.atlas_path or "Atlas.dm")
            if self._ledger.failures.get(named) != str(error):
                await self._fail(named, ABSENT, str(error), home.grid)
            return
        if path is None:
            return
        is_new = home.folder not in self.homes.atlases.get(path, ())
        for left in self.homes.want_atlas(home, path):
            self._ledger.forget(left)
        if is_new and home.grid not in self._atlas_known[path]:
            # It may have been sent for another session: each grid has its own.
            self._ledger.start_over(path, now)
        self._ledger.expect(path, now)
        # One that is there is read without waiting for it to settle: squares come after it.
        # If it is still being written it does not read as whole, and is tried again.
        signature = await asyncio.to_thread(signature_of, path)
        self._ledger.observe(path, signature, now)
        if signature is not None and path in self._ledger.waiting:
            await self._take_files([path])

    async def find_missing_atlases(self) -> None:
        """Look again for atlases in the folder that was given for them."""
        if self._atlas_folder is None:
            return
        for path in self.expected_files():
            for home in self.homes.naming(path):
                await self._want_atlas(home, time.monotonic())

    async def end_sessions(self) -> None:
        """Report the end of sessions that are over."""
        busy = [path for path, file in self._ledger.waiting.items() if not file.complained]
        for ending, (message, folder) in self._endings.due(time.time(), busy).items():
            await self._sink.send([message], ending=ending)
            self._endings.said(ending)
            logger.info(
                "The session in %s is over: %s",
                folder,
                message.reason,
                extra={"action": "session_ended", "domain": "cryoem", "grid": str(ending.grid)},
            )

    async def give_up_waiting(self) -> None:
        """End every file that still waits as failed, with what it waits for as the reason."""
        for path, waiting in list(self._ledger.waiting.items()):
            homes = self.homes.of(path)
            grid = homes[0].grid if homes else None
            await self._fail(path, waiting.signature, waiting.reason, grid)
