"""`athanor replay`: a recording played into a folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from entrypoints.commands.recorder import DEFAULT_MAX_BYTES, MaxBytes, RecordingFile, as_bytes
from entrypoints.showing import seconds

if TYPE_CHECKING:
    from agent.recorder.pace import Pace
    from agent.recorder.replay import Planned, Played


def replay(  # noqa: PLR0913, PLR0917 (each is an option of the command)
    recording: RecordingFile,
    folder: Annotated[Path, typer.Argument(help="Where to play it: an empty or a new folder.")],
    fast: Annotated[
        bool,
        typer.Option("--fast", help="100 times as fast, at most 1 s between events. Default."),
    ] = False,
    exact: Annotated[bool, typer.Option("--exact", help="As fast as it was.")] = False,
    dev_mode: Annotated[
        bool,
        typer.Option("--dev-mode", help="1000 times as fast, 1 ms to 0.1 s between events."),
    ] = False,
    burst: Annotated[bool, typer.Option("--burst", help="All at once.")] = False,
    speed: Annotated[
        float | None, typer.Option("--speed", "-s", min=0.001, help="So many times as fast.")
    ] = None,
    max_delay: Annotated[
        float | None, typer.Option(min=0, help="Most seconds between two events.")
    ] = None,
    shuffle: Annotated[
        int | None, typer.Option(help="Play the files in a random order of this seed.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be done, and do nothing.")
    ] = False,
    no_verify: Annotated[
        bool, typer.Option("--no-verify", help="Write contents even where their hash is wrong.")
    ] = False,
    skip_unreadable: Annotated[
        bool,
        typer.Option(
            "--skip-unreadable",
            help="Leave out files recorded without content, instead of writing zeros.",
        ),
    ] = False,
    fresh_times: Annotated[
        bool,
        typer.Option(
            "--fresh-times",
            help="Let files be as new as they are, instead of giving them their old times.",
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Play into a folder that is not empty.")
    ] = False,
    max_bytes: MaxBytes = DEFAULT_MAX_BYTES,
) -> None:
    """Play a recording into a folder, as if it were written there now.

    Files are written in place, as EPU writes them. Each content is checked against its hash
    before it is written, and nothing is ever written outside of the folder.

    Examples:
      athanor replay session.tar.gz /tmp/session

      athanor replay session.tar.gz /tmp/session --exact --fresh-times   (as if it were live)

      athanor replay session.tar.gz /tmp/session --burst --shuffle 7
    """
    from agent.recorder import replay as player  # noqa: PLC0415 (`athanor --help` shall be fast)

    modes = {"--fast": fast, "--exact": exact, "--dev-mode": dev_mode, "--burst": burst}
    options = player.Options(
        pace=_pace(modes, speed, max_delay),
        shuffle=shuffle,
        verify=not no_verify,
        keep_times=not fresh_times,
        skip_unreadable=skip_unreadable,
        overwrite=overwrite,
        max_bytes=max_bytes,
    )
    if dry_run:
        for planned in player.plan(recording, options):
            typer.echo(_line(planned))
        return
    console = Console(stderr=True)
    with console.status("Unpacking …") as status:
        done = player.replay(
            recording,
            folder,
            options,
            progress=(lambda now: status.update(_now(now))) if console.is_terminal else None,
        )
    console.print(_summary(done, folder), highlight=False, soft_wrap=True, markup=False)


def _pace(modes: dict[str, bool], speed: float | None, max_delay: float | None) -> "Pace":
    """Return the pace of a mode, with what was asked for in place of what it says."""
    from dataclasses import replace as changed  # noqa: PLC0415 (as above)

    from agent.recorder import pace  # noqa: PLC0415 (as above)

    chosen = [mode for mode, wanted in modes.items() if wanted]
    if len(chosen) > 1:
        raise typer.BadParameter(f"{' and '.join(chosen)} exclude each other.")
    known = {
        "--fast": pace.FAST,
        "--exact": pace.EXACT,
        "--dev-mode": pace.DEV,
        "--burst": pace.BURST,
    }
    if not chosen:
        # A speed or a bound alone is what it says, and no more.
        base = pace.FAST if speed is None and max_delay is None else pace.EXACT
    else:
        base = known[chosen[0]]
    return changed(
        base,
        speed=base.speed if speed is None else speed,
        max_delay=base.max_delay if max_delay is None else max_delay,
    )


def _line(planned: "Planned") -> str:
    event = planned.event
    to = f" -> {event.dest_path}" if event.dest_path is not None else ""
    size = f" ({event.size:,} bytes)" if event.size is not None else ""
    without = " without content" if event.is_placeholder else ""
    return f"{planned.due:10.3f} s  {event.event_type:12}  {event.src_path}{to}{size}{without}"


def _now(done: "Played") -> str:
    total = "" if done.total is None else f" of {done.total:,}"
    return f"{done.events:,}{total} events, {as_bytes(done.written)}"


def _summary(done: "Played", folder: Path) -> str:
    said = (
        f"{done.events:,} events, {as_bytes(done.written)}, in {folder} in {seconds(done.seconds)}"
    )
    if done.placeholders:
        said += f"; {done.placeholders:,} without content, as zeros"
    if done.without_effect:
        said += f"; {done.without_effect:,} found nothing to do"
    return said
