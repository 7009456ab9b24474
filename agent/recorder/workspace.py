"""The folder beside the target in which a recording grows, so that little is lost with us.

`events.jsonl` gets a line for each event, after the chunk that it refers to; at the end the
archive is made of both and the folder goes away.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from pydantic import ValidationError

from agent.recorder import archive
from agent.recorder.format import CHUNKS, DOCUMENT, VERSION, Event, Metadata
from agent.recorder.reading import pieces
from core.errors import ConfigurationError, RecordingRefused, StorageUnavailable

_SUFFIX = ".recording"
_EVENTS = "events.jsonl"
_METADATA = "metadata.json"


@dataclass(frozen=True, slots=True)
class Stored:
    """Where some content lies in a workspace: a chunk, or the line of an event with text."""

    size: int
    chunk: str | None = None
    line_at: int = 0


def folder_of(output: Path) -> Path:
    """Return the folder in which a recording grows."""
    return output.with_name(output.name + _SUFFIX)


class Workspace:
    """A growing recording. Use `started` or `interrupted` to get one."""

    def __init__(self, output: Path, events: BinaryIO) -> None:
        self.output = output
        self.folder = folder_of(output)
        self._events = events
        self._next_chunk = 0
        #: Events written.
        self.count = 0
        #: Bytes of content written.
        self.bytes = 0

    def add(self, event: Event) -> int:
        """Write an event, and hand it to the operating system; return where its line is."""
        at = self._events.seek(0, os.SEEK_END)
        line = json.dumps(event.model_dump(mode="json"), separators=(",", ":"))
        with told(self.folder):
            self._events.write(line.encode() + b"\n")
            self._events.flush()
        self.count += 1
        self.bytes += len((event.content or "").encode())
        return at

    def new_chunk(self) -> tuple[str, Path]:
        """Return the id of a new chunk and the file to write it to."""
        ident = f"chunk_{self._next_chunk}"
        self._next_chunk += 1
        return ident, self._chunk(ident)

    def keep_chunk(self, ident: str) -> None:
        """Count a chunk that an event will refer to."""
        self.bytes += self._chunk(ident).stat().st_size

    def content_of(self, stored: Stored) -> Iterator[bytes]:
        """Give content that was written before, piece by piece."""
        if stored.chunk is not None:
            yield from pieces(self._chunk(stored.chunk))
            return
        self._events.seek(stored.line_at)
        yield (json.loads(self._events.readline())["content"] or "").encode()

    def finish(self, *, progress: archive.Progress | None = None) -> int:
        """Make the archive and remove the folder; return the number of events.

        Raises:
            RecordingRefused: What it says of itself was lost in a crash; the folder stays.
            StorageUnavailable: It cannot be written; the folder stays.
        """
        document = self.folder / DOCUMENT
        with told(self.folder):
            metadata = self._metadata()
            total, chunks = self._write_document(document, metadata)
            archive.pack(
                self.output, document, (self._chunk(one) for one in chunks), progress=progress
            )
            self._events.close()
            shutil.rmtree(self.folder)
        return total

    def _write_document(self, document: Path, metadata: dict[str, Any]) -> tuple[int, list[str]]:
        """Write recording.json line by line; return the number of events, and their chunks."""
        total = sum(1 for _ in self._lines())
        chunks: list[str] = []
        with document.open("wb") as target:
            head = {**metadata, "total_events": total}
            target.write(b'{"metadata": ' + json.dumps(head).encode() + b',\n"events": [')
            for number, line in enumerate(self._lines()):
                target.write((b",\n" if number else b"\n") + line)
                chunk = json.loads(line)["binary_chunk_id"]
                chunks += [chunk] if chunk else []
            target.write(b"\n]}\n")
        return total, chunks

    def _metadata(self) -> dict[str, Any]:
        path = self.folder / _METADATA
        try:
            return Metadata.model_validate_json(path.read_bytes()).model_dump()
        except ValidationError as error:
            raise RecordingRefused(
                f"{path} is damaged, and without it the recording cannot be finished. Its events "
                f"are in {_EVENTS} beside it."
            ) from error

    def _lines(self) -> Iterator[bytes]:
        """Give the lines of events. One that a crash cut off is the last, and left out."""
        self._events.seek(0)
        for line in self._events:
            if line.endswith(b"\n"):
                yield line[:-1]

    def _chunk(self, ident: str) -> Path:
        return self.folder / CHUNKS / f"{ident}.bin"


@contextmanager
def started(output: Path, metadata: Metadata) -> Iterator[Workspace]:
    """Begin a recording.

    Raises:
        ConfigurationError: There is one of that name, whole or interrupted.
        StorageUnavailable: It cannot be written there.
    """
    folder = folder_of(output)
    if output.exists():
        raise ConfigurationError(f"{output} exists already. Choose another name, or remove it.")
    if folder.exists():
        raise ConfigurationError(
            f"A recording to {output} was interrupted, or is still being made: {folder} holds "
            f"what there is of it. `athanor record --finish -o {output}` makes a recording of "
            "that; or remove the folder."
        )
    with told(folder):
        (folder / CHUNKS).mkdir(parents=True)
        head = metadata.model_copy(update={"version": VERSION}).model_dump()
        (folder / _METADATA).write_text(json.dumps(head), "utf-8")
    with _opened(output, "x+b") as made:
        yield made


@contextmanager
def interrupted(output: Path) -> Iterator[Workspace]:
    """Take up a recording that was interrupted.

    Raises:
        ConfigurationError: There is none, or it is still being made.
        StorageUnavailable: It cannot be read.
    """
    folder = folder_of(output)
    if not (folder / _EVENTS).is_file():
        raise ConfigurationError(f"No interrupted recording lies at {folder}.")
    with _opened(output, "r+b") as found:
        yield found


@contextmanager
def _opened(output: Path, mode: Literal["x+b", "r+b"]) -> Iterator[Workspace]:
    folder = folder_of(output)
    with told(folder):
        events = (folder / _EVENTS).open(mode)
    with events:
        _lock(events, folder)
        yield Workspace(output, events)


@contextmanager
def told(folder: Path) -> Iterator[None]:
    """Say in a sentence what the file system refuses."""
    try:
        yield
    except OSError as error:
        raise StorageUnavailable(
            f"The recording cannot be written to {folder}: {error.strerror or error}."
        ) from error


def _lock(file: BinaryIO, folder: Path) -> None:
    """Hold the events' file until it is closed, so that only one process finishes them."""
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 (there is none elsewhere)

            # A byte far behind the end: what is locked cannot be read there.
            file.seek(1 << 62)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            file.seek(0)
        else:
            import fcntl  # noqa: PLC0415 (there is none on Windows)

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise ConfigurationError(
            f"The recording in {folder} is still being made by another process."
        ) from error
