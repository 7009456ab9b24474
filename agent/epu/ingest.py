"""From files that are ready to messages that are sent: whose they are, and in what order."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from agent.epu.batch import Reading, Unread, read_files
from agent.epu.files import ABSENT, Signature, signature_of
from agent.epu.names import Kind, classify
from agent.epu.paths import PathMap
from agent.epu.report import report, report_failure
from agent.epu.scan import locate_atlas, parents_first
from agent.epu.settle import Ledger
from agent.epu.sink import SendRejected, Sink
from core.errors import ConfigurationError
from domains.cryoem.manifests import EpuSession
from models.cryoem.messages import Message

logger = logging.getLogger(__name__)

#: Files read and sent together.
_TOGETHER = 100
_NO_SESSION = "no EpuSession.dm has been read in its folder or above"


@dataclass(frozen=True, slots=True)
class Home:
    """A session folder and the grid that its EpuSession.dm is about."""

    folder: Path
    grid: UUID
    manifest: EpuSession


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
    ) -> None:
        self._ledger = ledger
        self._sink = sink
        self._max_bytes = max_bytes
        self._path_map = path_map
        self._atlas_folder = atlas
        self._homes: dict[Path, Home] = {}
        #: Session folders that name an atlas, by where that is.
        self._atlases: dict[Path, set[Path]] = {}

    @property
    def homes(self) -> Mapping[Path, Home]:
        """The sessions that are known, by folder."""
        return self._homes

    @property
    def atlases(self) -> Mapping[Path, set[Path]]:
        """Where the atlases are that known sessions name."""
        return self._atlases

    def expected_files(self) -> list[Path]:
        """Return the atlases that have not come yet."""
        return [path for path in self._atlases if path in self._ledger.waiting]

    async def take(self, ready: Sequence[Path]) -> None:
        """Read and send files, parents first; one without a known session waits for it."""
        ordered = parents_first(ready)
        sessions = [path for path in ordered if classify(path).kind is Kind.SESSION]
        for path in sessions:
            await self._take_session(path)
        rest = ordered[len(sessions) :]
        for start in range(0, len(rest), _TOGETHER):
            await self._take_files(rest[start : start + _TOGETHER])

    async def _take_session(self, path: Path) -> None:
        [reading] = await asyncio.to_thread(read_files, [path], self._max_bytes)
        if isinstance(reading, Unread):
            await self._unread(reading)
            return
        assert isinstance(reading.manifest, EpuSession) and reading.grid is not None  # noqa: S101, PT018 (by its name)
        if self._ledger.is_known_content(path, reading.digest):
            self._ledger.ingested(path, reading.signature, reading.digest)
            return
        home = Home(path.parent, reading.grid, reading.manifest)
        if not await self._send_readings([(reading, home)]):
            return
        before = self._homes.get(home.folder)
        self._homes[home.folder] = home
        now = time.monotonic()
        if before is not None and before.grid != home.grid:
            # Another session in the same folder: what lies there is of another grid now.
            self._ledger.start_over(home.folder, now)
        self._ledger.ingested(path, reading.signature, reading.digest)
        self._ledger.unpark(home.folder, now)
        await self._want_atlas(home, now)

    async def _take_files(self, paths: Sequence[Path]) -> None:
        homed: dict[Path, list[Home]] = {}
        for path in paths:
            homes = self._homes_of(path)
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

    def _homes_of(self, path: Path) -> list[Home]:
        if classify(path).kind is Kind.ATLAS:
            folders = self._atlases.get(path, set())
            return [self._homes[folder] for folder in sorted(folders)]
        nearest = next((folder for folder in path.parents if folder in self._homes), None)
        return [] if nearest is None else [self._homes[nearest]]

    async def _send_readings(self, readings: Sequence[tuple[Reading, Home]]) -> bool:
        """Send what was read and end those files; return whether all of it was taken."""
        refused: dict[int, str] = {}
        try:
            await self._send(
                [
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
            )
        except SendRejected as error:
            refused = error.refused
        for index, (reading, home) in enumerate(readings):
            if index in refused:
                reason = f"Athanor refused it: {refused[index]}"
                await self._fail(reading.path, reading.signature, reason, home.grid)
            else:
                self._ledger.ingested(reading.path, reading.signature, reading.digest)
        return not refused

    async def _send(self, messages: Sequence[Message]) -> None:
        if messages:
            await self._sink.send(messages)
            logger.info(
                "Sent %d messages", len(messages), extra={"action": "sent", "domain": "cryoem"}
            )

    async def _unread(self, unread: Unread, home: Home | None = None) -> None:
        if self._ledger.unreadable(unread.path, unread.reason, time.monotonic()):
            grid = home.grid if home else None
            await self._fail(unread.path, unread.signature, unread.reason, grid)

    async def _fail(self, path: Path, signature: Signature, reason: str, grid: UUID | None) -> None:
        message = report_failure(str(path), reason, grid=grid, signature=signature)
        try:
            await self._send([message])
        except SendRejected as error:
            logger.warning(
                "The failure of %s could not be reported: %s",
                path,
                error,
                extra={"action": "failure_refused", "domain": "cryoem"},
            )
        self._ledger.failed(path, signature, reason)
        logger.warning("%s: %s", path, reason, extra={"action": "file_failed", "domain": "cryoem"})

    async def _want_atlas(self, home: Home, now: float) -> None:
        """Wait for the session's atlas, wherever that is or will be."""
        try:
            path = await asyncio.to_thread(
                locate_atlas, home.manifest, self._path_map, self._atlas_folder
            )
        except ConfigurationError as error:
            named = Path(home.manifest.atlas_path or "Atlas.dm")
            outcome = self._ledger.outcomes.get(named)
            if outcome is None or outcome.failure != str(error):
                await self._fail(named, ABSENT, str(error), home.grid)
            return
        if path is None:
            return
        self._leave_other_atlases(home, path)
        folders = self._atlases.setdefault(path, set())
        if home.folder not in folders:
            folders.add(home.folder)
            # It may have been sent for another session: each grid has its own.
            self._ledger.start_over(path, now)
        self._ledger.expect(path, now)
        await self._take_atlas_early(path, now)

    async def _take_atlas_early(self, path: Path, now: float) -> None:
        """Read an atlas that is there without waiting for it to settle: squares come after it.

        One that is still being written does not read as whole, and is tried again.
        """
        signature = await asyncio.to_thread(signature_of, path)
        self._ledger.observe(path, signature, now)
        if signature is not None and path in self._ledger.waiting:
            await self._take_files([path])

    def _leave_other_atlases(self, home: Home, path: Path) -> None:
        for other in [other for other in self._atlases if other != path]:
            self._atlases[other].discard(home.folder)
            if not self._atlases[other]:
                del self._atlases[other]
                self._ledger.forget(other)

    async def find_missing_atlases(self, now: float) -> None:
        """Look again for atlases in the folder that was given for them."""
        if self._atlas_folder is None:
            return
        for path in self.expected_files():
            for folder in sorted(self._atlases.get(path, ())):
                await self._want_atlas(self._homes[folder], now)

    async def give_up_waiting(self) -> None:
        """End every file that still waits as failed, with what it waits for as the reason."""
        for path, waiting in list(self._ledger.waiting.items()):
            homes = self._homes_of(path)
            grid = homes[0].grid if homes else None
            await self._fail(path, waiting.signature, waiting.reason, grid)
