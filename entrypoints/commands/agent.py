"""`athanor agent …`: what runs beside the microscope."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from core.errors import NotFound
from core.logging import configure
from core.settings import Settings
from entrypoints.showing import AsJson

if TYPE_CHECKING:
    from agent.epu.agent import Report
    from agent.epu.state import StateFolder
    from agent.epu.status import WatchStatus
    from entrypoints.agent_wiring import Watch

#: How often the line about progress is drawn anew, in seconds.
_DRAW_EVERY = 0.5
#: How often progress is logged where nobody looks at a terminal, in seconds.
_LOG_EVERY = 60.0

app = typer.Typer(
    help="Follow what a microscope's software writes, and report it to Athanor.",
    no_args_is_help=True,
)

_Watched = Annotated[
    Path | None, typer.Argument(help="The watched folder. Default: all that were ever watched.")
]


@app.callback()
def _group() -> None:
    """Follow what a microscope's software writes, and report it to Athanor."""


@app.command()
def watch(  # noqa: PLR0913, PLR0917 (each is an option of the command)
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
    polling: Annotated[
        bool,
        typer.Option("--polling", help="Scan only: for network shares, which tell of nothing."),
    ] = False,
    once: Annotated[
        bool, typer.Option("--once", help="Report what is there now, then end.")
    ] = False,
    afresh: Annotated[
        bool, typer.Option("--afresh", help="Report all files, also those reported before.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be sent; send and keep nothing.")
    ] = False,
    instructions: Annotated[
        str | None,
        typer.Option(
            metavar="off|dry-run|athena",
            help="What to do with instructions. Default: ATHANOR_AGENT__INSTRUCTIONS.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="At the end, print the status as one JSON object.")
    ] = False,
) -> None:
    r"""Report every EPU file in a folder as it is written, until Ctrl-C.

    Files that are there already are reported first. A file is read once it has stopped
    changing; one that cannot be read is reported as a failure (see `athanor messages list
    --state dead`). What was read is kept on this machine until the API has it, however long
    that is away, and what was reported before a restart is not reported again.

    With --once the exit code is 1 when something could not be read or sent.

    Examples:
      athanor agent watch /data/nt32457-6/session --atlas /data/nt32457-6/atlas

      athanor agent watch /data --path-map 'Z:\=/data'
    """
    from entrypoints.agent_wiring import Watch  # noqa: PLC0415 (`athanor --help` shall be fast)
    from entrypoints.instruction_wiring import chosen  # noqa: PLC0415 (as above)

    settings = chosen(Settings(), instructions)
    configure(settings.log_level, as_json=settings.log_json)
    wanted = Watch.of(settings, folder, atlas=atlas, path_map=path_map, polling=polling)
    console = Console(stderr=True)
    if dry_run:
        failed = asyncio.run(_try(wanted, once, as_json, console))
    else:
        url = api or settings.agent.api_url
        failed = asyncio.run(_watch(wanted, settings, url, once, afresh, as_json, console))
    if failed and once:
        raise typer.Exit(1)


async def _watch(
    wanted: "Watch",
    settings: Settings,
    url: str,
    once: bool,
    afresh: bool,
    as_json: bool,
    console: Console,
) -> bool:
    from agent.epu.state import StateFolder  # noqa: PLC0415 (as above)
    from entrypoints import agent_showing  # noqa: PLC0415 (as above)
    from entrypoints.agent_wiring import agent, measured, stop_on_signals  # noqa: PLC0415 (as above)
    from entrypoints.instruction_wiring import receiving  # noqa: PLC0415 (as above)

    journal = StateFolder.of(settings.home, wanted.folder).journal_path
    async with (
        agent(wanted, home=settings.home, api_url=url, afresh=afresh) as running,
        receiving(running, settings, api_url=url, journal_path=journal),
        measured(running, settings),
    ):
        stop_on_signals(running.stop)
        how = ", scanning" if wanted.polling else ""
        console.print(
            f"Watching {wanted.folder}{how}, reporting to {url}. Ctrl-C ends it.",
            highlight=False,
            soft_wrap=True,
        )

        async def said() -> str:
            return agent_showing.line(await running.report())

        report: Report = await _drawn(running.run(once=once), said, console)
    if as_json:
        typer.echo(json.dumps(agent_showing.report_as_json(report)))
    agent_showing.show_trouble(report, console)
    console.print(agent_showing.line(report), highlight=False, soft_wrap=True)
    return bool(report.watched.failed or report.depth.messages or report.depth.dead)


async def _try(wanted: "Watch", once: bool, as_json: bool, console: Console) -> bool:
    """Watch, but only say what would be sent."""
    from agent.epu.sink import PrintingSink  # noqa: PLC0415 (as above)
    from entrypoints import agent_showing  # noqa: PLC0415 (as above)
    from entrypoints.agent_wiring import stop_on_signals  # noqa: PLC0415 (as above)

    watcher = wanted.watcher(PrintingSink(typer.echo, as_json=as_json))
    stop_on_signals(watcher.stop)
    console.print(
        f"Watching {wanted.folder}; nothing is sent or kept. Ctrl-C ends it.",
        highlight=False,
        soft_wrap=True,
    )

    async def said() -> str:
        return agent_showing.files_line(watcher.status())

    status: WatchStatus = await _drawn(watcher.run(once=once), said, console)
    console.print(agent_showing.files_line(status), highlight=False, soft_wrap=True)
    return bool(status.failed)


async def _drawn(work: Awaitable, said: Callable[[], Awaitable[str]], console: Console):  # noqa: ANN202 (what `work` gives)
    """Return what some work gives, with a line about its progress meanwhile."""
    drawing = asyncio.create_task(_draw(said, console))
    try:
        return await work
    finally:
        drawing.cancel()
        await asyncio.wait({drawing})


async def _draw(said: Callable[[], Awaitable[str]], console: Console) -> None:
    """Keep one line about progress on a terminal; elsewhere say it now and then."""
    if not console.is_terminal:
        while True:
            await asyncio.sleep(_LOG_EVERY)
            console.print(await said())
    with console.status("") as shown:
        while True:
            shown.update(await said())
            await asyncio.sleep(_DRAW_EVERY)


@app.command()
def status(folder: _Watched = None, as_json: AsJson = False) -> None:
    """Show how the agents of this machine stand, running or not.

    What each watches, since when, which files it reported, failed to read or waits for, what
    is in its spool, what the API refused, and whether the API answers.

    Example:
      athanor agent status --json | jq '.agents[].spool.messages'
    """
    from entrypoints import agent_showing  # noqa: PLC0415 (as above)

    settings = Settings()
    states = _states(settings, folder)
    urls = {str((state.read_status() or {}).get("api", "")) for state in states} - {""}
    reachable = {url: _trouble_of(url) for url in urls}
    found = [agent_showing.look(state, reachable=reachable) for state in states]
    if as_json:
        typer.echo(json.dumps({"agents": found}, indent=2))
        return
    for one in found:
        agent_showing.show(one)
    if not found:
        typer.echo("No folder was ever watched from here.")


@app.command()
def retry(
    folder: _Watched = None,
    discard: Annotated[
        bool, typer.Option("--discard", help="Drop the refused messages instead.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Send again what the API refused, for example after an upgrade of Athanor.

    A running agent takes them up within seconds, another one when it starts.
    """
    from agent.epu.spool import Spool  # noqa: PLC0415 (as above)

    settings = Settings()
    moved = 0
    for state in _states(settings, folder):
        if state.spool_path.exists():
            with Spool.open(state.spool_path, max_bytes=settings.agent.spool_max_bytes) as spool:
                moved += spool.discard() if discard else spool.retry()
    if as_json:
        typer.echo(json.dumps({"discarded" if discard else "retried": moved}))
    else:
        typer.echo(f"{moved:,} messages {'dropped' if discard else 'are sent again'}.")


@app.command()
def instructions(
    folder: _Watched = None,
    limit: Annotated[int, typer.Option(min=1, help="Most instructions to show.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Show what agents of this machine were told to do, and what came of it, the newest first.

    Example:
      athanor agent instructions --json | jq '.instructions[] | select(.status == "failed")'
    """
    from entrypoints import instruction_showing  # noqa: PLC0415 (as above)

    found = instruction_showing.look(_states(Settings(), folder), limit)
    if as_json:
        typer.echo(json.dumps({"instructions": found}, indent=2))
    else:
        instruction_showing.show(found)


def _states(settings: Settings, folder: Path | None) -> "list[StateFolder]":
    from agent.epu.state import StateFolder  # noqa: PLC0415 (as above)

    if folder is None:
        return StateFolder.all(settings.home)
    state = StateFolder.of(settings.home, folder)
    if not state.has_begun:
        raise NotFound(f"No agent has ever watched {folder} from here.")
    return [state]


def _trouble_of(url: str) -> str | None:
    """Return what keeps an API from answering; None when it does."""
    import httpx  # noqa: PLC0415 (as above)

    try:
        answer = httpx.get(f"{url.rstrip('/')}/health", timeout=3)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return f"cannot be reached: {error or type(error).__name__}"
    return None if answer.is_success else f"answers {answer.status_code}"
