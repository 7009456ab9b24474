"""Tokens of a facility's issuer, whose keys are behind a real port."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import FastAPI, Response
from jwt.algorithms import ECAlgorithm, HMACAlgorithm, RSAAlgorithm

from api.access.oidc import Oidc
from api.server import ApiServer
from core.access_settings import AccessSettings, OidcSettings
from core.clock import utcnow
from core.errors import ConfigurationError
from models.database import Database
from tests.integration.api.access.people import bearer, require_refused

_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
_NEXT = rsa.generate_private_key(public_exponent=65537, key_size=2048)
_EC = ec.generate_private_key(ec.SECP256R1())
_SECRET = b"a secret of the issuer's that it should not publish"


class Issuer:
    """An issuer on a port of its own; `keys` is what it publishes."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = []
        self.asked = 0
        self.away = False
        self.app = FastAPI()
        self.app.get("/.well-known/openid-configuration")(self._discovery)
        self.app.get("/keys")(self._keys)
        self.url = ""

    async def _discovery(self) -> dict[str, str]:
        return {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}

    async def _keys(self) -> Response:
        self.asked += 1
        if self.away:
            return Response(status_code=503)
        return Response(json.dumps({"keys": self.keys}), media_type="application/json")

    def token(
        self, key: Any = _RSA, algorithm: str = "RS256", kid: str | None = "first", **changes: Any
    ) -> str:
        now = utcnow()
        claims = {
            "iss": self.url,
            "aud": "athanor",
            "sub": "5d0c",
            "preferred_username": "ada",
            "roles": ["beamline-staff", "viewer"],
            "organisations": ["nt32457", "cm1"],
            "iat": now,
            "exp": now + timedelta(minutes=5),
        } | changes
        said = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(said, key, algorithm, {"kid": kid} if kid else None)


def public(key: Any, kid: str, **more: Any) -> dict[str, Any]:
    kind = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    return {**kind.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig", **more}


@pytest.fixture
def database(sqlite_database: Database) -> Iterator[Database]:
    return sqlite_database


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    made = Issuer()
    made.keys = [public(_RSA, "first", alg="RS256"), public(_EC, "curve")]
    server = ApiServer(made.app, host="127.0.0.1", port=0)
    await server.start()
    made.url = server.url
    yield made
    await server.stop()


@pytest.fixture
def access_settings(issuer: Issuer) -> AccessSettings:
    oidc = OidcSettings(
        issuer=issuer.url,
        audience="athanor",
        roles={"beamline-staff": "engineer"},
        keys_pause_seconds=0,
    )
    return AccessSettings(mode="required", remember_seconds=0, oidc=oidc)


async def test_a_token_of_the_issuer_says_name_role_and_organisations(
    client: httpx.AsyncClient, issuer: Issuer
) -> None:
    answers = await asyncio.gather(
        *(client.get("/auth/me", headers=bearer(issuer.token())) for _ in range(5))
    )

    assert {one.status_code for one in answers} == {200}
    me = answers[0].json()
    # The highest of the roles counts, and the facility's own names are known.
    assert (me["name"], me["kind"], me["role"]) == ("ada", "user", "engineer")
    assert me["organisations"] == ["cm1", "nt32457"]
    # All of them, at once, and the next one, are judged by keys that were asked for once.
    curve = bearer(issuer.token(_EC, "ES256", "curve", roles="admin"))
    assert (await client.get("/auth/me", headers=curve)).json()["organisations"] is None
    assert issuer.asked == 1


async def test_tokens_that_are_not_good_are_refused(
    client: httpx.AsyncClient, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    now = utcnow()
    issuer.keys.append(
        {"kty": "oct", "kid": "shared", "k": jwt.utils.base64url_encode(_SECRET).decode()}
    )
    issuer.keys.append(public(_NEXT, "secrecy", use="enc"))
    pem = _RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    bad = {
        "expired": issuer.token(exp=now - timedelta(minutes=2), iat=now - timedelta(minutes=9)),
        "not yet": issuer.token(nbf=now + timedelta(minutes=2)),
        "for ever": issuer.token(exp=None),
        "wrong audience": issuer.token(aud="other-service"),
        "no audience": issuer.token(aud=None),
        "wrong issuer": issuer.token(iss="https://evil.example"),
        "issuer's beginning": issuer.token(iss=issuer.url + "/evil"),
        "nobody": issuer.token(sub=None),
        "alg none": issuer.token(None, "none"),
        "public key as secret": _forged(pem, issuer),
        "published secret": issuer.token(_SECRET, "HS256", "shared"),
        "another key, same name": issuer.token(_NEXT),
        "another kind of signature": issuer.token(_RSA, "PS256"),
        "longer hash than accepted": issuer.token(_RSA, "RS512"),
        "unknown key": issuer.token(_NEXT, kid="next"),
        "key for secrecy": issuer.token(_NEXT, kid="secrecy"),
        "no key named": issuer.token(kid=None),
        "curve's name on RSA": issuer.token(_RSA, kid="curve"),
    }

    for name, token in bad.items():
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            answer = await client.get("/auth/me", headers=bearer(token))
        assert answer.status_code == 401, name
        require_refused(answer, 401)
        assert "Refused GET /auth/me" in caplog.text, name
        assert token.rsplit(".", 1)[-1] not in caplog.text or token.endswith("."), name


def _forged(pem: bytes, issuer: Issuer) -> str:
    """Return a token that is signed with the public key as if it were a shared secret."""
    payload = issuer.token().split(".")[1]
    header = jwt.utils.base64url_encode(b'{"alg":"HS256","kid":"first"}').decode()
    mac = HMACAlgorithm(HMACAlgorithm.SHA256).sign(f"{header}.{payload}".encode(), pem)
    return f"{header}.{payload}.{jwt.utils.base64url_encode(mac).decode()}"


async def test_new_keys_are_found_and_old_ones_forgotten(
    client: httpx.AsyncClient, issuer: Issuer
) -> None:
    old, new = bearer(issuer.token()), bearer(issuer.token(_NEXT, kid="next"))
    assert (await client.get("/auth/me", headers=old)).is_success
    require_refused(await client.get("/auth/me", headers=new), 401)

    issuer.keys = [public(_NEXT, "next")]

    assert (await client.get("/auth/me", headers=new)).is_success
    require_refused(await client.get("/auth/me", headers=old), 401)


async def test_unknown_keys_do_not_make_us_ask_and_ask(issuer: Issuer) -> None:
    settings = OidcSettings(issuer=issuer.url, audience="athanor", keys_pause_seconds=60)
    oidc = Oidc(settings)
    await oidc.read(issuer.token())

    for number in range(5):
        with pytest.raises(Exception, match="key that its issuer does not have"):
            await oidc.read(issuer.token(_NEXT, kid=f"guess-{number}"))

    assert issuer.asked == 1


async def test_an_issuer_that_is_away_is_not_the_callers_fault(
    client: httpx.AsyncClient, issuer: Issuer
) -> None:
    token = bearer(issuer.token())
    issuer.away = True
    answer = await client.get("/auth/me", headers=token)
    assert "does not tell its public keys" in require_refused(answer, 503)

    issuer.away = False
    assert (await client.get("/auth/me", headers=token)).is_success
    issuer.away = True
    # What is known is used on; what is not is asked for, in vain.
    require_refused(await client.get("/auth/me", headers=bearer(issuer.token(kid="next"))), 401)
    assert (await client.get("/auth/me", headers=token)).is_success


async def test_who_has_no_role_here_is_known_and_may_nothing(
    client: httpx.AsyncClient, issuer: Issuer
) -> None:
    answer = await client.get("/auth/me", headers=bearer(issuer.token(roles=["cook"])))
    assert "no role" in require_refused(answer, 403)


async def test_claims_may_be_nested_and_a_role_be_given_to_all(issuer: Issuer) -> None:
    oidc = Oidc(
        OidcSettings(
            issuer=issuer.url,
            audience="athanor",
            name_claim="email",
            role_claim="realm_access.roles",
            default_role="viewer",
        )
    )
    by_role, _ = await oidc.read(issuer.token(realm_access={"roles": ["operator", 7]}))
    by_default, _ = await oidc.read(issuer.token(organisations=None))

    # Without the claim with a name, the subject is one.
    assert (by_role.name, by_role.role) == ("5d0c", "operator")
    assert (by_default.role, by_default.organisations) == ("viewer", frozenset())


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"issuer": "https://sso.example"}, "AUDIENCE"),
        ({"issuer": "http://sso.example", "audience": "athanor"}, "https"),
        (
            {
                "issuer": "https://sso.example",
                "audience": "athanor",
                "jwks_url": "http://sso.example/keys",
            },
            "https",
        ),
    ],
    ids=["no-audience", "plain-issuer", "plain-keys"],
)
def test_settings_that_would_trust_anybody_are_refused(
    settings: dict[str, Any], named: str
) -> None:
    with pytest.raises(ConfigurationError, match=named):
        Oidc(OidcSettings(**settings))
