"""`athanor users …`: the people who may use the API with a password of their own."""

from datetime import datetime
from typing import Annotated

import typer

from core.clock import utcnow
from core.permissions import Role
from core.settings import Settings
from entrypoints import showing
from entrypoints.granting import (
    AllOrganisations,
    FromStdin,
    Generate,
    GrantView,
    Listed,
    Organisations,
    RoleOption,
    chosen,
    read_password,
    sees,
)
from entrypoints.showing import AsJson

app = typer.Typer(help="Let people use the API with a password of their own.", no_args_is_help=True)

_Name = Annotated[str, typer.Argument(help="How they sign in.")]


class UserView(GrantView):
    """One user, as `athanor users list --json` prints it."""

    last_login_at: datetime | None
    disabled_at: datetime | None


@app.command()
def add(
    name: _Name,
    role: RoleOption = Role.VIEWER,
    organisation: Organisations = None,
    all_organisations: AllOrganisations = False,
    generate: Generate = False,
    stdin: FromStdin = False,
) -> None:
    """Make a user; the password is asked for, read, or made up.

    Examples:
      athanor users add ada --role engineer

      athanor users add bob --role viewer --organisation nt32457 --generate
    """
    from entrypoints.reading import opened_database  # noqa: PLC0415 (`athanor --help` shall be fast)
    from models.access import users  # noqa: PLC0415 (as above)

    with opened_database(Settings()) as database:
        with database.reading() as session:
            theirs = chosen(session, role, organisation, everything=all_organisations)
        password = read_password(generate=generate, from_stdin=stdin)
        with database.transaction() as session:
            user = users.add_user(session, name, password, role, organisations=theirs, now=utcnow())
    if generate:
        typer.echo(password)
    shown = sees(user.organisations, role)
    typer.echo(f"{user.name} is {role}, and sees sessions of: {shown}.", err=True)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List users, by name.

    Example:
      athanor users list
    """
    from entrypoints.reading import opened_database  # noqa: PLC0415 (as above)
    from models.access import users  # noqa: PLC0415 (as above)

    with opened_database(Settings()) as database, database.reading() as session:
        found = [UserView.model_validate(one) for one in users.list_users(session)]
    if as_json:
        showing.print_json(Listed(items=found))
        return
    showing.print_table(
        "Users",
        ("name", "role", "sees", "signed in", "state"),
        (
            (
                one.name,
                one.role,
                sees(one.organisations, one.role),
                showing.ago(one.last_login_at) if one.last_login_at else "never",
                "shut out" if one.disabled_at else "may sign in",
            )
            for one in found
        ),
        empty="No users yet. `athanor users add NAME --role admin` makes one.",
    )


@app.command()
def password(name: _Name, generate: Generate = False, stdin: FromStdin = False) -> None:
    """Give a user another password; whoever is signed in with the one before is signed out.

    Example:
      athanor users password ada
    """
    from entrypoints.reading import opened_database  # noqa: PLC0415 (as above)
    from models.access import users  # noqa: PLC0415 (as above)

    with opened_database(Settings()) as database:
        with database.reading() as session:
            users.get_user(session, name)
        chosen = read_password(generate=generate, from_stdin=stdin)
        with database.transaction() as session:
            users.set_password(session, name, chosen, now=utcnow())
    if generate:
        typer.echo(chosen)
    typer.echo(f"{name} has a new password.", err=True)


@app.command()
def role(
    name: _Name, role: Annotated[Role, typer.Argument(help="What they may do from now on.")]
) -> None:
    """Give a user another role.

    Example:
      athanor users role ada operator
    """
    from entrypoints.reading import opened_database  # noqa: PLC0415 (as above)
    from models.access import users  # noqa: PLC0415 (as above)

    with opened_database(Settings()) as database, database.transaction() as session:
        users.set_role(session, name, role)
        shown = sees(users.get_user(session, name).organisations, role)
    typer.echo(f"{name} is {role}, and sees sessions of: {shown}.", err=True)


@app.command()
def organisations(
    name: _Name,
    organisation: Annotated[
        list[str] | None, typer.Argument(help="Whose sessions they see.")
    ] = None,
    all_organisations: AllOrganisations = False,
) -> None:
    """Say whose sessions a user sees: of these organisations, or of all.

    Examples:
      athanor users organisations ada nt32457 cm1

      athanor users organisations ada --all-organisations
    """
    from entrypoints.reading import opened_database  # noqa: PLC0415 (as above)
    from models.access import users  # noqa: PLC0415 (as above)

    with opened_database(Settings()) as database, database.transaction() as session:
        role = Role(users.get_user(session, name).role)
        theirs = chosen(session, role, organisation, everything=all_organisations)
        users.set_organisations(session, name, theirs)
    typer.echo(f"{name} sees sessions of: {', '.join(organisation or ['all'])}.", err=True)


@app.command()
def disable(name: _Name) -> None:
    """Shut a user out, at once; what they did stays theirs.

    Example:
      athanor users disable ada
    """
    from entrypoints.reading import opened_database  # noqa: PLC0415 (as above)
    from models.access import users  # noqa: PLC0415 (as above)

    with opened_database(Settings()) as database, database.transaction() as session:
        users.disable_user(session, name, now=utcnow())
    typer.echo(f"{name} is shut out.", err=True)


@app.command()
def enable(name: _Name) -> None:
    """Let a user in again who was shut out.

    Example:
      athanor users enable ada
    """
    from entrypoints.reading import opened_database  # noqa: PLC0415 (as above)
    from models.access import users  # noqa: PLC0415 (as above)

    with opened_database(Settings()) as database, database.transaction() as session:
        users.enable_user(session, name)
    typer.echo(f"{name} may sign in.", err=True)
