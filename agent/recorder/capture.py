"""What is known of a folder, compared with what is there; each difference is an event.

Whoever says that something may have happened to a path (the file system's news, a scan) only
makes us look. So news may come twice, late, in any order or not at all.
"""

import logging
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from agent.recorder import content
from agent.recorder.content import Before, Content
from agent.recorder.format import Event, EventType
from agent.recorder.known import Known, Rules, Skipped, first, kind_of, times
from agent.recorder.paths import UnsafePath, safe_parts
from agent.recorder.reading import digest
from agent.recorder.workspace import Stored, Workspace
from core.clock import utcnow

logger = logging.getLogger(__name__)


class Capture:
    """Records one folder. Paths are relative, with forward slashes."""

    def __init__(
        self,
        root: Path,
        workspace: Workspace,
        rules: Rules,
        *,
        clock: Callable[[], datetime] = utcnow,
    ) -> None:
        """Prepare, and look at nothing."""
        self._root = root
        self.workspace = workspace
        self._rules = rules
        self._clock = clock
        self._known: dict[str, Known] = {}
        self._skipped: dict[str, str] = {}
        output = os.path.realpath(workspace.output)
        self._ours = (output, f"{output}.part", os.path.realpath(workspace.folder))

    @property
    def known(self) -> dict[str, Known]:
        """What the recording has, by path."""
        return self._known

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """What could not be recorded, or was not to be."""
        return tuple(Skipped(path, reason) for path, reason in self._skipped.items())

    def walk(self, below: str = ".") -> Iterator[str]:
        """Give the folders and files that are there now, folders before what is in them."""
        for folder, names, files in os.walk(self._root / below, onerror=self._unlistable):
            names.sort()
            for name in (*names, *sorted(files)):
                path = Path(folder, name)
                if not self.is_ours(path):
                    yield path.relative_to(self._root).as_posix()

    def _unlistable(self, error: OSError) -> None:
        path = Path(os.fsdecode(error.filename))
        # One that is gone again has nothing to tell.
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            relative = path.relative_to(self._root).as_posix()
            self._skip(relative, f"cannot be listed: {error.strerror}")

    def is_ours(self, path: Path) -> bool:
        """Tell whether a path belongs to the recording itself."""
        return any(path.is_relative_to(one) for one in self._ours)

    def has_changed(self, path: str) -> bool:
        """Tell from outside whether a path is worth a look."""
        known = self._known.get(path)
        try:
            status = (self._root / path).lstat()
        except OSError:
            return known is not None
        if known is None or known.is_directory != stat.S_ISDIR(status.st_mode):
            return path not in self._skipped or known is not None
        return not known.is_directory and (known.size, known.mtime_ns) != (
            status.st_size,
            status.st_mtime_ns,
        )

    def look(
        self, path: str, *, initial: bool = False, at: float | None = None, final: bool = False
    ) -> bool:
        """Record how a path differs from what is known of it.

        Args:
            path: A file or folder, there or not.
            initial: Whether it belongs to the first snapshot.
            at: The timestamp, now unless given.
            final: Take the file as it is, even while it changes.

        Returns:
            False when the file is changing: look again soon.
        """
        at = self._clock().timestamp() if at is None else at
        try:
            status = (self._root / path).lstat()
        except (FileNotFoundError, NotADirectoryError):
            self._gone(path, at)
            return True
        except OSError as error:
            self._skip(path, f"cannot be looked at: {error.strerror}")
            return True
        known = self._known.get(path)
        if known is not None and known.is_directory != stat.S_ISDIR(status.st_mode):
            self._gone(path, at)
        if stat.S_ISDIR(status.st_mode):
            self._folder(path, initial=initial, at=at)
            return True
        if not stat.S_ISREG(status.st_mode):
            self._skip(path, "is a link or a device, and no file")
            return True
        return not self._is_recordable(path) or self._file(path, status, initial, at, final)

    def moved(self, source: str, target: str) -> None:
        """Record that a path has another name now; `look` at the target afterwards."""
        known = self._known.get(source)
        if known is None or not self._is_recordable(target):
            return
        for path in self._with_below(source):
            self._known[target + path.removeprefix(source)] = self._known.pop(path)
        self.workspace.add(
            Event(
                timestamp=self._clock().timestamp(),
                event_type=EventType.MOVED,
                src_path=source,
                dest_path=target,
                is_directory=known.is_directory,
            )
        )

    def _is_recordable(self, path: str) -> bool:
        try:
            safe_parts(path, windows=False)
        except UnsafePath as error:
            self._skip(path, f"has a name that no recording can hold: {error}")
            return False
        return not self.is_ours(self._root / path)

    def _skip(self, path: str, reason: str) -> None:
        if self._skipped.get(path) != reason:
            logger.warning(
                "%s %s", path, reason, extra={"action": "not_recorded", "domain": "recorder"}
            )
        self._skipped[path] = reason

    def _with_below(self, path: str) -> list[str]:
        """Return a known path and, for a folder, what is known in it."""
        known = self._known.get(path)
        if known is None:
            return []
        below = f"{path}/"
        inside = [one for one in self._known if one.startswith(below)] if known.is_directory else []
        return [path, *inside]

    def _gone(self, path: str, at: float) -> None:
        for one in sorted(self._with_below(path), key=lambda name: -name.count("/")):
            known = self._known.pop(one)
            self.workspace.add(
                Event(
                    timestamp=at,
                    event_type=EventType.DELETED,
                    src_path=one,
                    is_directory=known.is_directory,
                )
            )
        self._skipped.pop(path, None)

    def _folder(self, path: str, *, initial: bool, at: float) -> None:
        if path in self._known or not self._is_recordable(path):
            return
        self._known[path] = Known(is_directory=True)
        self.workspace.add(
            Event(
                timestamp=at,
                event_type=EventType.INITIAL_DIR if initial else EventType.CREATED,
                src_path=path,
                is_directory=True,
            )
        )

    def _file(
        self, path: str, status: os.stat_result, initial: bool, at: float, final: bool
    ) -> bool:
        known = self._known.get(path)
        file = self._root / path
        before = Before(known.size, known.digest) if known and known.digest else None
        try:
            reason = self._reason_to_skip(file, status)
            if reason is None:
                found = content.read(file, self.workspace, before)
                if found is None:
                    self._known[path] = replace(known or Known(False), mtime_ns=status.st_mtime_ns)
                    return True
                if not found.is_settled and not final:
                    content.discard(found, self.workspace)
                    return False
                self._content(path, found, initial, at)
                return True
        except FileNotFoundError:
            self._gone(path, at)
            return True
        except OSError as error:
            reason = f"cannot be read: {error.strerror}"
        self._placeholder(path, status, reason, initial, at)
        return True

    def _reason_to_skip(self, file: Path, status: os.stat_result) -> str | None:
        if status.st_size > self._rules.max_file_bytes:
            return f"is larger than {self._rules.max_file_bytes:,} bytes"
        if self._rules.skip_binary and content.is_binary(file):
            return "is binary, and such content was not to be kept"
        return None

    def _placeholder(
        self, path: str, status: os.stat_result, reason: str, initial: bool, at: float
    ) -> None:
        known = self._known.get(path)
        same = Known(False, status.st_size, status.st_mtime_ns)
        if known == same:
            return
        self._skip(path, reason)
        self._known[path] = same
        self.workspace.add(
            Event(
                timestamp=at,
                event_type=kind_of(known, initial),
                src_path=path,
                size=status.st_size,
                operation_data={**times(status.st_mtime_ns), "reason": reason},
                is_placeholder=True,
            )
        )

    def _content(self, path: str, found: Content, initial: bool, at: float) -> None:
        known = self._known.get(path)
        data = times(found.mtime_ns)
        if known and self._is_cut(known, found):
            content.discard(found, self.workspace)
            event_type = EventType.TRUNCATED
            found = replace(found, text=None, chunk=None)
            data["new_size"] = found.size
            parts = first(known.parts, found.size)
        else:
            event_type = EventType.APPENDED if found.position else kind_of(known, initial)
            parts = known.parts if known and found.position else ()
            if found.position:
                data["append_size"] = found.size - found.position
        if found.chunk:
            self.workspace.keep_chunk(found.chunk)
        line_at = self.workspace.add(
            Event(
                timestamp=at,
                event_type=event_type,
                src_path=path,
                content=found.text,
                size=found.size,
                content_hash=found.digest,
                binary_chunk_id=found.chunk,
                operation_data=data,
                file_position=found.position or None,
            )
        )
        if event_type is not EventType.TRUNCATED:
            parts = (*parts, Stored(found.size - found.position, found.chunk, line_at))
        self._known[path] = Known(False, found.size, found.mtime_ns, found.digest, parts)
        self._skipped.pop(path, None)

    def _is_cut(self, known: Known, found: Content) -> bool:
        """Tell whether a file is the beginning of what it was."""
        if known.digest is None or found.size >= known.size:
            return False
        return digest(self._beginning(known.parts, found.size)) == found.digest

    def _beginning(self, parts: tuple[Stored, ...], size: int) -> Iterator[bytes]:
        for stored in first(parts, size):
            left = stored.size
            for piece in self.workspace.content_of(stored):
                yield piece[:left]
                left -= len(piece[:left])
