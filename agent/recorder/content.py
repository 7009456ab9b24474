"""A file's content on its way into a recording, read once and hashed while it is read."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from agent.recorder.format import CHUNKS, INLINE_BYTES
from agent.recorder.workspace import Workspace, told
from core.errors import StorageUnavailable

_PIECE = 1024 * 1024
_LOOK_AT = 8 * 1024


@dataclass(frozen=True, slots=True)
class Content:
    """What was read: a whole file, or what follows `position`, of which the rest is known."""

    #: Of the whole file.
    size: int
    digest: str
    mtime_ns: int
    position: int
    #: What is new, as text or as the id of a chunk.
    text: str | None
    chunk: str | None
    #: Whether the file stayed as it was while it was read.
    is_settled: bool


@dataclass(frozen=True, slots=True)
class Before:
    """What is known of a file's earlier content."""

    size: int
    digest: str


class _Spool:
    """Takes content in: in memory while it is small, then in a chunk of the workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._small = bytearray()
        self._ident: str | None = None
        self._file: BinaryIO | None = None

    def write(self, piece: bytes) -> None:
        if self._file is None and len(self._small) + len(piece) < INLINE_BYTES:
            self._small += piece
            return
        self._into_chunk(piece)

    def _into_chunk(self, piece: bytes) -> None:
        with told(self._workspace.folder):
            if self._file is None:
                self._ident, path = self._workspace.new_chunk()
                self._file = path.open("wb")
                self._file.write(self._small)
                self._small.clear()
            self._file.write(piece)

    def close(self) -> tuple[str | None, str | None]:
        """Return the text, or the id of the chunk."""
        if self._file is None:
            try:
                return self._small.decode(), None
            except UnicodeDecodeError:
                self._into_chunk(b"")
        assert self._file is not None  # noqa: S101 (made just now, or before)
        with told(self._workspace.folder):
            self._file.close()
        return None, self._ident

    def discard(self) -> None:
        """Drop what was taken in."""
        if self._file is not None:
            self._file.close()
            Path(self._file.name).unlink()


def read(path: Path, workspace: Workspace, before: Before | None) -> Content | None:
    """Read a file; return None when it is what it was before.

    When a file only grew, the new part alone is kept.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        whole = hashlib.sha256()
        position = 0
        if before is not None and status.st_size > before.size:
            position = before.size
            _hash_on(file, whole, position)
            if whole.hexdigest() != before.digest:
                whole, position = hashlib.sha256(), 0
                file.seek(0)
        with _spooled(workspace) as spool:
            size = position
            while piece := file.read(_PIECE):
                whole.update(piece)
                spool.write(piece)
                size += len(piece)
            after = os.fstat(file.fileno())
            digest = whole.hexdigest()
            if before is not None and (size, digest) == (before.size, before.digest):
                spool.discard()
                return None
            text, chunk = spool.close()
    settled = (status.st_size, status.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    return Content(
        size, digest, after.st_mtime_ns, position, text, chunk, settled and size == after.st_size
    )


def discard(content: Content, workspace: Workspace) -> None:
    """Drop content that no event will refer to."""
    if content.chunk is not None:
        (workspace.folder / CHUNKS / f"{content.chunk}.bin").unlink()


def is_binary(path: Path) -> bool:
    """Tell whether a file begins as no text does.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_LOOK_AT)
    if b"\0" in head:
        return True
    try:
        head.decode()
    except UnicodeDecodeError as error:
        # A character that is only cut off where we stopped reading is no sign.
        return not (len(head) == _LOOK_AT and error.start > _LOOK_AT - 4)
    return False


def _hash_on(file: BinaryIO, into: "hashlib._Hash", size: int) -> None:
    while size and (piece := file.read(min(_PIECE, size))):
        into.update(piece)
        size -= len(piece)


@contextmanager
def _spooled(workspace: Workspace) -> Iterator[_Spool]:
    spool = _Spool(workspace)
    try:
        yield spool
    except (OSError, StorageUnavailable):
        spool.discard()
        raise
