"""A recording played into a folder, at a pace and in an order."""

import contextlib
import json
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.recorder.archive import DEFAULT_MAX_BYTES
from agent.recorder.format import Event
from agent.recorder.pace import FAST, Pace, Schedule, shuffled
from agent.recorder.paths import UnsafePath
from agent.recorder.play import Player, parts_of
from agent.recorder.reading import Recording, opened
from core.errors import ConfigurationError, EventRefused, StorageUnavailable


@dataclass(frozen=True, slots=True)
class Options:
    """How to replay."""

    pace: Pace = FAST
    #: Play files in a random order of this seed.
    shuffle: int | None = None
    verify: bool = True
    keep_times: bool = True
    #: Leave out files whose content was not recorded, instead of writing zeros.
    skip_unreadable: bool = False
    #: Write into a folder that is not empty.
    overwrite: bool = False
    max_bytes: int = DEFAULT_MAX_BYTES


@dataclass(frozen=True, slots=True)
class Played:
    """How far a replay is, or how it ended."""

    events: int = 0
    total: int | None = None
    written: int = 0
    #: Events that found nothing to do, such as the deletion of a file that is not there.
    without_effect: int = 0
    placeholders: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Planned:
    """An event that would be played, and when, in seconds from the start."""

    due: float
    number: int
    event: Event


Progress = Callable[[Played], None]


def plan(path: Path, options: Options) -> Iterator[Planned]:
    """Give what a replay would do, and do nothing.

    Raises:
        RecordingRefused: The recording, an event or a path in it is not to be used.
    """
    with opened(path, max_bytes=options.max_bytes) as recording:
        for due, number, event in _in_order(recording, options):
            _check_paths(recording, number, event)
            if not _left_out(event, options):
                yield Planned(due, number, event)


def replay(
    path: Path,
    target: Path,
    options: Options,
    *,
    progress: Progress | None = None,
    wait: Callable[[float], None] = time.sleep,
) -> Played:
    """Play a recording into a folder, which is made if it is not there.

    Raises:
        RecordingRefused: As `plan`, or a content is wrong; what came before is played.
        ConfigurationError: The folder is not empty, or cannot be written.
    """
    with opened(path, max_bytes=options.max_bytes) as recording:
        _prepare(target, overwrite=options.overwrite)
        player = Player(
            recording,
            target,
            verify=options.verify,
            keep_times=options.keep_times,
            max_bytes=options.max_bytes,
        )
        started = time.monotonic()
        done = without_effect = placeholders = 0
        with contextlib.closing(_in_order(recording, options)) as events:
            for due, number, event in events:
                if _left_out(event, options):
                    continue
                ahead = due - (time.monotonic() - started)
                if ahead > 0:
                    wait(ahead)
                without_effect += not player.apply(number, event)
                placeholders += event.is_placeholder
                done += 1
                if progress:
                    progress(Played(done, recording.metadata.total_events, player.written))
        return Played(
            done,
            recording.metadata.total_events,
            player.written,
            without_effect,
            placeholders,
            time.monotonic() - started,
        )


def _left_out(event: Event, options: Options) -> bool:
    return options.skip_unreadable and event.is_placeholder


def _check_paths(recording: Recording, number: int, event: Event) -> None:
    for text in (event.src_path, event.dest_path):
        if text is not None:
            try:
                parts_of(recording, text)
            except UnsafePath as error:
                raise EventRefused(number, event.what, str(error)) from error


def _prepare(target: Path, *, overwrite: bool) -> None:
    try:
        target.mkdir(parents=True, exist_ok=True)
        is_empty = next(target.iterdir(), None) is None
    except OSError as error:
        raise StorageUnavailable(f"{target} cannot be used: {error.strerror}.") from error
    if not is_empty and not overwrite:
        raise ConfigurationError(
            f"{target} is not empty. Give an empty folder or a new one, or --overwrite: "
            "then files are overwritten, and deleted where the recording says so."
        )


def _in_order(
    recording: Recording, options: Options
) -> Generator[tuple[float, int, Event], None, None]:
    """Give (due, number, event) in the order of play."""
    schedule = Schedule(options.pace)
    if options.shuffle is None:
        for number, event in recording.events():
            yield schedule.due(event.timestamp), number, event
        return
    with _spooled(recording) as (outlines, event_at):
        # The moments stay as they are; what happens at each is another thing.
        for outline, position in zip(outlines, shuffled(outlines, options.shuffle), strict=True):
            yield schedule.due(outline.timestamp), position + 1, event_at(position)


@contextlib.contextmanager
def _spooled(recording: Recording) -> Iterator[tuple[list[Event], Callable[[int], Event]]]:
    """Give the events without their contents, and how to get one with it.

    Memory holds the outlines, about a kilobyte each; the contents wait in a file.
    """
    outlines: list[Event] = []
    offsets: list[int] = []
    with (recording.folder / "events.jsonl").open("w+b") as spool:
        for _, event in recording.events():
            offsets.append(spool.tell())
            spool.write(event.model_dump_json().encode() + b"\n")
            outlines.append(event.model_copy(update={"content": None, "operation_data": None}))

        def event_at(position: int) -> Event:
            spool.seek(offsets[position])
            return Event.model_validate(json.loads(spool.readline()))

        yield outlines, event_at
