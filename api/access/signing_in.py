"""How one gets tokens: a password, a refresh token, or a machine client's secret."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlmodel import Session

from api.access.bearers import Access
from core.caller import asking
from core.clock import utcnow
from core.errors import BadInput, NotAuthenticated
from models.access import logins, machines, users
from models.access.grants import caller_of, read_scopes
from models.access.secrets import is_password, same_secret
from models.access.tables import AccessUser, MachineClient

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Granted:
    """What is given to who signed in."""

    access_token: str
    expires_in: int
    refresh_token: str | None
    scope: str


async def by_password(access: Access, name: str, password: str, *, address: str) -> Granted:
    """Sign a user in.

    Raises:
        NotAuthenticated: Name or password is wrong, or the user is shut out: it is not told which.
        TooManyAttempts: There were too many of these from the address.
    """
    access.throttle.check(address)
    user = await access.database.read(users.find_user, name)
    async with access.hashing:
        is_theirs = await asyncio.to_thread(
            is_password, password, user.password_hash if user else None
        )
    if user is None or not is_theirs or user.disabled_at is not None:
        _refuse(access, address, f"user {name!r}", "The user name or password is wrong.")
        raise AssertionError("refusing raises")
    # For the audit: it is they who sign in.
    with asking(caller_of(user)):
        signed_in = await access.database.write(_begin, user.uuid, access)
    return _user_tokens(access, signed_in)


async def by_refresh_token(access: Access, token: str, *, address: str) -> Granted:
    """Give the next access and refresh token for a refresh token, which is used up.

    Raises:
        NotAuthenticated: It is not known, used before (then all its family ends), or ended.
        TooManyAttempts: There were too many of these from the address.
    """
    access.throttle.check(address)
    found = await access.database.write(logins.refresh, token, now=utcnow())
    if isinstance(found, logins.SignedIn):
        return _user_tokens(access, found)
    access.forget()
    if found is logins.Refused.REUSED:
        _refuse(
            access,
            address,
            "a refresh token that was used before",
            "The refresh token was used before: somebody may have a copy, so all that came of "
            "it is revoked. Sign in again.",
        )
    _refuse(access, address, "a refresh token", "The refresh token is not good. Sign in again.")
    raise AssertionError("refusing raises")


async def by_client_secret(
    access: Access, name: str, secret: str, scopes: Sequence[str], *, address: str
) -> Granted:
    """Give a machine client an access token, for all or some of its permissions.

    Raises:
        NotAuthenticated: Name or secret is wrong, or the client is shut out.
        BadInput: A scope is not known.
        TooManyAttempts: There were too many of these from the address.
    """
    access.throttle.check(address)
    asked = read_scopes(scopes)
    client = await access.database.read(machines.active_client, name)
    # As long for who is not there as for who is.
    if not same_secret(secret, client.secret_hash if client else "") or client is None:
        _refuse(access, address, f"client {name!r}", "The client's name or secret is wrong.")
        raise AssertionError("refusing raises")
    return _client_token(access, client, asked)


async def revoke(access: Access, token: str) -> None:
    """End what a refresh or access token of ours belongs to; one that is not known needs no end."""
    now = utcnow()
    if token.count(".") == 2:
        try:
            login = access.signer.read(token).login
        except NotAuthenticated:
            return
        if login is not None:
            await access.database.write(logins.end, login, "signed out", now=now)
    else:
        await access.database.write(logins.end_by_token, token, now=now)
    access.forget()


def _refuse(access: Access, address: str, who: str, why: str) -> None:
    access.throttle.failed(address)
    logger.warning(
        "Refused to sign in %s from %s", who, address, extra={"action": "sign_in_refused"}
    )
    raise NotAuthenticated(why)


def _begin(session: Session, user: UUID, access: Access) -> logins.SignedIn:
    lasts = timedelta(hours=access.settings.login_hours)
    return logins.begin(session, session.get_one(AccessUser, user), now=utcnow(), lasts=lasts)


def _user_tokens(access: Access, signed_in: logins.SignedIn) -> Granted:
    user = signed_in.user
    lasts = timedelta(minutes=access.settings.access_minutes)
    token = access.signer.sign_user(user.name, signed_in.login, now=utcnow(), lasts=lasts)
    scope = " ".join(sorted(caller_of(user).permissions))
    return Granted(token, int(lasts.total_seconds()), signed_in.refresh_token, scope)


def _client_token(access: Access, client: MachineClient, asked: Sequence[str] | None) -> Granted:
    lasts = timedelta(minutes=access.settings.access_minutes)
    given = sorted(caller_of(client, asked=asked).permissions)
    if not given:
        raise BadInput(f"The client {client.name} has none of these permissions.")
    scopes = None if asked is None else given
    token = access.signer.sign_client(client.name, scopes, now=utcnow(), lasts=lasts)
    return Granted(token, int(lasts.total_seconds()), None, " ".join(given))
