"""Users: made, found, changed and shut out."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final
from uuid import uuid4

from sqlalchemy import delete, select, update
from sqlmodel import Session, col

from core.errors import Conflict, NotFound
from core.permissions import Role
from models.access.grants import known_name, normal_name, read_organisations
from models.access.secrets import hash_password, make_password
from models.access.tables import AccessUser, ApiKey, Login, MachineClient, RefreshToken

#: Name of the administrator that Athanor makes where there is nobody.
FIRST: Final = "admin"


def add_user(
    session: Session,
    name: str,
    password: str,
    role: Role,
    *,
    organisations: Iterable[str] = (),
    now: datetime,
) -> AccessUser:
    """Make a user, who sees the sessions of these organisations; of all when none is given.

    Raises:
        Conflict: There is one of that name.
        BadInput: Name or password will not do.
    """
    name = normal_name(name)
    if find_user(session, name) is not None:
        raise Conflict(f"There is a user {name} already.")
    user = AccessUser(
        uuid=uuid4(),
        name=name,
        password_hash=hash_password(password),
        role=role,
        organisations=read_organisations(organisations),
        created_at=now,
        password_changed_at=now,
    )
    session.add(user)
    return user


def find_user(session: Session, name: str) -> AccessUser | None:
    """Return the user of that name, if there is one."""
    return session.scalars(
        select(AccessUser).where(col(AccessUser.name) == known_name(name))
    ).one_or_none()


def get_user(session: Session, name: str) -> AccessUser:
    """Return the user of that name.

    Raises:
        NotFound: There is none.
    """
    user = find_user(session, name)
    if user is None:
        raise NotFound(f"There is no user {name}. `athanor users list` shows who there is.")
    return user


def list_users(session: Session) -> list[AccessUser]:
    """Return all users, by name."""
    return list(session.scalars(select(AccessUser).order_by(col(AccessUser.name))))


def add_first(session: Session, *, now: datetime) -> str | None:
    """Make the first administrator where nobody is let in yet; return the password, or None."""
    if any(session.scalar(select(model).limit(1)) for model in (AccessUser, MachineClient, ApiKey)):
        return None
    password = make_password()
    add_user(session, FIRST, password, Role.ADMIN, now=now)
    return password


def set_password(session: Session, name: str, password: str, *, now: datetime) -> None:
    """Give a user another password, and end what was signed in with the one before."""
    user = get_user(session, name)
    user.password_hash = hash_password(password)
    user.password_changed_at = now
    end_logins(session, user, "password", now=now)


def set_role(session: Session, name: str, role: Role) -> None:
    """Give a user another role, in force at once."""
    get_user(session, name).role = role


def set_organisations(session: Session, name: str, organisations: Iterable[str]) -> None:
    """Say whose sessions a user sees; those of all when none is given."""
    get_user(session, name).organisations = read_organisations(organisations)


def disable_user(session: Session, name: str, *, now: datetime) -> None:
    """Shut a user out, and end whatever they are signed in with."""
    user = get_user(session, name)
    user.disabled_at = user.disabled_at or now
    end_logins(session, user, "disabled", now=now)


def enable_user(session: Session, name: str) -> None:
    """Let a user in again, by signing in anew."""
    get_user(session, name).disabled_at = None


def end_logins(session: Session, user: AccessUser, reason: str, *, now: datetime) -> None:
    """End all that a user is signed in with."""
    session.execute(
        update(Login)
        .where(col(Login.user_uuid) == user.uuid, col(Login.revoked_at).is_(None))
        .values(revoked_at=now, revoked_for=reason)
    )


def forget_old_logins(session: Session, *, before: datetime) -> None:
    """Delete what can no longer be refreshed, so that the tables do not grow for ever."""
    old = select(col(Login.uuid)).where(col(Login.expires_at) < before)
    session.execute(delete(RefreshToken).where(col(RefreshToken.login_uuid).in_(old)))
    session.execute(delete(Login).where(col(Login.expires_at) < before))
