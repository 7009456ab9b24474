"""`athanor agent …`: what runs beside the microscope."""

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from core.logging import configure
from core.settings import Settings

if TYPE_CHECKING:
    from agent.epu.status import WatchStatus
    from agent.epu.watch import Watcher

#: How often the line about progress is drawn anew, in seconds.
_DRAW_EVERY = 0.5
#: How often progress is logged where nobody looks at a terminal, in seconds.
_LOG_EVERY = 60.0

app = typer.Typer(
    help="Follow what a microscope's software writes, and report it to Athanor.",
    no_args_is_help=True,
)


@app.callback()
def _group() -> None:
    """Follow what a microscope's software writes, and report it to Athanor."""


@app.command()
def watch(
    folder: Annotated[
        Path, typer.Argument(help="An EPU session folder, or a folder above several sessions.")
    ],
    atlas: Annotated[
        Path | None, typer.Option(help="Folder with the atlas somewhere below it.")
    ] = None,
    path_map: Annotated[
        list[str] | None,
        typer.Option(
            metavar="'Z:\\visit=/data/visit'",
            help="Where a folder of the microscope PC is on this machine, to find atlases by "
            "themselves. May be given several times.",
        ),
    ] = None,
    api: Annotated[
        str | None, typer.Option(help="Athanor's API. Default: ATHANOR_AGENT__API_URL.")
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Report what is there now, then end.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="At the end, print the status as one JSON object.")
    ] = False,
) -> None:
    r"""Report every EPU file in a folder as it is written, until Ctrl-C.

    Files that are there already are reported first. A file is read once it has stopped
    changing; one that cannot be read is reported as a failure (see `athanor messages list
    --state dead`). While the API is away nothing is lost: the agent waits for it.

    Examples:
      athanor agent watch /data/nt32457-6/session --atlas /data/nt32457-6/atlas

      athanor agent watch /data --path-map 'Z:\=/data'
    """
    settings = Settings()
    configure(settings.log_level, as_json=settings.log_json)
    console = Console(stderr=True)
    status = asyncio.run(_watch(settings, folder, atlas, path_map, api, once, console))
    if as_json:
        typer.echo(json.dumps(_as_json(status)))
    for failure in status.failures:
        console.print(
            f"[red]Failed:[/red] {escape(str(failure.path))}: {escape(failure.reason)}",
            highlight=False,
            soft_wrap=True,
        )
    console.print(_line(status))
    if status.failed:
        raise typer.Exit(1)


async def _watch(
    settings: Settings,
    folder: Path,
    atlas: Path | None,
    path_map: list[str] | None,
    api: str | None,
    once: bool,
    console: Console,
) -> "WatchStatus":
    from agent.epu.paths import PathMap  # noqa: PLC0415 (`athanor --help` shall be fast)
    from agent.epu.sink import HttpSink  # noqa: PLC0415 (as above)
    from agent.epu.watch import Watcher  # noqa: PLC0415 (as above)

    url = api or settings.agent.api_url
    async with HttpSink(url) as sink:
        watcher = Watcher(
            folder,
            sink,
            settle_seconds=settings.agent.settle_seconds,
            give_up_seconds=settings.agent.give_up_seconds,
            rescan_seconds=settings.agent.rescan_seconds,
            max_bytes=settings.agent.max_file_bytes,
            path_map=PathMap.parse((*(path_map or ()), *settings.agent.path_map)),
            atlas=atlas,
        )
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            # Windows has no loop handlers: there Ctrl-C cancels the main task instead.
            if sys.platform != "win32":
                loop.add_signal_handler(number, watcher.stop)
        console.print(f"Watching {folder}, reporting to {url}. Ctrl-C ends it.", highlight=False)
        drawing = asyncio.create_task(_draw(watcher, console))
        try:
            return await watcher.run(once=once)
        finally:
            drawing.cancel()
            await asyncio.wait({drawing})


async def _draw(watcher: "Watcher", console: Console) -> None:
    """Keep one line about progress on a terminal; elsewhere say it now and then."""
    if not console.is_terminal:
        while True:
            await asyncio.sleep(_LOG_EVERY)
            console.print(_line(watcher.status()))
    with console.status("") as shown:
        while True:
            shown.update(_line(watcher.status()))
            await asyncio.sleep(_DRAW_EVERY)


def _line(status: "WatchStatus") -> str:
    line = f"{status.seen:,} files seen, {status.sent:,} reported, {status.failed:,} failed"
    if not status.waiting_files:
        return line
    oldest = max(status.waiting_files, key=lambda file: file.age_seconds)
    return (
        f"{line}, {status.waiting:,} waiting, {escape(oldest.path.name)} since "
        f"{oldest.age_seconds:.0f} s: {escape(oldest.reason)}"
    )


def _as_json(status: "WatchStatus") -> dict[str, object]:
    return {
        "seen": status.seen,
        "sent": status.sent,
        "waiting": status.waiting,
        "failed": status.failed,
        "sessions": {str(folder): str(grid) for folder, grid in status.sessions.items()},
        "waiting_files": [
            {"path": str(file.path), "reason": file.reason, "age_seconds": file.age_seconds}
            for file in status.waiting_files
        ],
        "failures": [
            {"path": str(failure.path), "reason": failure.reason} for failure in status.failures
        ],
    }
