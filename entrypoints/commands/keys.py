"""`athanor keys …`: keys that agents and other programs send to the API."""

from datetime import datetime
from typing import Annotated

import typer

from core.clock import utcnow
from core.permissions import Role
from core.settings import Settings
from entrypoints import showing
from entrypoints.granting import (
    AllOrganisations,
    GrantView,
    Listed,
    Organisations,
    RoleOption,
    Scopes,
    chosen,
    sees,
)
from entrypoints.showing import AsJson

app = typer.Typer(help="Let agents and other programs use the API.", no_args_is_help=True)


class ListedKey(GrantView):
    """One key, as `athanor keys list --json` prints it."""

    prefix: str
    scopes: list[str] | None
    created_by: str
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Who uses it.")],
    role: RoleOption = Role.OPERATOR,
    scope: Scopes = None,
    organisation: Organisations = None,
    all_organisations: AllOrganisations = False,
    days: Annotated[
        float | None, typer.Option(help="How long it is good for. Default: for ever.")
    ] = None,
) -> None:
    """Make a key and print it: this once, for nobody can look it up later.

    Examples:
      athanor keys add krios-1-agent

      athanor keys add dashboard --role viewer --days 90
    """
    from entrypoints.reading import opened_database  # noqa: PLC0415 (`athanor --help` shall be fast)
    from models.access import machines  # noqa: PLC0415 (as above)

    with opened_database(Settings()) as database, database.transaction() as session:
        key, secret = machines.add_key(
            session,
            name,
            role,
            scopes=scope or (),
            organisations=chosen(session, role, organisation, everything=all_organisations),
            days=days,
            created_by="athanor",
            now=utcnow(),
        )
    typer.echo(secret)
    typer.echo(
        f"The key {key.prefix}… of {key.name} is shown this once. An agent takes it as "
        "ATHANOR_AGENT__API_KEY, every other program sends `Authorization: Bearer …`.",
        err=True,
    )


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List keys, the newest first, by how they begin.

    Example:
      athanor keys list
    """
    from entrypoints.reading import opened_database  # noqa: PLC0415 (as above)
    from models.access import machines  # noqa: PLC0415 (as above)

    with opened_database(Settings()) as database, database.reading() as session:
        found = [ListedKey.model_validate(one) for one in machines.list_keys(session)]
    if as_json:
        showing.print_json(Listed(items=found))
        return
    now = utcnow()
    showing.print_table(
        "Keys",
        ("begins", "name", "role", "limited to", "sees", "used", "state"),
        (
            (
                one.prefix,
                one.name,
                one.role,
                ", ".join(one.scopes or ()),
                sees(one.organisations, one.role),
                showing.ago(one.last_used_at) if one.last_used_at else "never",
                _state(one, now),
            )
            for one in found
        ),
        empty="No keys yet. `athanor keys add NAME` makes one.",
    )


@app.command()
def revoke(
    prefix: Annotated[str, typer.Argument(help="How it begins, as `athanor keys list` shows it.")],
) -> None:
    """Make a key worthless.

    Example:
      athanor keys revoke athk_3v9Qk2Lw
    """
    from entrypoints.reading import opened_database  # noqa: PLC0415 (as above)
    from models.access import machines  # noqa: PLC0415 (as above)

    with opened_database(Settings()) as database, database.transaction() as session:
        key = machines.revoke_key(session, prefix, now=utcnow())
    typer.echo(f"The key {key.prefix}… of {key.name} is worthless.", err=True)


def _state(key: ListedKey, now: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is None:
        return "good"
    return f"good until {key.expires_at:%Y-%m-%d}" if key.expires_at > now else "past its time"
