"""What the recorder knows of a folder's files, and what it keeps of them."""

from dataclasses import dataclass, replace

from agent.recorder.format import EventType
from agent.recorder.workspace import Stored

DEFAULT_MAX_FILE_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Known:
    """A file or folder as the recording has it."""

    is_directory: bool
    size: int = 0
    mtime_ns: int = 0
    #: None when the content was not kept.
    digest: str | None = None
    #: Where the content lies in the workspace, part after part.
    parts: tuple[Stored, ...] = ()


@dataclass(frozen=True, slots=True)
class Rules:
    """What is kept of which files."""

    max_file_bytes: int = DEFAULT_MAX_FILE_BYTES
    skip_binary: bool = False


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file whose content is not in the recording, and why."""

    path: str
    reason: str


def first(parts: tuple[Stored, ...], size: int) -> tuple[Stored, ...]:
    """Return the parts that make up the first bytes of a file."""
    kept = []
    for part in parts:
        if size <= 0:
            break
        kept.append(replace(part, size=min(part.size, size)))
        size -= part.size
    return tuple(kept)


def kind_of(known: Known | None, initial: bool) -> EventType:
    """Return what it is called when a file has new content."""
    if known is not None:
        return EventType.MODIFIED
    return EventType.INITIAL_FILE if initial else EventType.CREATED


def times(mtime_ns: int) -> dict[str, float | int]:
    """Return how a modification time is written: rounded as others do, and exact."""
    return {"mtime": mtime_ns / 1e9, "mtime_ns": mtime_ns}
