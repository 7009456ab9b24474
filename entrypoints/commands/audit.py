"""`athanor audit …`: who changed what."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from core.clock import as_utc
from core.settings import Settings
from entrypoints import showing
from entrypoints.showing import AsJson, Cursor, Limit

if TYPE_CHECKING:
    from models.audit_reads import AuditView

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _audit() -> None:
    """See who changed what, and what was refused."""


@app.command("list")
def list_(
    caller: Annotated[str | None, typer.Option(help="Only by this caller.")] = None,
    entity: Annotated[
        str | None, typer.Option(help="Only of this kind of thing, such as grid.")
    ] = None,
    entity_id: Annotated[
        str | None, typer.Option("--id", help="Only of this thing.", metavar="ID")
    ] = None,
    since: Annotated[datetime | None, typer.Option(help="Only from then on, UTC.")] = None,
    refused: Annotated[
        bool | None,
        typer.Option("--refused/--done", help="Only what was refused, or only what was done."),
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List changes and refused attempts at them, newest first.

    Examples:
      athanor audit list --refused

      athanor audit list --caller ada --since 2026-03-01 --json
    """
    from entrypoints.reading import opened_database  # noqa: PLC0415 (`athanor --help` shall be fast)
    from models.audit_reads import AuditFilter, list_audit  # noqa: PLC0415 (as above)

    wanted = AuditFilter(
        caller=caller,
        entity=entity,
        entity_id=entity_id,
        since=since and as_utc(since),
        until=None,
        refused=refused,
    )
    with opened_database(Settings()) as database, database.reading() as session:
        page = list_audit(session, wanted, limit=limit, cursor=cursor)
    if as_json:
        showing.print_json(page)
        return
    showing.print_table(
        "Audit",
        ("at", "caller", "from", "request", "status#", "what", "id", "changed"),
        (
            (
                one.at,
                one.caller,
                one.address,
                f"{one.method} {one.route}" if one.method else None,
                one.status,
                one.entity,
                one.entity_id,
                _changed(one),
            )
            for one in page.items
        ),
        empty="Nothing was changed, as far as is asked for.",
    )
    showing.print_more("athanor audit list …", page.next_cursor)


def _changed(one: "AuditView") -> str:
    """Return the fields that changed, as they were and as they are."""
    before, after = one.before or {}, one.after or {}
    return "; ".join(
        f"{name}: {showing.as_text(before.get(name))} → {showing.as_text(after.get(name))}"
        for name in sorted({*before, *after})
    )
