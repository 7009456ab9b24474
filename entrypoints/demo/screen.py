"""How far the demonstration is: bars on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

#: Seconds between two lines where there is no terminal to draw on.
_LINE_EVERY = 4.0


class Screen(Protocol):
    """What is told of each step."""

    def step(self, name: str, done: int = 0, total: int | None = None, note: str = "") -> None:
        """Say how far a step is; it has ended when `done` is `total`."""
        ...


@contextmanager
def screen_on(console: Console) -> Iterator[Screen]:
    """Give a screen that fits the console, for the time of the block."""
    if not console.is_interactive:
        yield Lines(console)
        return
    columns = (
        SpinnerColumn(finished_text="[green]✓[/green]"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[count]}", justify="right"),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[note]}[/dim]"),
    )
    # Output is redirected by others already; drawn over by this one, it would be lost.
    with Progress(*columns, console=console, redirect_stdout=False, redirect_stderr=False) as bars:
        yield Bars(bars)


class Start:
    """The first step, in which many things begin."""

    def __init__(self, screen: Screen) -> None:
        """Take whom to tell."""
        self._screen = screen
        self._note = ""

    def say(self, note: str) -> None:
        """Say what it is about now."""
        self._note = note
        self.tick()

    def tick(self) -> None:
        """Show that it goes on."""
        self._screen.step("Athanor starts", note=self._note)

    def done(self) -> None:
        """Say that all is at work."""
        self._screen.step("Athanor starts", 1, 1)


class Bars:
    """One bar for each step."""

    def __init__(self, progress: Progress) -> None:
        """Take where to draw."""
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def step(self, name: str, done: int = 0, total: int | None = None, note: str = "") -> None:
        """Move the step's bar."""
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=None, count="", note="")
        self._progress.update(
            self._tasks[name], completed=done, total=total, count=_count(done, total), note=note
        )


class Lines:
    """A line when a step has ended, and one every few seconds meanwhile."""

    def __init__(self, console: Console) -> None:
        """Take where to write."""
        self._console = console
        self._began = time.monotonic()
        self._said_at = float("-inf")
        self._going: dict[str, str] = {}
        self._ended: set[str] = set()

    def step(self, name: str, done: int = 0, total: int | None = None, note: str = "") -> None:
        """Say it, unless something was said a moment ago."""
        line = " ".join(part for part in (name, _count(done, total), note) if part)
        if total is not None and done >= total:
            self._going.pop(name, None)
            if name not in self._ended:
                self._ended.add(name)
                self._say(f"{line}: done")
            return
        self._going[name] = line
        self._ended.discard(name)
        if time.monotonic() - self._said_at >= _LINE_EVERY:
            self._say(", ".join(self._going.values()) + " …")

    def _say(self, line: str) -> None:
        self._said_at = time.monotonic()
        waited = self._said_at - self._began
        self._console.print(f"{waited:5.1f} s  {line}", highlight=False, soft_wrap=True)


def _count(done: int, total: int | None) -> str:
    if total is None or total == 1:
        return f"{done:,}" if done > 1 else ""
    return f"{done:,}/{total:,}"
