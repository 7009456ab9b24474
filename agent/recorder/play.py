"""Single events done to a folder, each checked before anything is written."""

import hashlib
import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from agent.recorder.archive import DEFAULT_MAX_BYTES
from agent.recorder.format import Event, EventType
from agent.recorder.paths import UnsafePath, locate, safe_parts
from agent.recorder.reading import Recording, digest, pieces
from core.errors import EventRefused, StorageUnavailable

_EMPTY = hashlib.sha256().hexdigest()


class Player:
    """Does events to a target folder. Files are written in place, as EPU writes them."""

    def __init__(
        self,
        recording: Recording,
        target: Path,
        *,
        verify: bool = True,
        keep_times: bool = True,
        max_bytes: int = DEFAULT_MAX_BYTES,
    ) -> None:
        """Prepare, and touch nothing.

        Args:
            recording: Where the events and their chunks come from.
            target: An existing folder. Nothing is written outside of it.
            verify: Refuse an event whose content has another hash than it says.
            keep_times: Give files their recorded modification times.
            max_bytes: Most bytes written in all.
        """
        self._recording = recording
        self._target = Path(os.path.realpath(target))
        self._verify = verify
        self._keep_times = keep_times
        self._max_bytes = max_bytes
        #: Bytes written so far.
        self.written = 0
        #: Files whose content was not recorded, so that no hash fits them.
        self._hollow: set[Path] = set()

    def apply(self, number: int, event: Event) -> bool:
        """Do an event; return False when there was nothing to do it to.

        Raises:
            EventRefused: Its path is not safe, its content is wrong or missing.
            StorageUnavailable: The file system says no.
        """
        try:
            path = self._locate(event.src_path)
            return self._do(event, path)
        except (UnsafePath, _Wrong) as error:
            raise EventRefused(number, event.what, str(error)) from error
        except OSError as error:
            raise StorageUnavailable(
                f"Event {number} ({event.what}) cannot be played: {error.strerror or error}."
            ) from error

    def _locate(self, text: str) -> Path:
        return locate(self._target, parts_of(self._recording, text))

    def _do(self, event: Event, path: Path) -> bool:
        match event.event_type:
            case EventType.DELETED:
                return self._delete(path)
            case EventType.MOVED:
                return self._move(event, path)
            case _ if event.is_directory or event.event_type is EventType.INITIAL_DIR:
                if event.event_type is not EventType.MODIFIED:
                    path.mkdir(parents=True, exist_ok=True)
                return True
            case _ if path == self._target:
                raise _Wrong("it is the folder itself, and no file")
            case EventType.APPENDED:
                return self._append(event, path)
            case EventType.TRUNCATED:
                return self._truncate(event, path)
            case _:
                self._write(event, path)
                return True

    def _write(self, event: Event, path: Path) -> None:
        """Make a file of this content, or give it this content."""
        if not event.has_content:
            if self._verify and event.digest not in {None, _EMPTY}:
                raise _Wrong("its content is missing from the recording")
            self._write_hollow(event, path)
            return
        data, chunk = self._content(event)
        wanted = event.digest if self._verify else None
        if wanted and digest(_given(data, chunk)) != wanted:
            # Older recorders kept text without its carriage returns, but with the hash of both.
            data = _with_carriage_returns(data)
            if chunk or digest(iter([data])) != wanted:
                raise _Wrong(f"its content does not have the hash {wanted} that it says")
        size = chunk.stat().st_size if chunk else len(data)
        if self._verify and not wanted and event.size not in {None, size}:
            raise _Wrong(f"its content has {size:,} bytes, and it says {event.size:,}")
        self._count(size)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for piece in _given(data, chunk):
                file.write(piece)
        self._hollow.discard(path)
        self._set_time(event, path)

    def _write_hollow(self, event: Event, path: Path) -> None:
        """Make a file of the size recorded, filled with zeros."""
        self._count(event.size or 0)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.truncate(event.size or 0)
        if event.size or event.is_placeholder:
            self._hollow.add(path)
        self._set_time(event, path)

    def _append(self, event: Event, path: Path) -> bool:
        if not path.is_file():
            return self._lacks("there is no such file to append to")
        if not event.has_content:
            self._write_hollow(event, path)
            return True
        data, chunk = self._content(event)
        size = path.stat().st_size
        start = size if event.file_position is None else event.file_position
        checked = self._verify and path not in self._hollow
        if checked and start != size:
            raise _Wrong(f"it goes on at byte {start:,}, and the file has {size:,}")
        if checked and event.digest:
            whole = itertools.chain(pieces(path, start), _given(data, chunk))
            if digest(whole) != event.digest:
                raise _Wrong(f"what it makes does not have the hash {event.digest} that it says")
        self._count(max(start - size, 0) + (chunk.stat().st_size if chunk else len(data)))
        with path.open("r+b") as file:
            file.seek(start)
            for piece in _given(data, chunk):
                file.write(piece)
            file.truncate()
        self._set_time(event, path)
        return True

    def _truncate(self, event: Event, path: Path) -> bool:
        if not path.is_file():
            return self._lacks("there is no such file to truncate")
        size = (event.operation_data or {}).get("new_size", event.size)
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise _Wrong("it does not say to which size")
        if size > path.stat().st_size and self._verify:
            raise _Wrong(f"the file has {path.stat().st_size:,} bytes, fewer than {size:,}")
        checked = self._verify and path not in self._hollow
        if checked and event.digest and digest(pieces(path, size)) != event.digest:
            raise _Wrong(f"what it makes does not have the hash {event.digest} that it says")
        self._count(max(size - path.stat().st_size, 0))
        with path.open("r+b") as file:
            file.truncate(size)
        self._set_time(event, path)
        return True

    def _delete(self, path: Path) -> bool:
        if path == self._target:
            raise _Wrong("it would delete the folder itself")
        if path.is_dir():
            shutil.rmtree(path)
        elif path.exists():
            path.unlink()
        else:
            return False
        return True

    def _move(self, event: Event, path: Path) -> bool:
        if event.dest_path is None:
            raise _Wrong("it does not say where to")
        there = self._locate(event.dest_path)
        if self._target in {path, there}:
            raise _Wrong("it would move the folder itself")
        if not path.exists():
            return False
        there.parent.mkdir(parents=True, exist_ok=True)
        path.replace(there)
        self._hollow = {
            there / one.relative_to(path) if one.is_relative_to(path) else one
            for one in self._hollow - {there}
        }
        return True

    def _content(self, event: Event) -> tuple[bytes, Path | None]:
        """Return the content: text as bytes, or the chunk's file."""
        if event.content is not None:
            return event.content.encode(), None
        chunk = self._recording.chunk(event.binary_chunk_id or "")
        if not chunk.is_file():
            raise _Wrong(f"its content {event.binary_chunk_id} is missing from the recording")
        return b"", chunk

    def _count(self, more: int) -> None:
        self.written += more
        if self.written > self._max_bytes:
            raise _Wrong(
                f"with it more than {self._max_bytes:,} bytes are written. "
                "If you trust the recording, allow more with --max-bytes"
            )

    def _lacks(self, reason: str) -> bool:
        if self._verify:
            raise _Wrong(reason)
        return False

    def _set_time(self, event: Event, path: Path) -> None:
        if not self._keep_times:
            return
        try:
            if (mtime_ns := event.mtime_ns) is not None:
                os.utime(path, ns=(mtime_ns, mtime_ns))
        except (OverflowError, ValueError) as error:
            raise _Wrong("its modification time is out of range") from error


class _Wrong(Exception):
    """An event that is not played, and why."""


def parts_of(recording: Recording, text: str) -> tuple[str, ...]:
    """Return the folders and name of a path in a recording.

    Raises:
        UnsafePath: It says why.
    """
    return safe_parts(text, backslashes=recording.metadata.from_windows)


def _given(data: bytes, chunk: Path | None) -> Iterator[bytes]:
    return pieces(chunk) if chunk else iter([data])


def _with_carriage_returns(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
