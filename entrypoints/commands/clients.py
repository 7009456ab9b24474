"""`athanor clients …`: programs that get tokens for their own name and secret."""

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

app = typer.Typer(
    help="Let programs get short tokens for a name and a secret (OAuth).", no_args_is_help=True
)

_Name = Annotated[str, typer.Argument(help="The program's name, its client_id.")]


class ClientView(GrantView):
    """One client, as `athanor clients list --json` prints it."""

    scopes: list[str] | None
    last_used_at: datetime | None
    disabled_at: datetime | None


@app.command()
def add(
    name: _Name,
    role: RoleOption = Role.OPERATOR,
    scope: Scopes = None,
    organisation: Organisations = None,
    all_organisations: AllOrganisations = False,
) -> None:
    """Make a client and print its secret: this once, for nobody can look it up later.

    Example:
      athanor clients add murfey --role operator
    """
    from entrypoints.reading import opened_database  # noqa: PLC0415 (`athanor --help` shall be fast)
    from models.access import machines  # noqa: PLC0415 (as above)

    with opened_database(Settings()) as database, database.transaction() as session:
        client, secret = machines.add_client(
            session,
            name,
            role,
            scopes=scope or (),
            organisations=chosen(session, role, organisation, everything=all_organisations),
            now=utcnow(),
        )
    typer.echo(secret)
    typer.echo(
        f"The secret of {client.name} is shown this once. POST /auth/token takes it, with "
        "grant_type=client_credentials.",
        err=True,
    )


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List clients, by name.

    Example:
      athanor clients list
    """
    from entrypoints.reading import opened_database  # noqa: PLC0415 (as above)
    from models.access import machines  # noqa: PLC0415 (as above)

    with opened_database(Settings()) as database, database.reading() as session:
        found = [ClientView.model_validate(one) for one in machines.list_clients(session)]
    if as_json:
        showing.print_json(Listed(items=found))
        return
    showing.print_table(
        "Clients",
        ("name", "role", "limited to", "sees", "used", "state"),
        (
            (
                one.name,
                one.role,
                ", ".join(one.scopes or ()),
                sees(one.organisations, one.role),
                showing.ago(one.last_used_at) if one.last_used_at else "never",
                "shut out" if one.disabled_at else "good",
            )
            for one in found
        ),
        empty="No clients yet. `athanor clients add NAME` makes one.",
    )


@app.command()
def disable(name: _Name) -> None:
    """Shut a client out.

    Example:
      athanor clients disable murfey
    """
    from entrypoints.reading import opened_database  # noqa: PLC0415 (as above)
    from models.access import machines  # noqa: PLC0415 (as above)

    with opened_database(Settings()) as database, database.transaction() as session:
        machines.disable_client(session, name, now=utcnow())
    typer.echo(f"{name} is shut out.", err=True)
