"""What an agent remembers of what it reported, so that a restart need not report all anew."""

import os
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from agent.epu.files import Signature


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A state of a file that was reported as one of a grid."""

    grid: UUID
    path: Path
    signature: Signature
    digest: bytes


@dataclass(frozen=True, slots=True)
class Ending:
    """What a session looked like when its end was reported."""

    grid: UUID
    #: Modification time of its newest file, and of its marker (0 without one).
    newest_ns: int
    marker_ns: int = 0


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is remembered of a grid."""

    files: tuple[FileRecord, ...] = ()
    ending: Ending | None = None
    #: When something of it was last reported, in seconds since 1970; None for never.
    last_news: float | None = None


NOTHING = Remembered()


def to_stored(path: Path) -> bytes:
    """Return a path as bytes that say it whatever it holds."""
    return os.fsencode(path)


def from_stored(stored: bytes) -> Path:
    """Return the path that `to_stored` was given."""
    return Path(os.fsdecode(stored))
