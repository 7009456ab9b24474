"""`athanor ingest`: import an EPU session that lies on disk."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from core.settings import Settings

if TYPE_CHECKING:
    from agent.epu.importer import SessionReading
    from models.cryoem.entities import Applied


def ingest(
    session_dir: Annotated[
        Path, typer.Argument(help="The EPU session folder: the one with EpuSession.dm in it.")
    ],
    atlas: Annotated[
        Path | None,
        typer.Option(help="Folder with the atlas somewhere below it, or Atlas.dm itself."),
    ] = None,
    path_map: Annotated[
        list[str] | None,
        typer.Option(
            metavar="'Z:\\visit=/data/visit'",
            help="Where a folder of the microscope PC is on this machine, to find the atlas "
            "by itself. May be given several times.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on standard output.")
    ] = False,
) -> None:
    r"""Import an EPU session that lies on disk, finished or not.

    Importing it again changes nothing, unless files have changed. A file that cannot be read
    is listed at the end and makes the exit code 1; the rest is imported.

    Examples:
      athanor ingest /data/nt32457-6/session --atlas /data/nt32457-6/atlas

      athanor ingest /data/nt32457-6/session --path-map 'Z:\nt32457-6=/data/nt32457-6'
    """
    settings = Settings()
    console = Console(stderr=True)
    reading = _read(session_dir, atlas, path_map, settings, console)
    with console.status("Storing …"):
        applied = _store(reading, settings)
    if as_json:
        typer.echo(json.dumps(_as_json(reading, applied)))
    else:
        _show(reading, applied, Console())
    for failure in reading.failures:
        console.print(
            f"[red]Not read:[/red] {escape(str(failure.path))}: {escape(failure.reason)}",
            highlight=False,
            soft_wrap=True,
        )
    if reading.failures:
        raise typer.Exit(1)


def _read(
    session_dir: Path,
    atlas: Path | None,
    path_map: list[str] | None,
    settings: Settings,
    console: Console,
) -> "SessionReading":
    from rich.progress import (  # noqa: PLC0415 (`athanor --help` shall be fast)
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from agent.epu.importer import read_session  # noqa: PLC0415 (as above)
    from core.path_map import PathMap  # noqa: PLC0415 (as above)

    columns = (
        TextColumn("Reading"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("files"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)
        return read_session(
            session_dir,
            atlas=atlas,
            path_map=PathMap.parse((*(path_map or ()), *settings.agent.path_map)),
            max_bytes=settings.agent.max_file_bytes,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )


def _store(reading: "SessionReading", settings: Settings) -> "Applied":
    from entrypoints.following import followed  # noqa: PLC0415 (as above)
    from models import audit, revision  # noqa: PLC0415 (as above)
    from models.cryoem.entities import apply_epu  # noqa: PLC0415 (as above)
    from models.database import Database  # noqa: PLC0415 (as above)

    database = Database(settings.resolved_database_url)
    try:
        if revision.current(database) != revision.newest():
            from models import migrations  # noqa: PLC0415 (as above: rarely needed, and slow)

            migrations.upgrade(database)
        with followed(), database.transaction() as session:
            # A session from long ago is no news: the sweep leaves Athena out of it.
            latest = max(message.observed_at for message in reading.messages)
            applied = apply_epu(session, reading.messages, now=latest)
            counted = {name: vars(count) for name, count in applied.counts.items()}
            audit.note(session, "grid", reading.grid_uuid, after=counted)
            return applied
    finally:
        database.close()


def _as_json(reading: "SessionReading", applied: "Applied") -> dict[str, object]:
    return {
        "session": reading.session.name,
        "grid_uuid": str(reading.grid_uuid),
        "entities": {
            name: {"new": count.new, "changed": count.changed, "unchanged": count.unchanged}
            for name, count in applied.counts.items()
        },
        "failures": [
            {"path": str(failure.path), "reason": failure.reason} for failure in reading.failures
        ],
    }


def _show(reading: "SessionReading", applied: "Applied", console: Console) -> None:
    table = Table(title=f"Session {reading.session.name}", title_justify="left")
    table.add_column("Entity")
    for heading in ("total", "new", "changed", "unchanged"):
        table.add_column(heading, justify="right")
    for name, count in applied.counts.items():
        total = count.new + count.changed + count.unchanged
        table.add_row(name, *(f"{n:,}" for n in (total, count.new, count.changed, count.unchanged)))
    console.print(table)
    news = sum(count.new + count.changed for count in applied.counts.values())
    console.print(f"grid {reading.grid_uuid}", highlight=False)
    if not news:
        console.print("Nothing new: everything was imported before.")
