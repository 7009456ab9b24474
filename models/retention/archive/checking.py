"""Rows of an archive are of the session that it is of, and refer to nothing outside of it."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from core.errors import ArchiveRefused
from models import revision
from models.retention.archive.codec import decode, place
from models.retention.archive.files import Archive
from models.retention.archive.manifest import Manifest
from models.retention.archive.numbers import Restored, numbered
from models.retention.archive.rows import quiet
from models.retention.subtree import Branch
from models.sql import table_of


def require_revision(manifest: Manifest) -> bool:
    """Return whether an archive was written with an older schema than this one.

    Raises:
        ArchiveRefused: It was a newer one.
    """
    mine = revision.newest()
    if manifest.revision > mine:
        raise ArchiveRefused(
            f"It has schema {manifest.revision}, this Athanor {mine}. Import it with Athanor "
            f"{manifest.athanor} or newer."
        )
    return manifest.revision < mine


class Checker:
    """Reads the rows of one archive in order, and refuses what does not belong there."""

    def __init__(self, archive: Archive) -> None:
        """Take an archive of which only the manifest was read."""
        self._archive = archive
        self._grid = archive.manifest.grid_uuid
        self._older = require_revision(archive.manifest)
        self._ranks = Restored(1, archive.manifest.numbers)
        self._keys: dict[str, set[Any]] = {}
        referred = {
            key.column.table.name
            for branch in archive.manifest.branches()
            for key in table_of(branch.table).foreign_keys
        }
        self._remembered = referred

    def tables(self) -> Iterator[tuple[Branch, Iterator[dict[str, Any]]]]:
        """Yield each table and its rows, numbers as they stand in the archive.

        Raises:
            ArchiveRefused: A row is wrong; it is named.
        """
        if self._archive.is_checked:
            for branch, lines in self._archive.members():
                yield branch, (decode(branch.table, line, older=self._older) for line in lines)
            return
        for branch, lines in self._archive.members():
            yield branch, self._rows(branch, lines)
        if self._keys.get("grid") != {self._grid}:
            raise ArchiveRefused(f"Its grid is not {self._grid}, of which its manifest speaks.")

    def _rows(self, branch: Branch, lines: Iterator[bytes]) -> Iterator[dict[str, Any]]:
        name, keys = branch.name, set[Any]()
        remembered = name in self._remembered
        if remembered:
            self._keys[name] = keys
        references = self._references(branch)
        before: tuple[Any, ...] = ()
        for number, line in enumerate(lines, start=1):
            try:
                row = decode(branch.table, line, older=self._older)
                self._check(name, row, references)
                numbered(name, row, self._ranks)
                here = place(branch.table, row)
                if here <= before:
                    raise ArchiveRefused("it is twice there, or in a wrong place")
                before = here
            except ArchiveRefused as error:
                where = f"{name}, row {number}"
                raise ArchiveRefused(f"{where}: {error}") from error
            if remembered:
                keys.add(here[0])
            yield row

    def _references(self, branch: Branch) -> list[tuple[str, str, set[Any]]]:
        """Return columns that refer to other tables, which are those, and their keys."""
        return [
            (key.parent.name, table := key.column.table.name, self._keys.get(table, set()))
            for key in table_of(branch.table).foreign_keys
        ]

    def _check(
        self,
        table: str,
        row: dict[str, Any],
        references: list[tuple[str, str, set[Any]]],
    ) -> None:
        grid = row.get("grid_uuid", self._grid)
        loose = table == "agent_session" and grid is None
        if grid != self._grid and not loose:
            raise ArchiveRefused(f"it is of another session, {grid}")
        is_message = table in ("inbox_message", "outbox_message")
        if is_message and row["key"] != str(self._grid):
            raise ArchiveRefused(f"it is of another session, {row['key']}")
        still = quiet(table, row)
        if still is not row and still != row:
            raise ArchiveRefused("it is still to be worked on")
        for name, other, keys in references:
            value = row[name]
            if value is not None and value not in keys:
                raise ArchiveRefused(f"it refers to {other} {value}, which is not in the archive")
        if table == "session_owner" and row["uuid"] not in self._owned():
            raise ArchiveRefused("it is of another session")

    def _owned(self) -> set[UUID]:
        return self._keys.get("grid", set()) | self._keys.get("acquisition", set())
