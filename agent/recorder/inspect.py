"""What a recording holds, and what is wrong with it."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.recorder.archive import DEFAULT_MAX_BYTES
from agent.recorder.capture import Skipped
from agent.recorder.format import VERSION, Event, EventType, Metadata, parse_event
from agent.recorder.play import Player
from agent.recorder.reading import Recording, opened
from core.errors import EventRefused, RecordingRefused


@dataclass
class Contents:
    """What a recording holds."""

    metadata: Metadata
    archive_bytes: int
    events: int = 0
    by_type: Counter[str] = field(default_factory=Counter)
    #: Bytes of text in events, and of chunks.
    text_bytes: int = 0
    chunk_bytes: int = 0
    chunks: int = 0
    first: float | None = None
    last: float | None = None
    #: Files whose content is not in the recording, and why.
    placeholders: list[Skipped] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Time from the first to the last event."""
        return 0.0 if self.first is None or self.last is None else self.last - self.first


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a recording; `number` is the event's, if it is about one."""

    number: int | None
    what: str
    reason: str


def describe(path: Path, *, max_bytes: int = DEFAULT_MAX_BYTES) -> Contents:
    """Return what a recording holds.

    Raises:
        RecordingRefused: It is no recording, or holds something that is no event.
    """
    with opened(path, max_bytes=max_bytes) as recording:
        sizes = recording.chunk_sizes()
        found = Contents(recording.metadata, path.stat().st_size)
        found.chunks, found.chunk_bytes = len(sizes), sum(sizes.values())
        for _, event in recording.events():
            _add(found, event)
    return found


def _add(found: Contents, event: Event) -> None:
    found.events += 1
    found.by_type[event.event_type.value] += 1
    found.text_bytes += len((event.content or "").encode())
    found.first = event.timestamp if found.first is None else min(found.first, event.timestamp)
    found.last = event.timestamp if found.last is None else max(found.last, event.timestamp)
    if event.is_placeholder:
        reason = event.reason or "the recording does not say why"
        found.placeholders.append(Skipped(event.src_path, reason))


def verify(path: Path, *, max_bytes: int = DEFAULT_MAX_BYTES) -> tuple[int, list[Problem]]:
    """Return the number of events, and everything that is wrong.

    It plays the events into a temporary folder, so hashes are those of what a replay writes.
    """
    try:
        with (
            opened(path, max_bytes=max_bytes) as recording,
            tempfile.TemporaryDirectory(prefix="athanor-verify-") as target,
        ):
            check = _Check(recording, Path(target), max_bytes)
            problems = list(check.run())
            return check.count, problems
    except RecordingRefused as error:
        return 0, [Problem(None, path.name, str(error))]


class _Check:
    """One pass over a recording."""

    def __init__(self, recording: Recording, target: Path, max_bytes: int) -> None:
        self._recording = recording
        self._player = Player(recording, target, max_bytes=max_bytes)
        self._sizes = recording.chunk_sizes()
        self._used: set[str] = set()
        self._latest = float("-inf")
        self.count = 0

    def run(self) -> Iterator[Problem]:
        """Give the problems as they come."""
        metadata = self._recording.metadata
        if metadata.version != VERSION:
            said = metadata.version or "nothing"
            yield Problem(None, "version", f"it says {said}, and {VERSION} is known")
        try:
            for number, raw in self._recording.raw_events():
                self.count = number
                yield from self._event(number, raw)
        except RecordingRefused as error:
            yield Problem(None, "recording.json", str(error))
        if metadata.total_events != self.count:
            said = f"{metadata.total_events} events"
            yield Problem(None, "total_events", f"it says {said}, and there are {self.count}")
        for ident in sorted(self._sizes.keys() - self._used):
            yield Problem(None, ident, "no event refers to this chunk")

    def _event(self, number: int, raw: Any) -> Iterator[Problem]:
        try:
            event = parse_event(number, raw)
        except EventRefused as error:
            # What else it says is read as far as it can be.
            self._used.add(str(raw.get("binary_chunk_id")) if isinstance(raw, dict) else "")
            yield Problem(number, error.what, error.reason)
            return
        if event.timestamp < self._latest:
            back = self._latest - event.timestamp
            yield Problem(number, event.what, f"its time is {back:.3f} s before an earlier event's")
        self._latest = max(self._latest, event.timestamp)
        if event.binary_chunk_id is not None:
            self._used.add(event.binary_chunk_id)
        if (problem := self._wrong_size(event)) is not None:
            yield Problem(number, event.what, problem)
        try:
            self._player.apply(number, event)
        except EventRefused as error:
            yield Problem(number, error.what, error.reason)

    def _wrong_size(self, event: Event) -> str | None:
        if event.size is None or not event.has_content or event.content_hash is None:
            return None
        stored = (
            len(event.content.encode())
            if event.content is not None
            else self._sizes.get(event.binary_chunk_id or "")
        )
        if event.event_type is EventType.APPENDED:
            stored = None if stored is None else stored + (event.file_position or 0)
        if stored is None or stored == event.size or event.digest is None:
            return None
        # Text that lost its carriage returns is shorter, and its hash tells whether it is right.
        if event.content is not None and stored < event.size:
            return None
        return f"its content has {stored:,} bytes, and it says {event.size:,}"
