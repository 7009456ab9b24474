"""`athanor report`: a session on one page."""

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from core.errors import StorageUnavailable
from core.settings import Settings


def report(
    session: Annotated[
        str | None,
        typer.Argument(
            metavar="SESSION",
            help="Uuid of its grid, or its name. Default: the session started last.",
        ),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write the page.")] = (
        Path("report.html")
    ),
    decisions: Annotated[
        int, typer.Option(min=0, max=100_000, help="Most decisions to show, the newest first.")
    ] = 1_000,
) -> None:
    """Write a session's report: one HTML file that needs no network and no server.

    It has the atlas coloured by score, each square with its holes, their order and state, the
    weights of the models and the yield over time, all to zoom into, and the decisions, each with
    its trail from message to Athena.

    Examples:
      athanor report

      athanor report 0b6f9c2e-6a0e-5d0c-9d55-0d2f2b6a7c11 -o report.html
    """
    from entrypoints.reading import opened_database  # noqa: PLC0415 (`athanor --help` shall be fast)
    from entrypoints.report.page import as_page  # noqa: PLC0415 (as above)
    from models.cryoem.queries.decisions import list_details  # noqa: PLC0415 (as above)
    from models.cryoem.queries.naming import find_session  # noqa: PLC0415 (as above)
    from models.cryoem.queries.pictures import read_pictures  # noqa: PLC0415 (as above)
    from models.cryoem.queries.sessions import get_session  # noqa: PLC0415 (as above)

    settings = Settings()
    with opened_database(settings) as database, database.reading() as reading:
        grid = find_session(reading, _named(session))
        page = as_page(
            get_session(reading, grid),
            read_pictures(reading, grid, cutoff=settings.decisions.ctf_cutoff, all_holes=True),
            list_details(reading, grid, limit=decisions),
        )
    try:
        output.write_text(page, encoding="utf-8")
    except OSError as error:
        raise StorageUnavailable(f"{output} cannot be written: {error.strerror}.") from error
    typer.echo(f"Wrote {output} ({len(page) / 1e6:.1f} MB).")


def _named(session: str | None) -> UUID | str | None:
    try:
        return UUID(session) if session else None
    except ValueError:
        return session
