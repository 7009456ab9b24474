"""`athanor simulate …`: the instruments and models that Athanor talks to, simulated."""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from core.clock import utcnow
from core.logging import configure
from core.settings import Settings
from entrypoints.commands import simulate_messages

if TYPE_CHECKING:
    from simulators.epu.events import MicroscopeEvent
    from simulators.epu.guide import Guide
    from simulators.epu.microscope import Acquisition, Plan
    from simulators.epu.recipe import Recipe
    from simulators.epu.writer import WriteMode
    from simulators.predictors import SimulatedModel
    from simulators.predictors.publisher import Published

app = typer.Typer(
    help="Run a simulated microscope, model or decision service.", no_args_is_help=True
)
app.add_typer(simulate_messages.app, name="messages")


@app.callback()
def _group() -> None:
    """Run a simulated microscope, model or decision service."""


@app.command()
def athena(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8378,
    state: Annotated[
        Path | None,
        typer.Option(help="File that keeps the state. Default: athena-simulator.db in the home."),
    ] = None,
    forget: Annotated[
        bool, typer.Option("--forget", help="Keep the state in memory only.")
    ] = False,
    latency: Annotated[float, typer.Option(min=0, help="Seconds before each answer.")] = 0.0,
    error_rate: Annotated[
        float, typer.Option(min=0, max=1, help="Share of requests that fail before acting.")
    ] = 0.0,
    drop_after_commit: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share of changes made whose answer is then lost."),
    ] = 0.0,
) -> None:
    """Run a simulated Athena Decision Service until Ctrl-C.

    All 46 operations of its API, a state that outlives restarts, and faults on demand.
    """
    from simulators.athena import Faults, serve  # noqa: PLC0415 (`athanor --help` shall be fast)

    settings = Settings()
    configure(settings.log_level, as_json=settings.log_json)
    console = Console(stderr=True)
    faults = Faults(latency=latency, error_rate=error_rate, drop_after_commit=drop_after_commit)
    kept = None if forget else state or settings.home / "athena-simulator.db"
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)

    def started(url: str) -> None:
        console.print(f"Simulated Athena at {url}. Ctrl-C ends it.", highlight=False)

    asyncio.run(_until_stopped(serve(host, port, kept, faults, started=started)))


async def _until_stopped(work: Coroutine[Any, Any, None]) -> None:
    """Run until it ends or a signal asks for the end."""
    task = asyncio.create_task(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Windows has no loop handlers: there Ctrl-C cancels the main task instead.
        if sys.platform != "win32":
            loop.add_signal_handler(number, task.cancel)
    await asyncio.wait({task})
    if not task.cancelled():
        await task


@app.command()
def epu(  # noqa: PLR0913, PLR0917 (each is an option of the command)
    folder: Annotated[Path, typer.Argument(help="Where session and atlas folders are made.")],
    name: Annotated[str, typer.Option(help="Name of the session.")] = "simulated",
    squares: Annotated[int, typer.Option(min=1, help="Squares on the atlas.")] = 12,
    holes: Annotated[int, typer.Option(min=1, help="Holes of all squares together.")] = 600,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 1,
    athena: Annotated[
        str | None, typer.Option(help="Decision service to ask. Default: ATHANOR_ATHENA__URL.")
    ] = None,
    write_only: Annotated[
        bool, typer.Option("--write-only", help="Ask nobody: EPU's own order, files only.")
    ] = False,
    collect: Annotated[int, typer.Option(min=0, help="Most holes collected on a square.")] = 10,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for a decision.")] = 30,
    pace: Annotated[
        float, typer.Option(min=0, help="Seconds of real time for a simulated minute.")
    ] = 0.0,
    rename: Annotated[
        bool, typer.Option("--rename", help="Rename files into place instead of writing in place.")
    ] = False,
) -> None:
    r"""Run a simulated EPU microscope over one grid.

    It writes a session in EPU's format to FOLDER/NAME and its atlas to FOLDER/atlas, asks the
    decision service what to collect, and collects what it is told. EPU's own paths begin with
    Z:\simulated, which is FOLDER:

      athanor agent watch FOLDER/NAME --atlas FOLDER/atlas
    """
    from simulators.epu.microscope import Plan  # noqa: PLC0415 (as above)
    from simulators.epu.recipe import Recipe  # noqa: PLC0415 (as above)
    from simulators.epu.writer import WriteMode  # noqa: PLC0415 (as above)

    settings = Settings()
    configure(settings.log_level, as_json=settings.log_json)
    recipe = Recipe(seed=seed, squares=squares, holes=holes, name=name, started_at=utcnow())
    recipe.grow()
    recipe.save(folder)
    plan = Plan(collected_per_square=collect, pace=pace)
    mode = WriteMode.RENAME if rename else WriteMode.IN_PLACE
    url = None if write_only else athena or settings.athena.url
    done = asyncio.run(_image(folder, recipe, mode, url, timeout, plan, Console(stderr=True)))
    typer.echo(
        f"{len(done.micrographs)} micrographs, {len(done.skipped)} squares skipped, "
        f"{len(done.undecided)} squares without a decision in time"
    )


async def _image(
    folder: Path,
    recipe: "Recipe",
    mode: "WriteMode",
    url: str | None,
    timeout: float,
    plan: "Plan",
    console: Console,
) -> "Acquisition":
    from blocks.athena import AthenaClient  # noqa: PLC0415 (as above)
    from simulators.epu.folder import session_writer  # noqa: PLC0415 (as above)
    from simulators.epu.guide import AthenaGuide, OwnOrder  # noqa: PLC0415 (as above)
    from simulators.epu.microscope import Microscope  # noqa: PLC0415 (as above)

    grid = recipe.grow()
    writer = session_writer(folder, grid, mode=mode)

    async def run(guide: "Guide") -> "Acquisition":
        return await Microscope(
            grid, writer, guide, plan=plan, on_event=lambda event: _say(console, event)
        ).run()

    if url is None:
        return await run(OwnOrder())
    async with AthenaClient(url) as client:
        return await run(
            AthenaGuide(
                client,
                f"Grid_{grid.name}",
                decision_timeout=timeout,
                session_timeout=max(60.0, timeout),
            )
        )


def _say(console: Console, event: "MicroscopeEvent") -> None:
    from simulators.epu import events  # noqa: PLC0415 (as above)

    match event:
        case events.SessionWritten(session_path=path, squares=squares):
            line = f"session with {len(squares)} squares at {path.parent}"
        case events.SessionFound(session_id=session):
            line = f"Athena knows the session as {session}"
        case events.SquareImaged(square_id=square, holes=holes):
            line = f"square {square}: {len(holes)} holes"
        case events.SquareDecided(square_id=square, selected=None):
            line = f"square {square}: nobody said whether to collect it"
        case events.SquareDecided(square_id=square, selected=selected, waited_seconds=waited):
            line = f"square {square}: {'selected' if selected else 'deselected'} in {waited:.1f} s"
        case events.HolesDecided(square_id=square, selected=None):
            line = f"square {square}: no hole selection in time, EPU's own order"
        case events.HolesDecided(square_id=square, selected=holes, waited_seconds=waited):
            line = f"square {square}: {len(holes or ())} holes selected in {waited:.1f} s"
        case events.SquareFinished(square_id=square, collected=collected):
            line = f"square {square}: {collected} holes collected"
        case events.MicrographTaken():
            return
    console.print(line, highlight=False)


@app.command()
def predictor(
    folder: Annotated[Path, typer.Argument(help="The folder given to `athanor simulate epu`.")],
    model: Annotated[str, typer.Option(help="Name of the model.")] = "simulated-model",
    auc: Annotated[
        float, typer.Option(min=0.51, max=1.0, help="How well it ranks holes, as an AUC.")
    ] = 0.9,
    seed: Annotated[int, typer.Option(min=0, help="Of the model's noise.")] = 0,
    api: Annotated[
        str | None, typer.Option(help="Athanor's API. Default: ATHANOR_AGENT__API_URL.")
    ] = None,
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for squares to become known.")
    ] = 600,
) -> None:
    """Run a simulated model over a simulated grid: predict what Athanor comes to know of.

    It asks Athanor's API which squares and holes are known, as a real model service would, and
    publishes a prediction for each, all holes of a square in one request.
    """
    from simulators.epu.recipe import Recipe  # noqa: PLC0415 (as above)
    from simulators.predictors import SimulatedModel, noise_for  # noqa: PLC0415 (as above)

    settings = Settings()
    configure(settings.log_level, as_json=settings.log_json)
    recipe = Recipe.load(folder)
    guessing = SimulatedModel(model, noise=noise_for(auc, recipe.grow(), seed=seed), seed=seed)
    url = api or settings.agent.api_url
    published = asyncio.run(_predict(folder, recipe, guessing, url, settings.agent.key, patience))
    total = sum(one.predictions for one in published)
    typer.echo(f"{total} predictions in {len(published)} requests")


async def _predict(
    folder: Path,
    recipe: "Recipe",
    model: "SimulatedModel",
    url: str,
    key: str | None,
    patience: float,
) -> "tuple[Published, ...]":
    from simulators.predictors import PredictionPublisher  # noqa: PLC0415 (as above)
    from simulators.predictors.publisher import grid_of  # noqa: PLC0415 (as above)

    grid = recipe.grow()
    uuid = await asyncio.to_thread(grid_of, folder / grid.name / "EpuSession.dm")
    async with PredictionPublisher(url, uuid, grid, model, key=key) as publisher:
        return await publisher.follow(until_seconds=patience)
