"""`athanor messages …`: look at messages, and inject dead ones again."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer
from pydantic import BaseModel

from core.errors import ConfigurationError
from core.settings import Settings
from entrypoints import showing
from entrypoints.showing import AsJson, Cursor, Limit
from models.cryoem.states import MessageState

if TYPE_CHECKING:
    from models.database import Database
    from tasks.intake import Reinjected

app = typer.Typer(help="Look at messages, and inject dead ones again.", no_args_is_help=True)

Kind = Annotated[str | None, typer.Option(help="Only of this event_type.")]


class Retried(BaseModel):
    """What `athanor messages retry --json` prints."""

    would_retry: list[UUID] = []
    retried: list["RetriedMessage"] = []
    not_retryable: list[UUID] = []
    runs_asked_for: bool = False


class RetriedMessage(BaseModel):
    """What became of one message."""

    id: UUID
    state: str
    reason: str | None


@app.command("list")
def list_(
    state: Annotated[MessageState | None, typer.Option(help="Only in this state.")] = None,
    kind: Kind = None,
    key: Annotated[str | None, typer.Option(help="Only about this grid.")] = None,
    source: Annotated[str | None, typer.Option(help="Only from this sender.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List messages, newest first.

    Examples:
      athanor messages list --state dead

      athanor messages list --kind foilhole.model_prediction --limit 5 --json
    """
    from entrypoints.reading import opened_database  # noqa: PLC0415 (`athanor --help` shall be fast)
    from models.cryoem.queries.messages import MessageFilter, list_messages  # noqa: PLC0415

    wanted = MessageFilter(state, kind, key, source)
    with opened_database(Settings()) as database, database.reading() as session:
        page = list_messages(session, wanted, limit=limit, cursor=cursor)
    if as_json:
        showing.print_json(page)
        return
    showing.print_table(
        "Messages",
        ("id", "kind", "source", "state", "came in", "why"),
        (
            (one.id, one.kind, one.source, one.state.value, one.received_at, one.error)
            for one in page.items
        ),
        empty="No such messages.",
    )
    showing.print_more("athanor messages list …", page.next_cursor)


@app.command()
def show(
    message: Annotated[UUID, typer.Argument(metavar="ID", help="As the list shows it.")],
    as_json: AsJson = False,
) -> None:
    """Show one message, its content, and the decisions that it led to.

    Example:
      athanor messages show 7c9e6679-7425-40de-944b-e07fc1f90ae7
    """
    from rich.json import JSON  # noqa: PLC0415 (as above)

    from entrypoints.reading import opened_database  # noqa: PLC0415 (as above)
    from models.cryoem.queries.messages import get_message  # noqa: PLC0415 (as above)

    with opened_database(Settings()) as database, database.reading() as session:
        found = get_message(session, message)
    if as_json:
        showing.print_json(found)
        return
    showing.print_fields(
        f"Message {found.id}",
        (
            ("kind", found.kind),
            ("source", found.source),
            ("sender's id", found.message_id),
            ("grid", found.key),
            ("state", found.state.value),
            ("why", found.error),
            ("tries", found.attempts),
            ("came in", found.received_at),
            ("done", found.done_at),
            ("flow run", found.flow_run_id),
            ("predictions", found.predictions),
            ("decisions", "\n".join(str(one) for one in found.decisions)),
        ),
    )
    showing.console().print(JSON.from_data(found.payload))


@app.command()
def retry(
    messages: Annotated[
        list[UUID] | None, typer.Argument(metavar="[ID]...", help="As the list shows them.")
    ] = None,
    state: Annotated[
        MessageState, typer.Option(help="With --all: those that are dead, or waiting.")
    ] = MessageState.DEAD,
    kind: Kind = None,
    everything: Annotated[bool, typer.Option("--all", help="All in --state.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be injected again.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Inject dead or waiting messages again, validated afresh.

    The work starts at once where Prefect's server is reachable (PREFECT_API_URL, or that of
    `athanor up`), else with the next sweep.

    Examples:
      athanor messages retry 7c9e6679-7425-40de-944b-e07fc1f90ae7

      athanor messages retry --state dead --all --dry-run
    """
    from entrypoints.reading import opened_database  # noqa: PLC0415 (as above)

    if bool(messages) == everything:
        raise typer.BadParameter("Give either ids or --all.", param_hint="ID / --all")
    if state not in {MessageState.DEAD, MessageState.WAITING}:
        raise typer.BadParameter("only dead and waiting ones can be.", param_hint="--state")
    settings = Settings()
    with opened_database(settings) as database:
        ids = messages or _all_ids(database, state, kind)
        if dry_run:
            outcome = Retried(would_retry=ids)
        else:
            outcome = asyncio.run(_retry(settings, database, ids)) if ids else Retried()
    if as_json:
        showing.print_json(outcome)
    else:
        _report(outcome)
    if outcome.not_retryable:
        missing = ", ".join(str(one) for one in outcome.not_retryable)
        raise ConfigurationError(f"Neither dead nor waiting, or not there at all: {missing}")


def _all_ids(database: "Database", state: MessageState, kind: str | None) -> list[UUID]:
    from models.cryoem.queries.messages import MessageFilter, ids_in_state  # noqa: PLC0415

    with database.reading() as session:
        return ids_in_state(session, MessageFilter(state, kind))


async def _retry(settings: Settings, database: "Database", ids: Sequence[UUID]) -> Retried:
    from entrypoints.ringers import opened_ringer  # noqa: PLC0415 (Prefect takes seconds)
    from models.sql import chunks  # noqa: PLC0415 (as above)

    outcomes: list[Reinjected] = []
    async with opened_ringer(settings, database) as ringer:
        # Prefect reads its environment when it is first imported: the ringer has prepared it.
        from tasks.intake import reinject  # noqa: PLC0415

        for part in chunks(ids):
            outcomes += await reinject(ringer, part)
        rung = ringer.launcher is not None
    done = {one.id for one in outcomes}
    return Retried(
        retried=[RetriedMessage(id=o.id, state=o.state, reason=o.reason) for o in outcomes],
        not_retryable=[one for one in dict.fromkeys(ids) if one not in done],
        runs_asked_for=rung,
    )


def _report(outcome: Retried) -> None:
    if outcome.would_retry:
        typer.echo("\n".join(str(one) for one in outcome.would_retry))
        typer.echo(f"{len(outcome.would_retry):,} messages would be injected again.")
        return
    showing.print_table(
        "Injected again",
        ("id", "state", "why"),
        ((one.id, one.state, one.reason) for one in outcome.retried),
        empty="There is nothing to inject again.",
    )
    if any(one.state == MessageState.PENDING for one in outcome.retried):
        showing.print_when_worked_on(asked=outcome.runs_asked_for)
