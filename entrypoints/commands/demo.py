"""`athanor demo`: one simulated session from files to decisions, on an Athanor of its own."""

import asyncio
import logging
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from core.clock import utcnow
from core.errors import AthanorError
from core.logging import configure
from entrypoints.demo.place import Interrupted, Place, forget_prefect, temporary_place
from entrypoints.demo.screen import Screen, Start, screen_on

if TYPE_CHECKING:
    from entrypoints.demo.outcome import Outcome
    from simulators.epu.recipe import Recipe

_INTERRUPTED = 130


def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave everything up afterwards, until Ctrl-C.")
    ] = False,
    squares: Annotated[int, typer.Option(min=1, help="Squares on the atlas.")] = 12,
    holes: Annotated[int, typer.Option(min=1, help="Holes of all squares together.")] = 600,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 1,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on standard output.")
    ] = False,
) -> None:
    """Show one session from files to decisions: about a minute, nothing else needed.

    A simulated microscope writes EPU's files, a simulated model predicts, Athanor decides, and
    the microscope collects what a simulated Athena tells it. Everything runs in a temporary
    folder, which is removed at the end. What came of it is compared with the simulated truth;
    anything else than that makes the exit code 1, and the folder stays.

    Examples:
      athanor demo --keep

      athanor demo --squares 4 --holes 60 --json
    """
    began = time.monotonic()
    from simulators.epu.recipe import Recipe  # noqa: PLC0415 (`athanor --help` shall be fast)

    recipe = Recipe(seed=seed, squares=squares, holes=holes, name="demo", started_at=utcnow())
    recipe.grow()
    # The standard error of now: later ones go to a log.
    console = Console(file=sys.stderr)
    try:
        with _sigterm_as_ctrl_c(), temporary_place() as place:
            stage = _Stage(place, console, keep=keep, as_json=as_json)
            try:
                outcome = stage.perform(recipe, began)
            except Interrupted:
                raise
            except AthanorError:
                console.print(f"What it left is in {place.folder}", highlight=False, soft_wrap=True)
                raise
    except (KeyboardInterrupt, Interrupted):
        console.print("Stopped; nothing is left behind.")
        raise typer.Exit(_INTERRUPTED) from None
    if not outcome.ok:
        raise typer.Exit(1)


class _Stage:
    """What a person sees of one demonstration."""

    def __init__(self, place: Place, console: Console, *, keep: bool, as_json: bool) -> None:
        self._place = place
        self._console = console
        self._keep = keep
        self._as_json = as_json
        self._shown = ExitStack()
        #: What must not be missed: how to sign in.
        self._told: list[str] = []

    def perform(self, recipe: "Recipe", began: float) -> "Outcome":
        with _noise_to(self._place.log_file), self._shown:
            screen = self._shown.enter_context(screen_on(self._console))
            start = Start(screen)
            start.say("loading")
            return self._perform(recipe, screen, start, began)

    def _perform(self, recipe: "Recipe", screen: Screen, start: Start, began: float) -> "Outcome":
        from entrypoints import up as wiring  # noqa: PLC0415 (as above)

        forget_prefect()
        # Imports for seconds: outside of the event loop, where Ctrl-C ends it at once.
        supervisor = wiring.build(self._place.settings, say=start.say, tell=self._told.append)
        # Imports Prefect, for which that had to make ready.
        from entrypoints.demo.run import Demonstration  # noqa: PLC0415 (as above)

        start.say("Prefect's server")
        shown = Demonstration(self._place, recipe, screen, start, began)
        return asyncio.run(shown.perform(supervisor, ended=self._ended, stopping=self._stopping))

    def _ended(self, outcome: "Outcome") -> bool:
        """Show the outcome; return whether to leave everything up."""
        from entrypoints.demo import table  # noqa: PLC0415 (as above)

        self._shown.close()
        self._place.kept = not outcome.ok
        if self._as_json:
            typer.echo(outcome.model_dump_json(indent=2))
        else:
            table.show(outcome, Console())
        for line in self._told:
            self._console.print(line, highlight=False, soft_wrap=True)
        table.show_addresses(outcome, self._console, kept=self._keep)
        return self._keep

    def _stopping(self) -> None:
        self._shown.close()
        if self._console.is_interactive:
            self._shown.enter_context(self._console.status("Stopping …"))
        else:
            self._console.print("Stopping …")


@contextmanager
def _noise_to(log_file: Path) -> Iterator[None]:
    """Send log lines, warnings and whatever libraries say to a file."""
    with log_file.open("a", buffering=1) as log, redirect_stderr(log):
        configure("INFO")
        try:
            yield
        finally:
            # Threads that still end may log: where nobody reads any longer.
            logging.disable()


@contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    """Let SIGTERM unwind everything, as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
