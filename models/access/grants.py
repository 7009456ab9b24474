"""What is granted to users, clients and keys, put in the words of `Caller`."""

import re
from collections.abc import Collection, Iterable

from sqlalchemy import select
from sqlmodel import Session, col

from core.caller import Caller, CallerKind
from core.errors import BadInput
from core.permissions import Permission, Role, permissions_of
from models.access.tables import AccessUser, ApiKey, MachineClient
from models.visibility.owners import SessionOwner

_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,99}")


def normal_name(name: str) -> str:
    """Return a name as it is kept: in small letters.

    Raises:
        BadInput: It is none.
    """
    found = name.strip().lower()
    if not _NAME.fullmatch(found):
        raise BadInput(
            f"{name!r} is no name: take letters, digits and ._@+- (at most 100, beginning "
            "with a letter or digit)."
        )
    return found


def known_name(name: str) -> str | None:
    """Return the name to look for; None where nobody can be called so."""
    found = name.strip().lower()
    return found if _NAME.fullmatch(found) else None


def read_scopes(names: Iterable[str]) -> list[str] | None:
    """Return the names of permissions, once each; None for none, which means all of the role.

    Raises:
        BadInput: One is not known.
    """
    wanted = sorted(set(names))
    known = set(Permission)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise BadInput(
            f"There is no permission {', '.join(unknown)}. There are: {', '.join(sorted(known))}."
        )
    return wanted or None


def read_organisations(names: Iterable[str]) -> list[str] | None:
    """Return the names of organisations, once each; None for none, which means all."""
    return sorted({name.strip() for name in names if name.strip()}) or None


def are_organisations_used(session: Session) -> bool:
    """Whether any session belongs to an organisation, or anybody does."""
    if session.scalar(select(SessionOwner).limit(1)) is not None:
        return True
    return any(
        session.scalar(select(model).where(col(model.organisations).is_not(None)).limit(1))
        for model in (AccessUser, MachineClient, ApiKey)
    )


def has_members(session: Session, organisation: str) -> bool:
    """Whether a user, client or key of ours belongs to an organisation."""
    return any(
        organisation in (theirs or ())
        for model in (AccessUser, MachineClient, ApiKey)
        for theirs in session.scalars(select(col(model.organisations)))
    )


def caller_of(
    row: AccessUser | MachineClient | ApiKey, *, asked: Collection[str] | None = None
) -> Caller:
    """Return who a user, client or key is.

    Args:
        row: As it is in the database now.
        asked: Permissions that the token was asked for; None for all that it may have.
    """
    role = Role(row.role)
    permissions = permissions_of(role)
    if not isinstance(row, AccessUser) and row.scopes is not None:
        permissions &= {Permission(name) for name in row.scopes}
    if asked is not None:
        permissions &= {Permission(name) for name in asked}
    # An administrator decides who belongs where, and so sees everything.
    theirs: list[str] | None = None if role is Role.ADMIN else row.organisations
    organisations = None if theirs is None else frozenset(theirs)
    return Caller(row.name, _kind(row), role, permissions, organisations)


def _kind(row: AccessUser | MachineClient | ApiKey) -> CallerKind:
    match row:
        case AccessUser():
            return "user"
        case MachineClient():
            return "client"
        case ApiKey():
            return "key"
