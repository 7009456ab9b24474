"""Who is signed in: refresh tokens that are used once, in families that end together."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from uuid import UUID, uuid4

from sqlalchemy import select, update
from sqlmodel import Session, col

from models import audit
from models.access.secrets import hash_secret, make_secret
from models.access.tables import AccessUser, Login, RefreshToken
from models.access.users import forget_old_logins


class Refused(Enum):
    """Why a refresh token is not taken."""

    UNKNOWN = auto()
    ENDED = auto()
    #: It was used before: somebody has a copy, and its family is ended.
    REUSED = auto()


@dataclass(frozen=True)
class SignedIn:
    """A user who is signed in, and what they refresh it with next."""

    user: AccessUser
    login: UUID
    refresh_token: str


def begin(session: Session, user: AccessUser, *, now: datetime, lasts: timedelta) -> SignedIn:
    """Sign a user in."""
    forget_old_logins(session, before=now)
    login = Login(uuid=uuid4(), user_uuid=user.uuid, created_at=now, expires_at=now + lasts)
    session.add(login)
    session.flush()
    user.last_login_at = now
    session.add(user)
    return SignedIn(user, login.uuid, _issue(session, login.uuid, now))


def refresh(session: Session, token: str, *, now: datetime) -> SignedIn | Refused:
    """Use a refresh token up, and give the next.

    Why one is refused is returned, not raised: the end of a family is to be committed.
    """
    hashed = hash_secret(token)
    found = session.scalars(
        select(RefreshToken).where(col(RefreshToken.token_hash) == hashed)
    ).one_or_none()
    if found is None:
        return Refused.UNKNOWN
    login = session.get_one(Login, found.login_uuid)
    user = session.get_one(AccessUser, login.user_uuid)
    if login.revoked_at is not None or login.expires_at <= now or user.disabled_at is not None:
        return Refused.ENDED
    # Of two that come at once, one finds it used.
    used = session.execute(
        update(RefreshToken)
        .where(col(RefreshToken.token_hash) == hashed, col(RefreshToken.used_at).is_(None))
        .values(used_at=now)
    )
    if not used.rowcount:  # pyright: ignore[reportAttributeAccessIssue]
        end(session, login.uuid, "reuse", now=now)
        return Refused.REUSED
    audit.note(session, "login", login.uuid, before={}, after={"user": user.name, "refreshed": now})
    return SignedIn(user, login.uuid, _issue(session, login.uuid, now))


def end(session: Session, login: UUID, reason: str, *, now: datetime) -> None:
    """End a family: none of its tokens is good any longer."""
    ended = session.execute(
        update(Login)
        .where(col(Login.uuid) == login, col(Login.revoked_at).is_(None))
        .values(revoked_at=now, revoked_for=reason)
    )
    if ended.rowcount:  # pyright: ignore[reportAttributeAccessIssue]
        was = {"revoked_at": None, "revoked_for": None}
        is_now = {"revoked_at": now, "revoked_for": reason}
        audit.note(session, "login", login, before=was, after=is_now)


def end_by_token(session: Session, token: str, *, now: datetime) -> None:
    """End the family of a refresh token; one that is not known needs no end."""
    login = session.scalar(
        select(col(RefreshToken.login_uuid)).where(
            col(RefreshToken.token_hash) == hash_secret(token)
        )
    )
    if login is not None:
        end(session, login, "signed out", now=now)


def user_of(session: Session, login: UUID, *, now: datetime) -> AccessUser | None:
    """Return whose signing in it is; None when it has ended or they are shut out."""
    return session.scalars(
        select(AccessUser)
        .join(Login, col(Login.user_uuid) == col(AccessUser.uuid))
        .where(
            col(Login.uuid) == login,
            col(Login.revoked_at).is_(None),
            col(Login.expires_at) > now,
            col(AccessUser.disabled_at).is_(None),
        )
    ).one_or_none()


def _issue(session: Session, login: UUID, now: datetime) -> str:
    token = make_secret()
    session.add(RefreshToken(token_hash=hash_secret(token), login_uuid=login, issued_at=now))
    return token
