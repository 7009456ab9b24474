"""What a watcher can say about its files."""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from agent.epu.scan import FileFailure
from agent.epu.settle import Ledger

#: Most waiting files that a status names.
_NAMED = 100


@dataclass(frozen=True, slots=True)
class WaitingStatus:
    """A file that is neither ingested nor failed, for how many seconds, and why."""

    path: Path
    reason: str
    age_seconds: float


@dataclass(frozen=True, slots=True)
class WatchStatus:
    """The files of a watched folder; `seen` is the sum of sent, waiting and failed."""

    seen: int
    sent: int
    waiting: int
    failed: int
    #: Grid uuid by session folder.
    sessions: dict[Path, UUID]
    #: The oldest first.
    waiting_files: tuple[WaitingStatus, ...]
    failures: tuple[FileFailure, ...]
    #: Files that were reported, by what they are.
    kinds: Mapping[str, int] = field(default_factory=dict)
    #: When files were last found to be new or changed, in seconds since 1970.
    last_event: float | None = None
    #: Why reading pauses; None while it goes on.
    paused: str | None = None


def failures_of(ledger: Ledger) -> list[FileFailure]:
    """Return the files that failed, and why."""
    return [FileFailure(str(path), why) for path, why in ledger.failures.items()]


def waiting_of(ledger: Ledger, now: float) -> tuple[WaitingStatus, ...]:
    """Return the files that have waited longest."""
    oldest = heapq.nsmallest(_NAMED, ledger.waiting.values(), key=lambda file: file.first_seen)
    return tuple(WaitingStatus(file.path, file.reason, now - file.first_seen) for file in oldest)
