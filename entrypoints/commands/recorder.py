"""`athanor record`, `replay`, `info`, `verify`: what is written into a folder, kept for later."""

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from core.logging import configure
from core.settings import Settings
from core.version import version
from entrypoints.showing import AsJson, print_fields, print_table, seconds

if TYPE_CHECKING:
    from agent.recorder.inspect import Contents
    from agent.recorder.snapshot import Recorded

#: Most files whose content is missing that are listed one by one.
_LISTED = 20
#: The default of `--max-bytes`, as agent/recorder/archive.py has it.
DEFAULT_MAX_BYTES = 16 * 1024**3

RecordingFile = Annotated[Path, typer.Argument(help="The recording, a .tar.gz file.")]
MaxBytes = Annotated[
    int, typer.Option(min=1, help="Most bytes that the recording may unpack to, and write.")
]


def record(
    folder: Annotated[
        Path | None, typer.Argument(help="The folder to record, with all below it.")
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The recording to make, a .tar.gz file.")
    ] = Path("recording.tar.gz"),
    once: Annotated[
        bool, typer.Option("--once", help="Record what is there now, then end.")
    ] = False,
    as_events: Annotated[
        bool | None,
        typer.Option(
            "--as-events/--as-initial",
            help="With --once: files are created one after the other, at their modification "
            "times; or all are there at the beginning.  [default: as-events]",
            show_default=False,
        ),
    ] = None,
    finish: Annotated[
        bool, typer.Option("--finish", help="Make the recording of one that was interrupted.")
    ] = False,
    settle: Annotated[
        float, typer.Option(min=0, help="Seconds that a file is unchanged before it is read.")
    ] = 0.2,
    max_file_bytes: Annotated[
        int, typer.Option(min=0, help="Of larger files the size is recorded, not the content.")
    ] = 256 * 1024 * 1024,
    skip_binary_content: Annotated[
        bool,
        typer.Option(
            "--skip-binary-content/--no-skip-binary-content",
            help="Of files that are no text record the size only.",
        ),
    ] = False,
) -> None:
    r"""Record everything that is written into a folder, until Ctrl-C.

    A recording begins with what is there already, then holds each change: files and folders
    created, modified, appended to, truncated, moved, deleted, with their contents. While it is
    being made it lies in OUTPUT.recording, so that a crash loses the last moments only:
    --finish makes the recording of what there is.

    Examples:
      athanor record /data/nt32457-6/session -o session.tar.gz

      athanor record /data/old-session -o old.tar.gz --once   (a session that is over)

      athanor record --finish -o session.tar.gz               (after a crash)
    """
    settings = Settings()
    configure(settings.log_level, as_json=settings.log_json)
    console = Console(stderr=True)
    if finish:
        _finish(output, console)
        return
    if folder is None:
        raise typer.BadParameter("Give the folder to record, or --finish.")
    if as_events is not None and not once:
        raise typer.BadParameter("--as-events and --as-initial go with --once.")

    from agent.recorder import snapshot, workspace  # noqa: PLC0415 (`athanor --help` shall be fast)
    from agent.recorder.capture import Rules  # noqa: PLC0415 (as above)
    from agent.recorder.follow import Follower  # noqa: PLC0415 (as above)

    root = snapshot.check_root(folder)
    rules = Rules(max_file_bytes=max_file_bytes, skip_binary=skip_binary_content)
    metadata = snapshot.metadata_of(root, f"athanor {version()}")
    with workspace.started(output, metadata) as growing:
        with _progress(console) as shown, _stopping() as stop:
            if once:
                done = snapshot.snapshot(
                    root, growing, rules, as_events=as_events is not False, progress=shown
                )
            else:
                said = f"Recording {root}. Ctrl-C ends it."
                console.print(said, highlight=False, soft_wrap=True, markup=False)
                follower = Follower(root, growing, rules, settle_seconds=settle)
                done = follower.run(stop, progress=shown)
        with console.status("Packing …"):
            growing.finish()
    _show_recorded(output, done, console)


def _finish(output: Path, console: Console) -> None:
    from agent.recorder import workspace  # noqa: PLC0415 (as above)

    with workspace.interrupted(output) as growing, console.status("Packing …"):
        events = growing.finish()
    said = f"{events:,} events in {output}"
    console.print(said, highlight=False, soft_wrap=True, markup=False)


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """Give what is set when the process is asked to end."""
    stop = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress(console: Console):  # noqa: ANN202 (a context manager of a function)
    """Give what shows events and bytes on one line of a terminal."""
    if not console.is_terminal:
        yield None
        return
    with console.status("") as status:
        yield lambda events, size: status.update(f"{events:,} events, {as_bytes(size)}")


def _show_recorded(output: Path, done: "Recorded", console: Console) -> None:
    console.print(
        f"{done.events:,} events of {done.files:,} files, {as_bytes(done.bytes)}, in {output} "
        f"({as_bytes(output.stat().st_size)})",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )
    for skipped in done.skipped[:_LISTED]:
        console.print(
            f"[yellow]Without content:[/yellow] {escape(skipped.path)} {escape(skipped.reason)}",
            highlight=False,
            soft_wrap=True,
        )
    if len(done.skipped) > _LISTED:
        console.print(
            f"… and {len(done.skipped) - _LISTED:,} more: athanor info {output}", markup=False
        )


def info(
    recording: RecordingFile, as_json: AsJson = False, max_bytes: MaxBytes = DEFAULT_MAX_BYTES
) -> None:
    """Show what a recording holds: events by type, sizes, duration, files without content."""
    from agent.recorder.inspect import describe  # noqa: PLC0415 (as above)

    found = describe(recording, max_bytes=max_bytes)
    if as_json:
        typer.echo(json.dumps(_as_json(found), indent=2))
        return
    about = found.metadata
    print_fields(
        str(recording),
        [
            ("recorded", about.recorded_at),
            ("folder", about.watch_dir),
            ("by", about.recorder),
            ("on", about.platform),
            ("format", about.version),
            ("events", f"{found.events:,} over {seconds(found.seconds)}"),
            ("text", as_bytes(found.text_bytes)),
            ("chunks", f"{found.chunks:,}, {as_bytes(found.chunk_bytes)}"),
            ("archive", as_bytes(found.archive_bytes)),
        ],
    )
    rows = sorted(found.by_type.items())
    print_table("Events", ("type", "count#"), [(n, f"{c:,}") for n, c in rows], empty="No events.")
    if found.placeholders:
        print_table(
            "Files without content",
            ("file", "reason"),
            [(one.path, one.reason) for one in found.placeholders],
            empty="",
        )


def _as_json(found: "Contents") -> dict[str, object]:
    return {
        **found.metadata.model_dump(),
        "events": found.events,
        "by_type": dict(found.by_type),
        "duration_seconds": found.seconds,
        "first": found.first,
        "last": found.last,
        "text_bytes": found.text_bytes,
        "chunks": found.chunks,
        "chunk_bytes": found.chunk_bytes,
        "archive_bytes": found.archive_bytes,
        "placeholders": [{"path": one.path, "reason": one.reason} for one in found.placeholders],
    }


def verify(
    recording: RecordingFile, as_json: AsJson = False, max_bytes: MaxBytes = DEFAULT_MAX_BYTES
) -> None:
    """Check a recording: hashes, chunks, order of times, event types, paths. Exit code 1 if bad.

    It is unpacked and played into a temporary folder, which goes away.
    """
    from agent.recorder.inspect import verify as check  # noqa: PLC0415 (as above)

    events, problems = check(recording, max_bytes=max_bytes)
    if as_json:
        wrong = [{"event": one.number, "what": one.what, "reason": one.reason} for one in problems]
        typer.echo(json.dumps({"events": events, "problems": wrong}, indent=2))
    elif problems:
        print_table(
            f"{len(problems):,} problems in {recording}",
            ("event#", "what", "reason"),
            [(one.number, one.what, one.reason) for one in problems],
            empty="",
        )
    else:
        typer.echo(f"{recording}: {events:,} events, nothing wrong")
    if problems:
        raise typer.Exit(1)


def as_bytes(count: int) -> str:
    """Return a size as people read it."""
    size = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1_000 or unit == "GB":
            break
        size /= 1_000
    return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
