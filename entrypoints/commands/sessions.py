"""`athanor sessions …`: look at EPU sessions."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

import typer
from pydantic import BaseModel

from core.settings import Settings
from entrypoints import showing
from entrypoints.showing import AsJson, Cursor, Limit


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


class AssignedView(BaseModel):
    """What `athanor sessions assign --json` prints."""

    grids: list[UUID]
    acquisition_uuid: UUID
    organisation: str
    before: list[str]
    agent_sessions: int
    messages: int
    dry_run: bool


@app.command()
def assign(
    session: Annotated[
        str, typer.Argument(metavar="SESSION", help="Uuid of its grid, or its name.")
    ],
    organisation: Annotated[str, typer.Option(help="Whose it is from now on.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be given.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Give a session to an organisation, whoever's it was: from now on they alone see it.

    With it go the other grids of its acquisition, the sessions of its agents, and what was sent
    about it. An agent that goes on with it needs a key of that organisation.

    Examples:
      athanor sessions assign 0b6f9c2e-6a0e-5d0c-9d55-0d2f2b6a7c11 --organisation nt32457 --dry-run

      athanor sessions assign trial --organisation nt32457
    """
    from entrypoints.reading import opened_database  # noqa: PLC0415 (as above)
    from models.access.grants import has_members  # noqa: PLC0415 (as above)
    from models.cryoem import session_owning  # noqa: PLC0415 (as above)
    from models.cryoem.queries.naming import as_named, find_session  # noqa: PLC0415 (as above)

    with opened_database(Settings()) as database:
        opened = database.reading() if dry_run else database.transaction()
        with opened as writing:
            grid = find_session(writing, as_named(session))
            done = session_owning.assign(writing, grid, organisation, dry_run=dry_run)
            known = has_members(writing, done.organisation)
    view = AssignedView(
        grids=list(done.grids),
        acquisition_uuid=done.acquisition,
        organisation=done.organisation,
        before=list(done.before),
        agent_sessions=done.agents,
        messages=done.messages,
        dry_run=dry_run,
    )
    if as_json:
        showing.print_json(view)
    else:
        verb = "would be given" if dry_run else "is given"
        typer.echo(
            f"Session of grid {grid} {verb} to {done.organisation}. "
            f"It belonged to: {', '.join(done.before) or 'nobody'}. "
            f"Grids: {len(done.grids)}, sessions of agents: {done.agents}, messages that others "
            f"sent: {done.messages:,}."
        )
    if not known:
        typer.echo(
            f"Nobody here belongs to {done.organisation}: no user, key or client. Check the name, "
            "unless a facility's issuer says who does.",
            err=True,
        )


@app.command()
def hold(
    grid_uuid: Annotated[UUID, typer.Argument(help="As `athanor sessions list` shows it.")],
    reason: Annotated[str, typer.Option(help="Why it is to be kept.", prompt=False)],
) -> None:
    """Hold a session: nobody and no schedule deletes it until it is released.

    Example:
      athanor sessions hold 0b6f9c2e-6a0e-5d0c-9d55-0d2f2b6a7c11 --reason "inquiry 2026-7"
    """
    from core.caller import current_caller  # noqa: PLC0415 (as above)
    from core.clock import utcnow  # noqa: PLC0415 (as above)
    from entrypoints.reading import opened_database  # noqa: PLC0415 (as above)
    from models.retention import holds  # noqa: PLC0415 (as above)

    with opened_database(Settings()) as database, database.transaction() as session:
        by = current_caller().name
        held = holds.hold(session, grid_uuid, reason=reason, by=by, now=utcnow())
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
    from models import audit  # noqa: PLC0415 (as above)
    from models.retention import holds  # noqa: PLC0415 (as above)

    with opened_database(Settings()) as database, database.transaction() as session:
        was = holds.release(session, grid_uuid)
        audit.note(session, "session_hold", grid_uuid, after={"released": reason})
    typer.echo(f"{grid_uuid} is released ({reason}). It was held by {was.held_by}: {was.reason}")
