"""The file itself: a tar in zstd, of regular files only, read without trusting it.

Python's `tarfile` reads names and extra headers of any length, links and sparse files; here
nothing is taken but a plain header with a known name and a size that was announced.
"""

import hashlib
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, Final

import zstandard
from pydantic import ValidationError

from core.errors import ArchiveRefused, StorageUnavailable
from models.retention.archive.codec import LINE_BYTES
from models.retention.archive.manifest import (
    FORMAT,
    MANIFEST,
    MANIFEST_BYTES,
    Manifest,
    Member,
)
from models.retention.subtree import Branch

_BLOCK: Final = 512
_LEVEL: Final = 6
#: Largest window that an archive may ask a reader to keep.
_WINDOW: Final = 128 * 1024**2
_PIECE: Final = 1024**2


def header(name: str, size: int) -> tarfile.TarInfo:
    """Return the header of a file, the same for the same."""
    made = tarfile.TarInfo(name)
    made.size, made.mode = size, 0o644
    return made


@contextmanager
def writing(file: IO[bytes]) -> Iterator[tarfile.TarFile]:
    """Give a tar that is packed into an open file."""
    packer = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    with (
        packer.stream_writer(file, closefd=False) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.GNU_FORMAT) as tar,
    ):
        yield tar


def add_text(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a small file."""
    tar.addfile(header(name, len(content)), BytesIO(content))


class Archive:
    """An open archive, read once from beginning to end."""

    def __init__(
        self, source: IO[bytes], *, limit: int, checked: Sequence[bytes] | None = None
    ) -> None:
        """Read the manifest.

        Args:
            source: The file.
            limit: Most bytes that it may unpack to.
            checked: The `pieces` of this archive when it was read and found good: each is
                compared before its lines are yielded, which so need not be checked again.

        Raises:
            ArchiveRefused: It is no archive of ours.
        """
        unpacker = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
        self._source = unpacker.stream_reader(source, read_size=_PIECE)
        self._left = limit
        self._limit = limit
        self._known = None if checked is None else iter(checked)
        #: Checksums of what was read of the members, piece by piece.
        self.pieces: list[bytes] = []
        size = self._header(MANIFEST)
        if size > MANIFEST_BYTES:
            raise ArchiveRefused("Its manifest is too long.")
        self.manifest = _manifest(self._content(size))
        declared = sum(one.bytes for one in self.manifest.members)
        if declared > limit:
            raise ArchiveRefused(
                f"It unpacks to {declared:,} bytes, and {limit:,} are accepted "
                "(ATHANOR_RETENTION__MAX_IMPORT_BYTES)."
            )

    def members(self) -> Iterator[tuple[Branch, Iterator[bytes]]]:
        """Yield each table and its lines; a member is checked when its lines end.

        Raises:
            ArchiveRefused: Something is not as the manifest says.
        """
        for branch, member in zip(self.manifest.branches(), self.manifest.members, strict=True):
            if self._header(member.name) != member.bytes:
                raise ArchiveRefused(f"{member.name}: its size is not what the manifest says.")
            yield branch, self._lines(member)
        if any(self._read(_BLOCK)):
            raise ArchiveRefused("There is more in it than the manifest says.")

    def _lines(self, member: Member) -> Iterator[bytes]:
        found, rows, rest = hashlib.sha256(), 0, b""
        left = member.bytes
        while left:
            piece = self._content(min(_PIECE, left), pad=False)
            left -= len(piece)
            found.update(piece)
            self._compare(piece)
            *lines, rest = (rest + piece).split(b"\n")
            rows += len(lines)
            if rows > member.rows or len(rest) > LINE_BYTES:
                raise ArchiveRefused(f"{member.name}: it has more than the manifest says.")
            yield from lines
        self._pad(member.bytes)
        if rest or rows != member.rows:
            raise ArchiveRefused(f"{member.name}: it has {rows} rows and not {member.rows}.")
        if found.hexdigest() != member.sha256:
            raise ArchiveRefused(f"{member.name}: its checksum is wrong, the archive is damaged.")

    @property
    def is_checked(self) -> bool:
        """Whether what is yielded was found good before."""
        return self._known is not None

    def _compare(self, piece: bytes) -> None:
        digest = hashlib.sha256(piece).digest()
        if self._known is None:
            self.pieces.append(digest)
        elif next(self._known, None) != digest:
            raise ArchiveRefused("It was changed while it was read.")

    def _header(self, name: str) -> int:
        block = self._read(_BLOCK)
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        except (tarfile.HeaderError, ValueError) as error:
            raise ArchiveRefused("It is no archive of a session, or it is damaged.") from error
        if info.name != name or info.type != tarfile.REGTYPE or info.size < 0:
            raise ArchiveRefused(f"It holds {info.name[:100]!r} where {name} is to be.")
        return info.size

    def _content(self, size: int, *, pad: bool = True) -> bytes:
        content = self._read(size)
        if pad:
            self._pad(size)
        return content

    def _pad(self, size: int) -> None:
        self._read(-size % _BLOCK)

    def _read(self, size: int) -> bytes:
        self._left -= size
        if self._left < -MANIFEST_BYTES:
            raise ArchiveRefused(f"It unpacks to more than {self._limit:,} bytes.")
        content = bytearray()
        while len(content) < size:
            try:
                piece = self._source.read(size - len(content))
            except zstandard.ZstdError as error:
                raise ArchiveRefused("It is not packed with zstd, or it is damaged.") from error
            if not piece:
                raise ArchiveRefused("It ends too early.")
            content += piece
        return bytes(content)


def _manifest(content: bytes) -> Manifest:
    try:
        found = Manifest.model_validate_json(content)
    except ValidationError as error:
        raise ArchiveRefused(f"Its manifest is not understood: {_first(error)}") from error
    if found.format != FORMAT:
        raise ArchiveRefused(
            f"It has format {found.format}, this Athanor reads {FORMAT}. Import it with Athanor "
            f"{found.athanor}, which wrote it."
        )
    found.branches()
    return found


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"


@contextmanager
def opened(path: Path, *, limit: int, checked: Sequence[bytes] | None = None) -> Iterator[Archive]:
    """Give an archive that is on disk; with `checked`, one that was read before (`Archive`).

    Raises:
        StorageUnavailable: It cannot be read.
        ArchiveRefused: It is no archive of ours.
    """
    try:
        source = path.open("rb")
    except OSError as error:
        raise StorageUnavailable(f"{path} cannot be read: {error.strerror}.") from error
    with source:
        yield Archive(source, limit=limit, checked=checked)
