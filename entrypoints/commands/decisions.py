"""`athanor decisions …`: look at decisions, trace why they were made, send refused ones again."""

from typing import Annotated, Any
from uuid import UUID

import typer

from core.settings import Settings
from entrypoints import showing
from entrypoints.retrying import RetriedRow, Retry, ids_or_all
from entrypoints.showing import AsJson, Cursor, Limit
from models.cryoem.states import DecisionState

app = typer.Typer(
    help="Look at decisions, trace why they were made, and send refused ones again.",
    no_args_is_help=True,
)


class RetriedDecision(RetriedRow):
    """What became of one decision, or of whatever else was to leave."""

    kind: str


def _resend() -> Any:
    from tasks.resending import resend  # noqa: PLC0415 (see `Retry.load`)

    return resend


_RETRY = Retry(
    RetriedDecision,
    {"id": "id", "kind": "kind", "state": "state", "why not": "reason"},
    title="Sent again",
    would="would be sent again.",
    nothing="There is nothing to send again.",
    missing="Not dead, or not there at all: ",
    load=_resend,
)


@app.command("list")
def list_(
    grid: Annotated[UUID | None, typer.Option(help="Only about this grid.")] = None,
    decision_type: Annotated[
        str | None, typer.Option("--type", help="Only of this type, e.g. foilHoleSelection.")
    ] = None,
    state: Annotated[DecisionState | None, typer.Option(help="Only in this state.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List decisions, newest first, and how far each is on its way to Athena.

    Examples:
      athanor decisions list --state pending

      athanor decisions list --type foilHoleSelection --json
    """
    from entrypoints.reading import opened_database  # noqa: PLC0415 (`athanor --help` shall be fast)
    from models.cryoem.queries.decisions import DecisionFilter, list_decisions  # noqa: PLC0415

    wanted = DecisionFilter(grid, decision_type, state)
    with opened_database(Settings()) as database, database.reading() as session:
        page = list_decisions(session, wanted, limit=limit, cursor=cursor)
    if as_json:
        showing.print_json(page)
        return
    showing.print_table(
        "Decisions",
        ("id", "square#", "type", "value", "why", "made", "state", "latency#"),
        (
            (
                one.id,
                one.square_id,
                one.decision_type,
                one.value,
                one.details,
                one.made_at,
                one.state,
                showing.seconds(one.latency_seconds),
            )
            for one in page.items
        ),
        empty="No such decisions.",
    )
    showing.print_more("athanor decisions list …", page.next_cursor)


@app.command("explain")
@app.command()
def show(
    decision: Annotated[UUID, typer.Argument(metavar="ID", help="As the list shows it.")],
    as_json: AsJson = False,
) -> None:
    """Trace one decision: messages, predictions, order, decision, outbox, Athena.

    `explain` is the same.

    Example:
      athanor decisions show 7c9e6679-7425-50de-944b-e07fc1f90ae7
    """
    from entrypoints.reading import opened_database  # noqa: PLC0415 (as above)
    from models.cryoem.queries.decisions import get_decision  # noqa: PLC0415 (as above)

    with opened_database(Settings()) as database, database.reading() as session:
        found = get_decision(session, decision)
    if as_json:
        showing.print_json(found)
        return
    showing.print_fields(
        f"Decision {found.id}",
        (
            ("grid", found.grid_uuid),
            ("square", f"{found.square_id} ({found.area_uuid})"),
            ("type", found.decision_type),
            ("value", found.value),
            ("why", found.details),
            ("decided by", f"{found.decided_by} (plugin {found.plugin_type})"),
            ("made", found.made_at),
            ("made by flow run", found.flow_run_id),
        ),
    )
    if found.order:
        showing.print_table(
            "The order, and why",
            ("place#", "EPU id#", "expected#", "uncertainty#", "minutes#"),
            (
                (one.position, one.target_id, one.expected, one.uncertainty, one.cost)
                for one in found.order
            ),
            empty="",
        )
    showing.print_table(
        f"1. It rests on {len(found.predictions)} predictions",
        ("EPU id#", "model", "metric", "value#", "selected", "came in", "source", "message id"),
        (
            (
                one.target_id,
                one.model,
                one.metric or "overall",
                one.value,
                found.outcome.get(one.target_uuid),
                one.predicted_at,
                one.source,
                one.message,
            )
            for one in found.predictions
        ),
        empty="It rests on no predictions.",
    )
    if found.outbox:
        showing.print_fields(
            "2. Its way out",
            (
                ("state", found.outbox.state),
                ("put in the outbox", found.outbox.created_at),
                ("tries", found.outbox.attempts),
                ("sent", found.outbox.sent_at),
                ("latency", showing.seconds(found.latency_seconds)),
                ("last error", found.outbox.error),
                ("sent by flow run", found.outbox.flow_run_id),
            ),
        )
    if found.athena:
        showing.print_fields(
            "3. As Athena is told",
            (
                ("session", found.athena.session_id),
                ("area", found.athena.area_id),
                ("decisionValue", found.athena.value),
            ),
        )


@app.command()
def retry(
    decisions: Annotated[
        list[UUID] | None, typer.Argument(metavar="[ID]...", help="As the list shows them.")
    ] = None,
    everything: Annotated[
        bool,
        typer.Option("--all", help="All that is dead, values and messages of ours included."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be sent again.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Send again what was refused, once what it was refused for is put right.

    A decision that a newer one about the same square has overtaken is left as it is. The work
    starts at once where Prefect's server is reachable (PREFECT_API_URL, or that of `athanor up`),
    else with the next sweep.

    Examples:
      athanor decisions list --state dead

      athanor decisions retry 7c9e6679-7425-50de-944b-e07fc1f90ae7

      athanor decisions retry --all --dry-run
    """
    from models import outbox  # noqa: PLC0415 (as above)

    ids_or_all(decisions, everything=everything)
    _RETRY.run(decisions, outbox.dead_ids, dry_run=dry_run, as_json=as_json)
