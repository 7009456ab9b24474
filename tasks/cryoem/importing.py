"""Bring a session back from its archive: checked as a whole first, then table by table."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from pydantic import Field

from core.clock import utcnow
from core.errors import ArchiveRefused, RestoreConflict
from models.database import Database
from models.paging import View
from models.retention.archive import files, restoring
from models.retention.archive.checking import Checker
from models.retention.archive.manifest import Manifest
from models.retention.archive.numbers import Restored
from models.retention.archive.restoring import Conflicts
from models.retention.tables import SessionRestore

#: Rows that are stored in one transaction.
_BATCH: Final = 2_000

Progress = Callable[[str, int], None]


class Imported(View):
    """What became of an archive."""

    grid_uuid: UUID = Field(description="The session's grid.")
    name: str = Field(description="What EPU called it.")
    digest: str = Field(description="Of what is in the archive.")
    rows: dict[str, int] = Field(description="Rows in the archive, by table.")
    new: dict[str, int] = Field(description="Rows that were not there, by table.")


def _silent(_what: str, _rows: int) -> None:
    """Tell nobody."""


async def import_session(
    database: Database, path: Path, *, limit: int, progress: Progress = _silent
) -> Imported:
    """Restore a session; an archive whose session is there unchanged changes nothing.

    Raises:
        ArchiveRefused: It is no archive of ours, or damaged, or hostile, or too new.
        RestoreConflict: Rows are there with other content: they are named, nothing is written.
        StorageUnavailable: The file cannot be read.
        LeaseLost: Another import of the same session is at work.
    """
    try:
        return await asyncio.to_thread(_import, database, path, limit, progress)
    except ArchiveRefused as error:
        raise ArchiveRefused(f"{path} is refused. {error}") from error


def _import(database: Database, path: Path, limit: int, progress: Progress) -> Imported:
    with files.opened(path, limit=limit) as archive:
        manifest = archive.manifest
        with database.reading() as session:
            begun = restoring.unfinished(session, manifest.grid_uuid)
            there = begun is None and restoring.is_there(session, manifest.grid_uuid)
            session.expunge_all()
            if begun is not None and begun.digest != manifest.digest:
                raise RestoreConflict(
                    ["the session is being restored from another archive: import that to its end"]
                )
            conflicts = Conflicts([])
            tables = Checker(archive).tables()
            if there:
                restoring.compare_whole(session, manifest.grid_uuid, tables, conflicts)
            else:
                for branch, rows in tables:
                    for part in _parts(rows):
                        if begun is None:
                            restoring.compare(session, branch, part, conflicts)
            conflicts.refuse()
        checked = archive.pieces
    new: dict[str, int] = {}
    if not there:
        if begun is None:
            with database.transaction() as session:
                begun = restoring.begin(session, manifest, now=utcnow())
        new = _restore(database, path, manifest, begun, checked, limit, progress)
    return Imported(
        grid_uuid=manifest.grid_uuid,
        name=manifest.name,
        digest=manifest.digest,
        rows=manifest.rows,
        new={table: rows for table, rows in new.items() if rows},
    )


def _restore(
    database: Database,
    path: Path,
    manifest: Manifest,
    restore: SessionRestore,
    checked: Sequence[bytes],
    limit: int,
    progress: Progress,
) -> dict[str, int]:
    numbers = Restored(restore.first_seq, manifest.numbers)
    new: dict[str, int] = {}
    with files.opened(path, limit=limit, checked=checked) as archive:
        if archive.manifest.digest != manifest.digest:
            raise ArchiveRefused("It was changed while it was read.")
        for member, (branch, rows) in enumerate(Checker(archive).tables()):
            done = restore.rows if member == restore.member else 0
            known = rows if member < restore.member else islice(rows, done)
            for _ in known:  # there already; read nevertheless, as others refer to it
                pass
            for part in _parts(rows):
                with database.transaction() as session:
                    stored = restoring.put(session, restore, member, done, branch, part, numbers)
                new[branch.name] = new.get(branch.name, 0) + stored
                done += len(part)
                progress(f"{branch.name} restored", done)
            with database.transaction() as session:
                restoring.next_member(session, restore, member)
    with database.transaction() as session:
        restoring.end(session, restore, now=utcnow())
    return new


def _parts(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    left = iter(rows)
    while part := list(islice(left, _BATCH)):
        yield part
