"""Let go of what is old, in transactions that are short; safe to end and to repeat at any time."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from sqlmodel import Session

from core.clock import utcnow
from core.errors import NotFound, SessionHeld, StorageUnavailable
from core.retention_settings import RetentionSettings
from domains.retention import Age, Operation, PolicyName, RetentionPolicy, named
from models import audit
from models.database import Database
from models.retention import ageing, reckoning, removal
from models.retention.archive.manifest import exported
from models.retention.conditions import Reckoning
from models.retention.removal import Cut, Due
from models.retention.report import AgedRows, RemovedSession, RetentionReport, RetentionStats
from models.retention.rules import Rule
from tasks.cryoem.exporting import export_session

logger = logging.getLogger(__name__)

#: Told what is at work and how many rows of it are done so far.
Progress = Callable[[str, int], None]
#: Passes over a session of which something comes in while it is deleted.
_PASSES: Final = 5


def policy_of(settings: RetentionSettings, name: PolicyName | None = None) -> RetentionPolicy:
    """Return the policy that the settings say, or the one that is asked for by name."""
    ages = {
        age: timedelta(days=days)
        for age in Age
        if (days := getattr(settings, f"{age.value}_days")) is not None
    }
    return named(name or PolicyName(settings.policy), ages=ages, batch=settings.batch_size)


def make_folder(folder: Path) -> None:
    """Make the folder for archives.

    Raises:
        StorageUnavailable: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageUnavailable(
            f"The folder {folder} cannot be made: {error.strerror}. "
            "Choose another with ATHANOR_RETENTION__EXPORT_FOLDER."
        ) from error


@dataclass(frozen=True)
class Retention:
    """One run of retention."""

    database: Database
    policy: RetentionPolicy
    #: Where an archive of each session goes before it is deleted; None for nowhere.
    export_folder: Path | None = None
    progress: Progress = field(default=lambda _what, _rows: None)

    async def foresee(
        self, operation: Operation, *, now: datetime | None = None
    ) -> RetentionReport:
        """Return what an operation would do now."""
        return await self.database.read(
            reckoning.foresee, self.policy, operation, now=now or utcnow()
        )

    async def stats(self, *, now: datetime | None = None) -> RetentionStats:
        """Return what there is, and what a cleanup would do."""
        at = now or utcnow()
        sizes, whole = await self.database.read(reckoning.sizes)
        due = await self.foresee(Operation.CLEANUP, now=at)
        return RetentionStats(at=at, sizes=sizes, database_bytes=whole, due=due)

    async def run(self, operation: Operation, *, now: datetime | None = None) -> RetentionReport:
        """Do what an operation says; return what was done.

        Raises:
            StorageUnavailable: An archive could not be written: its session stays.
        """
        of, due, held = await self.database.read(
            reckoning.reckon, self.policy, operation, now=now or utcnow()
        )
        lines = [await self._apply(rule, of) for rule in reckoning.chosen(operation)]
        removed = [await self._remove(one, of) for one in due]
        sessions = [one for one in removed if one is not None]
        done = reckoning.report(of, operation, lines, sessions, held=held, dry_run=False)
        logger.info(
            "Retention (%s, %s): %s rows, %s sessions",
            *(operation, self.policy.name, sum(done.tables.values()), len(sessions)),
            extra={"action": "retention", "domain": "athanor"},
        )
        await self.database.write(_write_down, done)
        return done

    async def _apply(self, rule: Rule, of: Reckoning) -> AgedRows:
        rows, after = 0, None
        while True:
            did = await self.database.write(ageing.apply, rule, of, after=after)
            rows += did.rows
            self.progress(rule.what, rows)
            after = did.after
            if after is None:
                return reckoning.aged(rule, of, rows)

    async def _remove(self, one: Due, of: Reckoning) -> RemovedSession | None:
        """Delete a session; None when somebody held or deleted it meanwhile."""
        archive = None
        if not one.begun:
            try:
                archive = await self._begin(one, of)
            except (SessionHeld, NotFound):
                return None
        rows: dict[str, int] = {}
        for _ in range(_PASSES):
            before = sum(rows.values())
            for cut in removal.cuts(one.grid, now=of.now):
                rows[cut.name] = rows.get(cut.name, 0) + await self._cut(cut, one)
            if sum(rows.values()) == before:
                break
        rows |= await self.database.write(removal.end, one.grid, now=of.now, before=rows)
        logger.info(
            "Deleted session %s of grid %s, over since %s",
            *(one.name, one.grid, one.over_since),
            extra={"action": "session_removed", "domain": "athanor", "grid": str(one.grid)},
        )
        return RemovedSession(
            grid_uuid=one.grid,
            name=one.name,
            over_since=one.over_since,
            rows={table: number for table, number in rows.items() if number},
            archive=str(archive) if archive else None,
        )

    async def _begin(self, one: Due, of: Reckoning) -> Path | None:
        """Write the archive, if one is wanted, and note that the session goes."""
        path, digest = None, None
        if self.export_folder is not None:
            await asyncio.to_thread(make_folder, self.export_folder)
            path = self.export_folder / f"{one.grid}-{exported(of.now)}.tar.zst"
            written = await export_session(
                self.database, one.grid, path, now=of.now, progress=self.progress
            )
            digest = written.sha256
        await self.database.write(
            removal.begin,
            one.grid,
            now=of.now,
            cutoff=of.cutoff(Age.SESSIONS),
            archive=str(path) if path else None,
            archive_sha256=digest,
        )
        return path

    async def _cut(self, cut: Cut, one: Due) -> int:
        rows, limit = 0, self.policy.batch
        for part in await self.database.read(removal.parts, cut, limit=limit):
            did = limit
            while did == limit:
                did = await self.database.write(removal.cut, cut, part, limit=limit)
                rows += did
                self.progress(f"session {one.name}: {cut.name}", rows)
        return rows


def _write_down(session: Session, report: RetentionReport) -> None:
    """Have the audit, where it follows this run, tell how many rows of which tables are gone."""
    about = f"{report.operation.value} {report.policy.value}"
    audit.note(session, "retention", about, before=report.tables)
