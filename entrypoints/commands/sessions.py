"""`athanor sessions …`: look at EPU sessions."""

import getpass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from core.settings import Settings
from entrypoints import showing
from entrypoints.showing import AsJson, Cursor, Limit

if TYPE_CHECKING:
    from models.audit import AuditEntry


class Planner(StrEnum):
    """What may be chosen."""

    CLASSIC = "classic"
    ADAPTIVE = "adaptive"
    DEFAULT = "default"


app = typer.Typer(help="Look at EPU sessions, and keep them.", no_args_is_help=True)


@app.command("list")
def list_(limit: Limit = 50, cursor: Cursor = None, as_json: AsJson = False) -> None:
    """List sessions, the latest started first.

    Example:
      athanor sessions list
    """
    from entrypoints.reading import opened_database  # noqa: PLC0415 (`athanor --help` shall be fast)
    from models.cryoem.queries.sessions import list_sessions  # noqa: PLC0415 (as above)

    with opened_database(Settings()) as database, database.reading() as session:
        page = list_sessions(session, limit=limit, cursor=cursor)
    if as_json:
        showing.print_json(page)
        return
    showing.print_table(
        "Sessions",
        (
            "name",
            "grid uuid",
            "started",
            "last news",
            "squares#",
            "holes#",
            "micrographs#",
            "sent#",
            "pending#",
        ),
        (
            (
                one.name,
                one.grid_uuid,
                one.started_at,
                "ended" if one.ended_at else showing.ago(one.last_news_at),
                one.squares,
                one.holes,
                one.micrographs,
                one.decisions_sent,
                one.decisions_pending,
            )
            for one in page.items
        ),
        empty="No sessions yet. `athanor agent watch DIR` or `athanor ingest DIR` brings some.",
    )
    showing.print_more("athanor sessions list", page.next_cursor)


@app.command()
def show(
    grid_uuid: Annotated[UUID, typer.Argument(help="As `athanor sessions list` shows it.")],
    as_json: AsJson = False,
) -> None:
    """Show one session: what is known, what Athena knows, what was decided.

    Example:
      athanor sessions show 0b6f9c2e-6a0e-5d0c-9d55-0d2f2b6a7c11
    """
    from entrypoints.reading import opened_database  # noqa: PLC0415 (as above)
    from models.cryoem.queries.sessions import get_session  # noqa: PLC0415 (as above)

    with opened_database(Settings()) as database, database.reading() as session:
        found = get_session(session, grid_uuid)
    if as_json:
        showing.print_json(found)
        return
    athena = found.athena
    showing.print_fields(
        f"Session {found.name}",
        (
            ("grid", f"{found.grid_name} ({found.grid_uuid})"),
            ("microscope", found.instrument_model),
            ("started", found.started_at),
            ("ended", found.ended_at),
            ("last news", showing.ago(found.last_news_at)),
            ("entities", found.entities.model_dump()),
            ("Athena session", f"{athena.session_name} ({athena.session_id})" if athena else None),
            ("Athena run", athena.run_number if athena else None),
            ("areas registered", found.areas_registered),
            ("predictions", found.predictions),
            ("decisions on their way", found.outbox),
            ("messages", found.inbox),
        ),
    )
    showing.print_table(
        "Decisions",
        ("type", "decisions#", "selected#", "rejected#"),
        ((one.decision_type, one.decisions, one.selected, one.rejected) for one in found.decisions),
        empty="No decisions yet.",
    )


@app.command()
def planner(
    grid_uuid: Annotated[UUID, typer.Argument(help="As `athanor sessions list` shows it.")],
    name: Annotated[
        Planner, typer.Argument(help="What orders its holes; `default` is what the settings say.")
    ],
) -> None:
    """Choose what orders a session's holes; the order is made anew.

    Example:
      athanor sessions planner 0b6f9c2e-6a0e-5d0c-9d55-0d2f2b6a7c11 adaptive
    """
    from core.clock import utcnow  # noqa: PLC0415 (as above)
    from domains.cryoem.planners import PlannerName  # noqa: PLC0415 (as above)
    from entrypoints.reading import opened_database  # noqa: PLC0415 (as above)
    from models.cryoem import wanting  # noqa: PLC0415 (as above)
    from models.cryoem.queries.sessions import require_grid  # noqa: PLC0415 (as above)

    chosen = None if name is Planner.DEFAULT else PlannerName(name.value)
    with opened_database(Settings()) as database, database.transaction() as session:
        require_grid(session, grid_uuid)
        wanting.choose(session, grid_uuid, chosen, now=utcnow())
    typer.echo(f"{grid_uuid}: {name.value}. The sweep sees to a new order within 30 s.")


@app.command()
def hold(
    grid_uuid: Annotated[UUID, typer.Argument(help="As `athanor sessions list` shows it.")],
    reason: Annotated[str, typer.Option(help="Why it is to be kept.", prompt=False)],
) -> None:
    """Hold a session: nobody and no schedule deletes it until it is released.

    Example:
      athanor sessions hold 0b6f9c2e-6a0e-5d0c-9d55-0d2f2b6a7c11 --reason "inquiry 2026-7"
    """
    from core.clock import utcnow  # noqa: PLC0415 (as above)
    from entrypoints.reading import opened_database  # noqa: PLC0415 (as above)
    from models.retention import holds  # noqa: PLC0415 (as above)

    with opened_database(Settings()) as database, database.transaction() as session:
        held = holds.hold(session, grid_uuid, reason=reason, by=_who(), now=utcnow())
        session.add(_audited(grid_uuid, "hold", None, {"reason": reason}))
    typer.echo(f"{grid_uuid} is held by {held.held_by}: {held.reason}")


@app.command()
def release(
    grid_uuid: Annotated[UUID, typer.Argument(help="As `athanor sessions list` shows it.")],
    reason: Annotated[str, typer.Option(help="Why it need not be kept any more.")],
) -> None:
    """Release a session that is held, so that it may be deleted when it is old.

    Example:
      athanor sessions release 0b6f9c2e-6a0e-5d0c-9d55-0d2f2b6a7c11 --reason "inquiry closed"
    """
    from entrypoints.reading import opened_database  # noqa: PLC0415 (as above)
    from models.retention import holds  # noqa: PLC0415 (as above)

    with opened_database(Settings()) as database, database.transaction() as session:
        was = holds.release(session, grid_uuid)
        before = {"reason": was.reason, "held_by": was.held_by}
        session.add(_audited(grid_uuid, "release", before, {"released": reason}))
    typer.echo(f"{grid_uuid} is released ({reason}). It was held by {was.held_by}: {was.reason}")


def _audited(
    grid: UUID, command: str, before: dict[str, str] | None, after: dict[str, str]
) -> "AuditEntry":
    """Return the row of the audit for a command, as the API writes one for a request."""
    from core.clock import utcnow  # noqa: PLC0415 (as above)
    from models.audit import AuditEntry  # noqa: PLC0415 (as above)

    return AuditEntry(
        at=utcnow(),
        caller=_who(),
        caller_kind="system",
        method="command",
        route=f"athanor sessions {command}",
        entity="session_hold",
        entity_id=str(grid),
        before=before,
        after=after,
    )


def _who() -> str:
    """Return the name that the operating system knows this person by."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "somebody at the command line"
