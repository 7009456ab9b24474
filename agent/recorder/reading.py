"""A recording opened for reading: unpacked into a temporary folder while it is in use."""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.recorder import archive, stream
from agent.recorder.format import CHUNKS, DOCUMENT, Event, Metadata, parse_event
from core.errors import RecordingRefused

_PIECE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Recording:
    """An unpacked recording."""

    folder: Path
    metadata: Metadata

    def raw_events(self) -> Iterator[tuple[int, Any]]:
        """Give number (from 1) and JSON of each event, in order.

        Raises:
            RecordingRefused: recording.json ends or breaks off somewhere.
        """
        found = (value for kind, value in stream.read_document(self._document) if kind == "event")
        yield from enumerate(found, start=1)

    def events(self) -> Iterator[tuple[int, Event]]:
        """Give number (from 1) and event, in order.

        Raises:
            RecordingRefused: As `raw_events`, or an event is not one.
        """
        for number, raw in self.raw_events():
            yield number, parse_event(number, raw)

    def chunk(self, ident: str) -> Path:
        """Return where a chunk is, if it is there."""
        return self.folder / CHUNKS / f"{ident}.bin"

    def chunk_sizes(self) -> dict[str, int]:
        """Return the bytes of each chunk."""
        return {path.stem: path.stat().st_size for path in (self.folder / CHUNKS).iterdir()}

    @property
    def _document(self) -> Path:
        return self.folder / DOCUMENT


@contextmanager
def opened(
    path: Path,
    *,
    max_bytes: int = archive.DEFAULT_MAX_BYTES,
    progress: archive.Progress | None = None,
) -> Iterator[Recording]:
    """Give a recording; its unpacked form is gone afterwards.

    Raises:
        RecordingRefused: See `archive.unpack`, or it has no metadata.
        StorageUnavailable: See `archive.unpack`.
    """
    # Windows deletes no open file, and an error on its way may still hold one.
    with tempfile.TemporaryDirectory(
        prefix="athanor-recording-", ignore_cleanup_errors=True
    ) as made:
        folder = Path(made)
        archive.unpack(path, folder, max_bytes=max_bytes, progress=progress)
        yield Recording(folder, _metadata(folder / DOCUMENT))


def _metadata(document: Path) -> Metadata:
    for kind, value in stream.read_document(document):
        if kind == "metadata":
            if not isinstance(value, dict):
                break
            known = {name: value.get(name) for name in Metadata.model_fields}
            # What is missing or odd here is told by `verify`, and keeps nobody from the events.
            return Metadata.model_validate(
                {
                    name: found
                    for name, found in known.items()
                    if isinstance(found, str) or (name == "total_events" and isinstance(found, int))
                }
            )
    raise RecordingRefused("The recording's recording.json has no metadata.")


def pieces(path: Path, size: int | None = None) -> Iterator[bytes]:
    """Give a file's first bytes, all by default, piece by piece."""
    left = size
    with path.open("rb") as file:
        while data := file.read(_PIECE if left is None else min(_PIECE, left)):
            yield data
            left = None if left is None else left - len(data)


def digest(content: Iterator[bytes]) -> str:
    """Return the SHA-256 of pieces, as hexadecimal digits."""
    found = hashlib.sha256()
    for piece in content:
        found.update(piece)
    return found.hexdigest()
