"""Files as they are on disk at one moment."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path

from core.errors import ManifestIncomplete, ManifestLocked, ManifestUnreadable


@dataclass(frozen=True, slots=True)
class Signature:
    """What tells one state of a file from the next without reading it."""

    size: int
    mtime_ns: int

    @classmethod
    def of(cls, stat: os.stat_result) -> "Signature":
        """Return the signature in a stat result."""
        return cls(stat.st_size, stat.st_mtime_ns)

    @property
    def modified_at(self) -> datetime:
        """The modification time, in UTC."""
        return datetime.fromtimestamp(self.mtime_ns / 1e9, UTC)


#: Stands for a file that is not there.
ABSENT = Signature(0, 0)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A file's content, with the signature that it had while it was read."""

    data: bytes
    signature: Signature

    @property
    def digest(self) -> bytes:
        """What tells this content from other content."""
        return blake2b(self.data, digest_size=16).digest()


def take_snapshot(path: Path, max_bytes: int) -> Snapshot:
    """Return a file's content, of one moment.

    Raises:
        ManifestIncomplete: It changed while it was read.
        ManifestLocked: It cannot be opened or read.
        ManifestUnreadable: It is larger than `max_bytes`.
    """
    try:
        with path.open("rb") as file:
            before = Signature.of(os.fstat(file.fileno()))
            data = file.read(max_bytes + 1)
            after = Signature.of(os.fstat(file.fileno()))
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}"
        raise ManifestLocked(str(path), reason) from error
    if len(data) > max_bytes:
        raise ManifestUnreadable(str(path), f"is larger than the limit of {max_bytes:,} bytes")
    if before != after or len(data) != after.size:
        raise ManifestIncomplete(str(path), "changed while it was read")
    return Snapshot(data, after)


def signature_of(path: Path) -> Signature | None:
    """Return a file's signature, None when there is no such file now."""
    try:
        return Signature.of(path.stat())
    except OSError:
        # Not there, or not to be asked about: either way nothing to read yet.
        return None


def printable(path: str | Path) -> str:
    """Return a path as text that can be sent; bytes that are no UTF-8 are replaced."""
    return str(path).encode("utf-8", "replace").decode("utf-8")
