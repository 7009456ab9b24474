"""What commands that let people and programs in have in common."""

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import BaseModel

from core.errors import ConfigurationError
from core.permissions import Permission, Role
from models.paging import View

if TYPE_CHECKING:
    from sqlmodel import Session

RoleOption = Annotated[Role, typer.Option(help="What they may do: each role more than the last.")]
Scopes = Annotated[
    list[str] | None,
    typer.Option(
        "--scope",
        help="Limit it to this permission (again for more): " + ", ".join(Permission) + ".",
        metavar="PERMISSION",
    ),
]
Organisations = Annotated[
    list[str] | None,
    typer.Option(
        "--organisation",
        help="Show only sessions of this organisation (again for more).",
        metavar="NAME",
    ),
]
AllOrganisations = Annotated[
    bool,
    typer.Option(
        "--all-organisations",
        help="Show the sessions of all. This is what comes of no --organisation too, until there "
        "are organisations: then it is to be said.",
    ),
]
Generate = Annotated[bool, typer.Option("--generate", help="Make a password up and print it.")]
FromStdin = Annotated[bool, typer.Option("--stdin", help="Read it from standard input.")]


class GrantView(View):
    """What `list --json` prints of a user, client or key."""

    name: str
    role: Role
    organisations: list[str] | None
    created_at: datetime


class Listed(BaseModel):
    """What `list --json` prints."""

    items: list[Any]


def read_password(*, generate: bool, from_stdin: bool) -> str:
    """Return the password that is wanted."""
    if generate:
        from models.access.secrets import make_password  # noqa: PLC0415 (`--help` shall be fast)

        return make_password()
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)


def chosen(
    session: "Session", role: Role, organisations: Sequence[str] | None, *, everything: bool
) -> Sequence[str]:
    """Return whose sessions somebody is to see; none for those of all.

    Raises:
        ConfigurationError: It was not said, and it makes a difference.
    """
    from models.access.grants import are_organisations_used  # noqa: PLC0415 (as above)

    if organisations and everything:
        raise typer.BadParameter("Give either.", param_hint="--organisation / --all-organisations")
    unsaid = not (organisations or everything or role is Role.ADMIN)
    if unsaid and are_organisations_used(session):
        raise ConfigurationError(
            "Sessions here belong to organisations: say whose are to be seen, with --organisation "
            "NAME (again for more) or --all-organisations."
        )
    return organisations or ()


def sees(organisations: Sequence[str] | None, role: Role) -> str:
    """Say whose sessions somebody sees."""
    if organisations is None or role is Role.ADMIN:
        return "all"
    return ", ".join(organisations)
