"""Tokens of a facility's OpenID Connect issuer, checked with the keys that it publishes."""

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK

from core.access_settings import OidcSettings
from core.caller import Caller
from core.errors import ConfigurationError, IssuerUnavailable, NotAuthenticated, NotPermitted
from core.permissions import Role, permissions_of

logger = logging.getLogger(__name__)

_REQUIRED = ("exp", "iat", "iss", "aud", "sub")
_TIMEOUT = httpx.Timeout(5.0)
#: Documents of keys are a few thousand bytes.
_LARGEST = 1024 * 1024
#: While the issuer is away its keys are good for so much longer than they usually are.
_STALE_FACTOR = 12
#: Families of keys with a public half.
_FAMILIES = frozenset({"RSA", "EC", "OKP"})
_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_SHORTEST_RSA = 2048
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class IssuerKey:
    """One public key, and the signatures that are accepted of it."""

    key: Any
    algorithms: tuple[str, ...]


class IssuerKeys:
    """The public keys of an issuer, asked for when they are old or one is not among them."""

    def __init__(self, settings: OidcSettings) -> None:
        self._settings = settings
        self._keys: dict[str | None, IssuerKey] = {}
        self._asked_at = float("-inf")
        self._known_at = float("-inf")
        self._asking = asyncio.Lock()

    async def find(self, kid: str | None) -> IssuerKey:
        """Return the key that a token names.

        Raises:
            NotAuthenticated: The issuer has no such key.
            IssuerUnavailable: It does not tell its keys.
        """
        if self._is_fresh() and kid in self._keys:
            return self._keys[kid]
        async with self._asking:
            # Who waited for the lock finds what the one before was told.
            if not (self._is_fresh() and kid in self._keys) and self._may_ask():
                await self._ask()
        if not self._keys:
            raise IssuerUnavailable(f"{self._settings.issuer} did not tell its public keys yet.")
        if kid not in self._keys:
            raise NotAuthenticated("The token is signed with a key that its issuer does not have.")
        return self._keys[kid]

    def _is_fresh(self) -> bool:
        return time.monotonic() - self._known_at < self._settings.keys_seconds

    def _may_ask(self) -> bool:
        return time.monotonic() - self._asked_at >= self._settings.keys_pause_seconds

    async def _ask(self) -> None:
        self._asked_at = time.monotonic()
        try:
            async with httpx.AsyncClient(timeout=_TIMEOUT) as client:
                document = await _get(client, await self._url(client))
            self._keys = dict(_usable(document, self._settings.algorithms))
            self._known_at = time.monotonic()
        except (httpx.HTTPError, ValueError, KeyError, TypeError, jwt.PyJWTError) as error:
            good_for = _STALE_FACTOR * self._settings.keys_seconds
            if time.monotonic() - self._known_at > good_for:
                raise IssuerUnavailable(
                    f"The issuer {self._settings.issuer} does not tell its public keys: {error}."
                ) from error
            logger.warning(
                "The issuer %s does not tell its public keys (%s); those from before are used on",
                self._settings.issuer,
                error,
                extra={"action": "issuer_unavailable"},
            )

    async def _url(self, client: httpx.AsyncClient) -> str:
        if self._settings.jwks_url:
            return self._settings.jwks_url
        issuer = str(self._settings.issuer).rstrip("/")
        found = (await _get(client, f"{issuer}/.well-known/openid-configuration"))["jwks_uri"]
        require_secure(found)
        return found


class Oidc:
    """Says who the bearer of an issuer's token is."""

    def __init__(self, settings: OidcSettings) -> None:
        """Take the settings; the issuer is asked at the first token.

        Raises:
            ConfigurationError: The audience is missing, or an address is not safe.
        """
        self.issuer = settings.issuer
        self._settings = settings
        self._keys = IssuerKeys(settings)
        if settings.issuer is not None and not settings.audience:
            raise ConfigurationError(
                "ATHANOR_ACCESS__OIDC__AUDIENCE is missing: without it, a token that the issuer "
                "gave for any other service would be taken here."
            )
        for url in (settings.issuer, settings.jwks_url):
            if url is not None:
                require_secure(url)

    async def read(self, token: str) -> tuple[Caller, float]:
        """Return who bears a token, and when it ends.

        Raises:
            NotAuthenticated: It is not good.
            NotPermitted: It is, and says of no role that we know.
            IssuerUnavailable: The issuer's keys cannot be had.
        """
        settings = self._settings
        try:
            header = jwt.get_unverified_header(token)
            # Before anything is asked for: what cannot be good costs nobody anything.
            if header.get("alg") not in settings.algorithms:
                raise NotAuthenticated("The token has a signature of a kind that is not accepted.")
            key = await self._keys.find(header.get("kid"))
            said = jwt.decode(
                token,
                key.key,
                algorithms=list(key.algorithms),
                audience=settings.audience,
                issuer=settings.issuer,
                leeway=settings.leeway_seconds,
                options={"require": list(_REQUIRED)},
            )
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise NotAuthenticated(f"The token is not good: {error}.") from error
        return self._caller(said), float(said["exp"]) + settings.leeway_seconds

    def _caller(self, said: Mapping[str, Any]) -> Caller:
        settings = self._settings
        name = _claim(said, settings.name_claim) or said["sub"]
        role = self._role(_texts(_claim(said, settings.role_claim)))
        if role is None:
            raise NotPermitted(
                f"{name} is known, and has no role here. Let the issuer put one into the claim "
                f"{settings.role_claim} (ATHANOR_ACCESS__OIDC__ROLES)."
            )
        theirs = frozenset(_texts(_claim(said, settings.organisations_claim)))
        organisations = None if role is Role.ADMIN else theirs
        return Caller(str(name), "user", role, permissions_of(role), organisations)

    def _role(self, names: Iterable[str]) -> Role | None:
        ours = {**{role.value: role for role in Role}, **self._settings.roles}
        found = {ours[name] for name in names if name in ours}
        # From the one that may do most to the one that may do least.
        return next((role for role in reversed(Role) if role in found), self._settings.default_role)


def require_secure(url: str) -> None:
    """Refuse an address over which anybody could hand us keys.

    Raises:
        ConfigurationError: It is neither https nor on this machine.
    """
    parsed = httpx.URL(url)
    if parsed.scheme != "https" and parsed.host not in _LOOPBACK:
        raise ConfigurationError(f"{url} is not safe: keys of an issuer come over https only.")


async def _get(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    async with client.stream("GET", url) as answer:
        answer.raise_for_status()
        body = bytearray()
        async for piece in answer.aiter_bytes():
            body += piece
            if len(body) > _LARGEST:
                raise ValueError(f"{url} answers with too much")
    return httpx.Response(200, content=bytes(body)).json()


def _usable(
    document: Mapping[str, Any], algorithms: Iterable[str]
) -> Iterator[tuple[str | None, IssuerKey]]:
    """Yield the keys that sign as we accept it: none that is shared, none for secrecy."""
    for one in document["keys"]:
        if one.get("kty") not in _FAMILIES or one.get("use", "sig") != "sig" or "d" in one:
            continue
        try:
            key = PyJWK.from_dict(one)
        except jwt.PyJWTError:
            continue  # of a kind that we do not know: no token that we accept names it
        if isinstance(key.key, RSAPublicKey):
            if key.key.key_size < _SHORTEST_RSA:
                continue
            said = {one["alg"]} if "alg" in one else _RSA
        else:
            said = {key.algorithm_name}
        accepted = tuple(name for name in algorithms if name in said)
        if accepted:
            yield one.get("kid"), IssuerKey(key.key, accepted)


def _claim(said: Mapping[str, Any], path: str) -> Any:
    if path in said:
        return said[path]
    found: Any = said
    for part in path.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
    return found


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return value.split()
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
