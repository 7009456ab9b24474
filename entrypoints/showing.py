"""How commands show things: tables for people, one JSON object for programs."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from core.clock import utcnow

#: Columns where no terminal says how wide it is.
_WIDTH = 200

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")]
Limit = Annotated[int, typer.Option(min=1, max=500, help="Most rows to show.")]
Cursor = Annotated[
    str | None, typer.Option(help="Go on after another page: its next_cursor.", metavar="CURSOR")
]


def console() -> Console:
    """Return the console of standard output."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=_WIDTH)


def print_json(value: BaseModel) -> None:
    """Print one JSON object on standard output."""
    typer.echo(value.model_dump_json(indent=2))


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str
) -> None:
    """Print rows as a table, or a sentence when there are none."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        number = column.endswith("#")
        table.add_column(
            column.removesuffix("#"),
            justify="right" if number else "left",
            overflow="fold",
            no_wrap=number or column.endswith("id"),
        )
    for row in rows:
        table.add_row(*(escape(as_text(value)) for value in row))
    if table.row_count:
        console().print(table)
    else:
        console().print(empty)


def print_fields(title: str, fields: Iterable[tuple[str, Any]]) -> None:
    """Print names and values below one another."""
    table = Table(title=title, title_justify="left", show_header=False, box=None)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in fields:
        table.add_row(escape(name), escape(as_text(value)))
    console().print(table)


def print_more(command: str, cursor: str | None) -> None:
    """Say how to see what did not fit on the page."""
    if cursor:
        console().print(f"More: {command} --cursor {cursor}", soft_wrap=True)


def print_rung(*, asked: bool) -> None:
    """Say when what was stored is worked on."""
    console().print(
        "Prefect was asked to work on it now."
        if asked
        else "Prefect's server is not reachable: the sweep of `athanor up` works on it within "
        "30 s of its start.",
        soft_wrap=True,
    )


def as_text(value: Any) -> str:
    """Return a value as people read it: local time, yes and no, a dash for nothing."""
    match value:
        case None | "":
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        case float():
            return f"{value:.4g}"
        case dict():
            return ", ".join(f"{count} {name}" for name, count in value.items()) or "none"
        case _:
            return str(value)


def seconds(value: float | None) -> str:
    """Return a duration as people read it."""
    if value is None:
        return "-"
    minutes, rest = divmod(value, 60)
    hours, minutes = divmod(int(minutes), 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest:.0f} s" if minutes else f"{value:.2f} s"


def ago(moment: datetime | None) -> str:
    """Return how long ago a moment was."""
    return "-" if moment is None else f"{seconds((utcnow() - moment).total_seconds())} ago"
