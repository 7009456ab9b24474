"""The archive of a recording, packed, and unpacked as if its maker were an enemy.

Only `recording.json` and `chunks/chunk_N.bin` are taken out, as plain files, once each, and
never more bytes than allowed. The archive is read from front to back.
"""

import gzip
import io
import re
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Self

from agent.recorder.format import CHUNKS, DOCUMENT
from agent.recorder.paths import UnsafePath, safe_parts
from core.errors import RecordingRefused, StorageUnavailable

#: Unless told otherwise, a recording unpacks to this much at most, and replays to as much.
DEFAULT_MAX_BYTES = 16 * 1024**3
_PIECE = 256 * 1024
_CHUNK = re.compile(r"chunk_[0-9]{1,18}\.bin")
#: Long names and other attributes of a member, which tarfile reads into memory at once.
_ATTRIBUTES = {
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
}
_LARGEST_ATTRIBUTES = 64 * 1024
_FILES = {tarfile.REGTYPE, tarfile.AREGTYPE}

Progress = Callable[[int], None]


class _Member(tarfile.TarInfo):
    """A member whose header is looked at before tarfile acts on it."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str | None, errors: str) -> Self:
        member = super().frombuf(buf, encoding or "utf-8", errors)
        if member.size < 0:
            raise RecordingRefused("The archive is damaged: a member has a size below zero.")
        if member.type in _ATTRIBUTES and member.size > _LARGEST_ATTRIBUTES:
            raise RecordingRefused("The archive is refused: a member's name is far too long.")
        return member


class _Counted(io.RawIOBase):
    """What gzip unpacks, until it is more than allowed."""

    def __init__(self, file: gzip.GzipFile, max_bytes: int) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self._count = 0

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, not necessarily as many."""
        data = self._file.read(size if 0 <= size <= _PIECE else _PIECE)
        self._count += len(data)
        if self._count > self._max_bytes:
            raise RecordingRefused(
                f"The recording unpacks to more than {self._max_bytes:,} bytes. "
                "If you trust it, allow more with --max-bytes."
            )
        return data


def unpack(
    archive: Path,
    folder: Path,
    *,
    max_bytes: int = DEFAULT_MAX_BYTES,
    progress: Progress | None = None,
) -> None:
    """Unpack a recording into an empty folder: recording.json and chunks/.

    Raises:
        RecordingRefused: It is no recording, is damaged, holds what a recording does not
            hold, or is larger than `max_bytes`.
        StorageUnavailable: It is not there, or there is no room.
    """
    (folder / CHUNKS).mkdir()
    with _opened(archive) as file, _translated(archive):
        unpacked = _Counted(gzip.GzipFile(fileobj=file), max_bytes)
        with tarfile.open(fileobj=unpacked, mode="r|", tarinfo=_Member) as tar:
            for member in tar:
                _take_out(tar, member, folder)
                if progress:
                    progress(file.tell())
        # What follows the last member holds the checksum of all.
        while unpacked.read(_PIECE):
            pass
    if not (folder / DOCUMENT).is_file():
        raise RecordingRefused(f"{archive} is no recording: it has no {DOCUMENT}.")


def _take_out(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    parts = _checked(member)
    if member.isdir():
        return
    try:
        with folder.joinpath(*parts).open("xb") as target:
            source = tar.extractfile(member)
            written = 0
            while source and (piece := source.read(_PIECE)):
                written += target.write(piece)
    except FileExistsError as error:
        raise RecordingRefused(f"The archive holds {member.name!r} twice.") from error
    except gzip.BadGzipFile:
        raise  # an error of the archive, not of the disk, though an OSError
    except OSError as error:
        raise StorageUnavailable(
            f"The recording cannot be unpacked into {folder}: {error.strerror}. "
            "The folder for temporary files is set by TMPDIR (TEMP on Windows)."
        ) from error
    if written != member.size:
        raise RecordingRefused(f"The archive is damaged: {member.name!r} is cut off.")


def _checked(member: tarfile.TarInfo) -> tuple[str, ...]:
    def refuse(reason: str) -> RecordingRefused:
        return RecordingRefused(f"The archive is refused: member {member.name!r} {reason}.")

    if member.type not in _FILES and not member.isdir():
        raise refuse("is a link, a device or something else that is no file")
    if member.issparse():
        raise refuse("is a sparse file")
    try:
        parts = safe_parts(member.name)
    except UnsafePath as error:
        raise refuse(f"has a path that is not safe: {error}") from error
    expected = {(), (CHUNKS,)} if member.isdir() else {(DOCUMENT,)}
    is_chunk = (
        not member.isdir()
        and len(parts) == len((CHUNKS, DOCUMENT))
        and parts[0] == CHUNKS
        and _CHUNK.fullmatch(parts[1])
    )
    if parts not in expected and not is_chunk:
        raise refuse("does not belong into a recording")
    return parts


@contextmanager
def _opened(archive: Path) -> Iterator[BinaryIO]:
    try:
        file = archive.open("rb")
    except OSError as error:
        raise StorageUnavailable(f"{archive} cannot be read: {error.strerror}.") from error
    with file:
        yield file


@contextmanager
def _translated(archive: Path) -> Iterator[None]:
    try:
        yield
    except gzip.BadGzipFile as error:
        raise RecordingRefused(f"{archive} is no recording, or is damaged: {error}.") from error
    except (EOFError, zlib.error, tarfile.TarError, ValueError) as error:
        raise RecordingRefused(f"{archive} is damaged or cut off: {error}.") from error


def pack(
    target: Path, document: Path, chunks: Iterable[Path], *, progress: Progress | None = None
) -> None:
    """Write the archive of a recording; it appears under its name once it is whole.

    Raises:
        StorageUnavailable: It cannot be written.
    """
    partial = target.with_name(target.name + ".part")
    try:
        with tarfile.open(partial, "w:gz", compresslevel=6) as tar:
            tar.add(document, arcname=DOCUMENT, filter=_anonymous)
            for count, chunk in enumerate(chunks, start=1):
                tar.add(chunk, arcname=f"{CHUNKS}/{chunk.name}", filter=_anonymous)
                if progress:
                    progress(count)
        partial.replace(target)
    except OSError as error:
        raise StorageUnavailable(f"{target} cannot be written: {error.strerror}.") from error


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Leave out who recorded."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o644
    return member
