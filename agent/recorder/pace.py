"""How long to wait before each event of a replay, and in which order events come."""

import random
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from agent.recorder.format import Event, EventType


@dataclass(frozen=True, slots=True)
class Pace:
    """How recorded gaps become waits, in seconds."""

    #: Gaps are divided by it.
    speed: float = 1.0
    #: Longest wait, if any.
    max_delay: float | None = None
    #: Shortest wait, so that a watcher gets air.
    min_delay: float = 0.0

    def wait(self, gap: float) -> float:
        """Return how long to wait for a gap; a clock that went back waits for nothing."""
        wait = max(gap / self.speed, self.min_delay)
        return wait if self.max_delay is None else min(wait, self.max_delay)


EXACT = Pace()
FAST = Pace(speed=100, max_delay=1.0)
#: For trying things out: the end is reached soon, and yet files come one after the other.
DEV = Pace(speed=1_000, max_delay=0.1, min_delay=0.001)
BURST = Pace(max_delay=0.0)


class Schedule:
    """Turns the timestamps of events, as they come, into seconds after the start."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._last: float | None = None
        self._due = 0.0

    def due(self, timestamp: float) -> float:
        """Return when the event of the next timestamp is due."""
        if self._last is not None:
            self._due += self._pace.wait(timestamp - self._last)
        self._last = timestamp
        return self._due


def shuffled(events: Sequence[Event], seed: int) -> list[int]:
    """Return the positions of events in a random order of files.

    The events of one file keep their order among themselves, through moves, too. Nothing
    crosses an event that moves or deletes a folder.
    """
    chosen = random.Random(seed)  # noqa: S311 (an order, no secret)
    order: list[int] = []
    segment: list[int] = []
    for position, event in enumerate(events):
        if event.is_directory and event.event_type in {EventType.MOVED, EventType.DELETED}:
            order += _mixed(events, segment, chosen)
            order.append(position)
            segment = []
        else:
            segment.append(position)
    return order + _mixed(events, segment, chosen)


def _mixed(events: Sequence[Event], segment: list[int], chosen: random.Random) -> list[int]:
    """Return a segment with the events of its files randomly interleaved."""
    files = _Files()
    for position in segment:
        event = events[position]
        if event.dest_path is not None:
            files.join(event.src_path, event.dest_path)
    waiting: dict[str, deque[int]] = defaultdict(deque)
    for position in segment:
        waiting[files.of(events[position].src_path)].append(position)
    turns = [files.of(events[position].src_path) for position in segment]
    chosen.shuffle(turns)
    return [waiting[file].popleft() for file in turns]


class _Files:
    """Paths that one file had in turn count as one."""

    def __init__(self) -> None:
        self._same: dict[str, str] = {}

    def of(self, path: str) -> str:
        path = str(PurePosixPath(path))
        while (other := self._same.get(path, path)) != path:
            path = other
        return path

    def join(self, one: str, other: str) -> None:
        first, second = self.of(one), self.of(other)
        if first != second:
            self._same[second] = first
