"""`athanor messages …`: look at messages, and inject dead ones again."""

from typing import Annotated, Any
from uuid import UUID

import typer

from core.settings import Settings
from entrypoints import showing
from entrypoints.retrying import RetriedRow, Retry, ids_or_all
from entrypoints.showing import AsJson, Cursor, Limit
from models.cryoem.states import MessageState

app = typer.Typer(help="Look at messages, and inject dead ones again.", no_args_is_help=True)

Kind = Annotated[str | None, typer.Option(help="Only of this event_type.")]


def _reinject() -> Any:
    from tasks.intake import reinject  # noqa: PLC0415 (see `Retry.load`)

    return reinject


_RETRY = Retry(
    RetriedRow,
    {"id": "id", "state": "state", "why": "reason"},
    title="Injected again",
    would="messages would be injected again.",
    nothing="There is nothing to inject again.",
    missing="Neither dead nor waiting, or not there at all: ",
    load=_reinject,
)


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
    from models.cryoem.queries.messages import MessageFilter, ids_in_state  # noqa: PLC0415

    ids_or_all(messages, everything=everything)
    if state not in {MessageState.DEAD, MessageState.WAITING}:
        raise typer.BadParameter("only dead and waiting ones can be.", param_hint="--state")
    wanted = MessageFilter(state, kind)
    _RETRY.run(
        messages,
        lambda session: ids_in_state(session, wanted),
        dry_run=dry_run,
        as_json=as_json,
    )
