"""`athanor export` and `athanor import`: a session as one file."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from core.settings import Settings
from entrypoints import showing
from entrypoints.showing import AsJson


def export(
    session: Annotated[
        str, typer.Argument(metavar="SESSION", help="Uuid of its grid, or its name.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file: NAME.tar.zst.")],
    as_json: AsJson = False,
) -> None:
    """Write a session, with all that is known of it, to one file.

    The file says what it holds and the checksum of each part; `athanor import` brings it back.

    Example:
      athanor export 0b6f9c2e-6a0e-5d0c-9d55-0d2f2b6a7c11 -o session.tar.zst
    """
    from entrypoints.reading import opened_database  # noqa: PLC0415 (`athanor --help` shall be fast)
    from entrypoints.retaining import Telling  # noqa: PLC0415 (as above)
    from models.cryoem.queries.naming import as_named, find_session  # noqa: PLC0415 (as above)
    from tasks.cryoem.exporting import export_session  # noqa: PLC0415 (as above)

    with opened_database(Settings()) as database:
        with database.reading() as reading:
            grid = find_session(reading, as_named(session))
        done = asyncio.run(export_session(database, grid, output, progress=Telling()))
    if as_json:
        showing.print_json(done)
    else:
        rows = sum(done.rows.values())
        typer.echo(f"Wrote {output} ({done.bytes / 1e6:.1f} MB, {rows:,} rows).")


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="As `athanor export` writes it.")],
    as_json: AsJson = False,
) -> None:
    """Bring a session back from a file; nothing is written unless all of it is good.

    Doing it again changes nothing. A session that is there with other content stays as it is.

    Example:
      athanor import session.tar.zst
    """
    from entrypoints.reading import opened_database  # noqa: PLC0415 (as above)
    from entrypoints.retaining import Telling  # noqa: PLC0415 (as above)
    from models import audit  # noqa: PLC0415 (as above)
    from tasks.cryoem.importing import import_session  # noqa: PLC0415 (as above)

    settings = Settings()
    limit = settings.retention.max_import_bytes
    with opened_database(settings) as database:
        done = asyncio.run(import_session(database, file, limit=limit, progress=Telling()))
        with database.transaction() as opened:
            after = {"archive": done.digest, "rows": done.new}
            audit.note(opened, "grid", done.grid_uuid, after=after)
    if as_json:
        showing.print_json(done)
        return
    new = sum(done.new.values())
    if new:
        typer.echo(f"Restored session {done.name} of grid {done.grid_uuid}: {new:,} rows.")
    else:
        typer.echo(f"Session {done.name} of grid {done.grid_uuid} is there already, unchanged.")
