"""Who bears a token: an API key, a token of our own, or one of the facility's issuer."""

import asyncio
import hashlib
import time
from datetime import datetime
from typing import Final, Literal

import jwt
from sqlmodel import Session

from api.access.oidc import Oidc
from api.access.signing import ISSUER, Claims, Signer
from api.access.throttle import Throttle
from core.access_settings import AccessSettings
from core.caller import Caller
from core.clock import utcnow
from core.errors import ConfigurationError, NotAuthenticated
from core.settings import Settings
from models.access import logins, machines
from models.access.grants import caller_of
from models.access.secrets import KEY_MARK
from models.access.tables import ApiKey, MachineClient
from models.database import Database

#: Longer ones are not looked at.
_LONGEST_TOKEN: Final = 8_192
#: Tokens remembered at once.
_MOST: Final = 10_000
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Access:
    """Decides who is asking; one for each application."""

    def __init__(self, settings: Settings, database: Database) -> None:
        """Take the settings; nothing is opened, and no key made, before it is needed.

        Raises:
            ConfigurationError: They would leave the API open beyond this machine, or trust
                an issuer that cannot be trusted.
        """
        self.settings: AccessSettings = settings.access
        self.is_required = is_required(settings)
        self.database = database
        secret = settings.access.signing_secret
        self.signer = Signer(
            settings.home / "access" / "signing-key.pem",
            secret=secret.get_secret_value() if secret else None,
        )
        self.throttle = Throttle(settings.access.failures_per_minute)
        #: Each password takes 64 MiB and a processor for a while.
        self.hashing = asyncio.Semaphore(2)
        self._oidc = Oidc(settings.access.oidc)
        self._known: dict[bytes, tuple[Caller, float]] = {}

    async def bearer(self, token: str) -> Caller:
        """Return who bears a token.

        Raises:
            NotAuthenticated: It is not good, or no longer.
            NotPermitted: Its bearer has no role here.
        """
        if len(token) > _LONGEST_TOKEN:
            raise NotAuthenticated("The token is too long to be one of ours.")
        mark = hashlib.sha256(token.encode()).digest()
        found = self._known.get(mark)
        if found is not None and time.monotonic() < found[1]:
            return found[0]
        caller, seconds = await self._look(token)
        if len(self._known) >= _MOST:
            self._known.clear()
        for_seconds = min(seconds, self.settings.remember_seconds)
        self._known[mark] = (caller, time.monotonic() + for_seconds)
        return caller

    def forget(self) -> None:
        """Ask the database anew about every token: somebody was shut out or changed."""
        self._known.clear()

    async def _look(self, token: str) -> tuple[Caller, float]:
        """Return who bears a token, and for how many seconds at most it is good."""
        now = utcnow()
        if token.startswith(KEY_MARK):
            return await self._key(token, now)
        if self._oidc.issuer is not None and _issuer(token) == self._oidc.issuer:
            caller, until = await self._oidc.read(token)
        elif _issuer(token) == ISSUER:
            claims = self.signer.read(token)
            caller, until = await self._own(claims, now), claims.expires_at
        else:
            raise NotAuthenticated("The token is of an issuer that is not trusted here.")
        return caller, until - now.timestamp()

    async def _own(self, claims: Claims, now: datetime) -> Caller:
        if claims.login is None:
            return await self._client(claims, now)
        user = await self.database.read(logins.user_of, claims.login, now=now)
        if user is None:
            raise NotAuthenticated("The token was revoked. Sign in again.")
        return caller_of(user)

    async def _client(self, claims: Claims, now: datetime) -> Caller:
        client = await self.database.read(machines.active_client, claims.name)
        if client is None:
            raise NotAuthenticated("The client was shut out.")
        await self._note_use(client, client.name, now)
        return caller_of(client, asked=claims.scopes)

    async def _key(self, token: str, now: datetime) -> tuple[Caller, float]:
        key = await self.database.read(machines.active_key, token, now=now)
        if key is None:
            raise NotAuthenticated("The API key is not known, revoked, or past its time.")
        await self._note_use(key, key.prefix, now)
        left = (key.expires_at - now).total_seconds() if key.expires_at else float("inf")
        return caller_of(key), left

    async def _note_use(self, row: ApiKey | MachineClient, ident: str, now: datetime) -> None:
        if not machines.is_use_noted(row, now=now):
            await self.database.write(_note_use, type(row), ident, now)


def _note_use(
    session: Session, model: type[ApiKey | MachineClient], ident: str, now: datetime
) -> None:
    machines.note_use(session, model, ident, now)


def _issuer(token: str) -> str | None:
    """Return who made a token, as it says itself: it decides only what the token is held to."""
    try:
        return jwt.decode(token, options={"verify_signature": False}).get("iss")
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError) as error:
        raise NotAuthenticated("The token is neither a key nor a JSON web token.") from error


def is_required(settings: Settings) -> bool:
    """Whether callers must say who they are.

    Raises:
        ConfigurationError: They need not, and the API listens beyond this machine.
    """
    mode: Literal["auto", "open", "required"] = settings.access.mode
    beyond = settings.api.host not in _LOOPBACK
    if mode == "open" and beyond:
        raise ConfigurationError(
            f"The API would listen on {settings.api.host} for everybody, without asking who they "
            "are. Set ATHANOR_ACCESS__MODE=required, or ATHANOR_API__HOST=127.0.0.1."
        )
    return mode == "required" or beyond
