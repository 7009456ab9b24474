"""Write a session's archive: flat in memory however large it is, and whole or not at all."""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlmodel import Session, col

from core.errors import NotFound, StorageUnavailable
from core.version import version
from models import revision
from models.cryoem.tables import Acquisition, Grid
from models.database import Database
from models.retention.archive import files
from models.retention.archive.codec import encode
from models.retention.archive.manifest import (
    FORMAT,
    MANIFEST,
    TABLES,
    Manifest,
    Member,
    member_name,
)
from models.retention.archive.numbers import Numbers, numbers_of
from models.retention.archive.rows import rows, snapshot

_PIECE: Final = 1024**2
#: How folders of archives begin that are being written.
_UNFINISHED: Final = ".athanor-export-"
#: One in which no file was made for so long is nobody's any more.
_ABANDONED_SECONDS: Final = 24 * 3600
#: Told what is written and how many rows of it are.
Progress = Callable[[str, int], None]


def write(
    database: Database, grid: UUID, path: Path, *, now: datetime, progress: Progress
) -> tuple[Manifest, str]:
    """Write a session to a file; return what is in it, and the file's SHA-256.

    What is at the path before stays until the new one is whole and on the disk.

    Raises:
        NotFound: There is no such session.
        StorageUnavailable: The file cannot be written.
    """
    try:
        _sweep(path.parent)
        with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=path.parent) as folder:
            whole = Path(folder) / "whole"
            with database.reading() as session:
                snapshot(session)
                manifest = _write(session, grid, Path(folder), whole, now, progress)
            _check(whole)
            digest = _digest(whole)
            whole.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise StorageUnavailable(f"{path} cannot be written: {error.strerror}.") from error
    return manifest, digest


def _sweep(folder: Path) -> None:
    """Remove what exports left that were killed long ago."""
    for one in folder.glob(f"{_UNFINISHED}*"):
        with suppress(FileNotFoundError):  # another export was done just now
            if time.time() - one.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(one, ignore_errors=True)


def _write(
    session: Session, grid: UUID, folder: Path, whole: Path, now: datetime, progress: Progress
) -> Manifest:
    name = session.scalar(
        select(col(Acquisition.name))
        .join(Grid, col(Grid.acquisition_uuid) == col(Acquisition.uuid))
        .where(col(Grid.uuid) == grid)
    )
    if name is None:
        raise NotFound(f"There is no session with grid {grid}.")
    numbers = numbers_of(session, grid)
    members = tuple(
        _spool(session, place, grid, numbers, folder, progress) for place in range(len(TABLES))
    )
    manifest = Manifest(
        format=FORMAT,
        athanor=version(),
        revision=revision.newest(),
        exported_at=now,
        grid_uuid=grid,
        name=name,
        numbers=len(numbers),
        members=members,
    )
    with whole.open("wb") as file:
        with files.writing(file) as tar:
            files.add_text(tar, MANIFEST, manifest.text())
            for member in members:
                with (folder / member.name).open("rb") as content:
                    tar.addfile(files.header(member.name, member.bytes), content)
        file.flush()
        os.fsync(file.fileno())
    return manifest


def _spool(
    session: Session,
    place: int,
    grid: UUID,
    numbers: Numbers,
    folder: Path,
    progress: Progress,
) -> Member:
    # A tar says how long a file is before it: that is known when it is written.
    branch, name = TABLES[place], member_name(place)
    found, count, size = hashlib.sha256(), 0, 0
    with (folder / name).open("wb", buffering=_PIECE) as file:
        for row in rows(session, branch, grid, numbers):
            line = encode(row)
            found.update(line)
            file.write(line)
            size += len(line)
            count += 1
            if count % 1_000 == 0:
                progress(f"{branch.name} written", count)
    return Member(name=name, rows=count, bytes=size, sha256=found.hexdigest())


def _check(path: Path) -> None:
    """Read an archive back, so that none is relied on that cannot be read."""
    with files.opened(path, limit=2**63) as archive:
        for _, lines in archive.members():
            for _ in lines:
                pass


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(folder: Path) -> None:
    """Have the new name be on the disk too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
