"""A folder recorded as it is now."""

import contextlib
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.recorder.capture import Capture, Rules, Skipped
from agent.recorder.format import Metadata
from agent.recorder.workspace import Workspace
from core.clock import utcnow
from core.errors import ConfigurationError

#: How often a file that changes while it is read is read again, and after how many seconds.
_RETRIES = 5
_RETRY_PAUSE = 0.05


@dataclass(frozen=True, slots=True)
class Recorded:
    """How a recording ended."""

    events: int
    files: int
    bytes: int
    skipped: tuple[Skipped, ...]


#: Called with the events and the bytes of content so far.
Progress = Callable[[int, int], None]


def metadata_of(root: Path, recorder: str) -> Metadata:
    """Return what a recording says of itself at its beginning."""
    return Metadata(
        recorded_at=utcnow().isoformat(),
        watch_dir=str(root),
        platform=sys.platform,
        recorder=recorder,
    )


def check_root(root: Path) -> Path:
    """Return the folder's real path.

    Raises:
        ConfigurationError: It is no folder that can be listed.
    """
    try:
        with os.scandir(root) as entries:
            next(entries, None)
    except OSError as error:
        raise ConfigurationError(f"The folder {root} cannot be read: {error.strerror}.") from error
    return root.resolve()


def snapshot(
    root: Path,
    workspace: Workspace,
    rules: Rules,
    *,
    as_events: bool,
    progress: Progress | None = None,
) -> Recorded:
    """Record what lies in a folder now.

    With `as_events`, each file is created at its modification time, oldest first, so that a
    replay makes the folder as it grew. Without, all of it is there at the beginning.
    """
    capture = Capture(root, workspace, rules)
    if not as_events:
        initial(capture, progress)
        return recorded(capture)
    ages: list[tuple[int, str]] = []
    for path in capture.walk():
        found = root / path
        # One that is gone again has nothing to tell.
        with contextlib.suppress(FileNotFoundError):
            if not found.is_dir():
                ages.append((found.lstat().st_mtime_ns, path))
    for mtime_ns, path in sorted(ages):
        at = mtime_ns / 1e9
        for parent in reversed(Path(path).parents[:-1]):
            capture.look(parent.as_posix(), at=at)
        _look_patiently(capture, path, at=at)
        if progress:
            progress(workspace.count, workspace.bytes)
    # Folders without files come last.
    last = max(ages)[0] / 1e9 if ages else None
    for path in capture.walk():
        if path not in capture.known and (root / path).is_dir():
            capture.look(path, at=last)
    return recorded(capture)


def initial(capture: Capture, progress: Progress | None = None) -> None:
    """Record what is there as the state at the beginning."""
    for path in capture.walk():
        _look_patiently(capture, path, initial=True)
        if progress:
            progress(capture.workspace.count, capture.workspace.bytes)


def _look_patiently(
    capture: Capture, path: str, *, initial: bool = False, at: float | None = None
) -> None:
    """Look until the file holds still, or is taken as it is."""
    for attempt in range(1, _RETRIES + 1):
        if capture.look(path, initial=initial, at=at, final=attempt == _RETRIES):
            return
        time.sleep(_RETRY_PAUSE * attempt)


def recorded(capture: Capture) -> Recorded:
    """Return how a recording ended."""
    workspace = capture.workspace
    files = sum(not known.is_directory for known in capture.known.values())
    return Recorded(workspace.count, files, workspace.bytes, capture.skipped)
