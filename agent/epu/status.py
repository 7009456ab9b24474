"""What a watcher can say about its files."""

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from agent.epu.scan import FileFailure


@dataclass(frozen=True, slots=True)
class WaitingStatus:
    """A file that is neither ingested nor failed, for how many seconds, and why."""

    path: Path
    reason: str
    age_seconds: float


@dataclass(frozen=True, slots=True)
class WatchStatus:
    """The files of a watched folder; `seen` is the sum of the others."""

    seen: int
    sent: int
    waiting: int
    failed: int
    #: Grid uuid by session folder.
    sessions: dict[Path, UUID]
    waiting_files: tuple[WaitingStatus, ...]
    failures: tuple[FileFailure, ...]
