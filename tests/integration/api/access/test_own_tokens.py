"""Tokens of our own: only those that this key signed, for us, and that are not past their time."""

import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import FastAPI

from api.access.signing import Signer
from core.clock import utcnow
from core.errors import NotAuthenticated
from models.database import Database
from tests.integration.api.access.people import add_user, bearer, require_refused, sign_in


@pytest.fixture
def database(sqlite_database: Database) -> Iterator[Database]:
    return sqlite_database


@pytest.fixture
def signer(app: FastAPI) -> Signer:
    return app.state.access.signer


async def test_the_key_that_signs_is_its_owners_alone_and_stays(
    client: httpx.AsyncClient, database: Database, tmp_path: Path
) -> None:
    await add_user(database, "ada")
    token = (await sign_in(client, "ada"))["access_token"]
    file = tmp_path / "access" / "signing-key.pem"

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert list(file.parent.iterdir()) == [file]
    # Another process on the same home takes the same.
    assert Signer(file).read(token).name == "ada"


async def test_processes_with_one_secret_take_each_others_tokens(tmp_path: Path) -> None:
    here, there, elsewhere = (
        Signer(tmp_path / "none.pem", secret=secret) for secret in ("a" * 32, "a" * 32, "b" * 32)
    )
    token = here.sign_client("murfey", None, now=utcnow(), lasts=timedelta(minutes=1))

    assert there.read(token).name == "murfey"
    with pytest.raises(NotAuthenticated):
        elsewhere.read(token)
    assert list(tmp_path.iterdir()) == []


async def test_tokens_that_are_not_good_are_refused(
    client: httpx.AsyncClient, database: Database, signer: Signer
) -> None:
    await add_user(database, "ada")
    good = (await sign_in(client, "ada"))["access_token"]
    said: dict[str, Any] = jwt.decode(good, options={"verify_signature": False})
    assert (await client.get("/auth/me", headers=bearer(good))).is_success
    ours, others = signer._key, Ed25519PrivateKey.generate()
    public = ours.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    raw = ours.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    long_ago = utcnow() - timedelta(hours=1)
    header, payload, signature = good.split(".")

    def signed(key: Any = ours, algorithm: str = "EdDSA", **changes: Any) -> str:
        claims = {name: value for name, value in (said | changes).items() if value is not None}
        return jwt.encode(claims, key, algorithm)

    bad = {
        "expired": signed(iat=long_ago, exp=long_ago + timedelta(minutes=10)),
        "not yet": signed(iat=utcnow() + timedelta(hours=1)),
        "for ever": signed(exp=None),
        "wrong audience": signed(aud="prefect"),
        "no audience": signed(aud=None),
        "another key": signed(key=others),
        "alg none": signed(key=None, algorithm="none"),
        "unsigned": f"{header}.{payload}.",
        "no login": signed(sid="nobody"),
        "another's login": signed(sid="6d1f3c52-8e8a-5c0b-9a3e-7f0f7b9a4d11"),
        "changed": f"{header}.{payload[:-2]}AA.{signature}",
        "foreign issuer": signed(iss="https://evil.example"),
        "no issuer": signed(iss=None),
        "odd issuer": jwt.encode({**said, "iss": "x"}, ours, "EdDSA"),
        "no token": "eyJhbGciOiJFZERTQSJ9",
        "key of nobody": "athk_" + "x" * 43,
        "too long": good + "x" * 10_000,
    }
    # A public key is no secret, whatever a token says that it was signed with.
    key_material = {"pem": public, "raw": raw}
    for name, secret in key_material.items():
        header_hs = jwt.utils.base64url_encode(b'{"alg":"HS256","typ":"JWT"}').decode()
        signing_input = f"{header_hs}.{payload}".encode()
        forged = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
        mac = jwt.utils.base64url_encode(forged.sign(signing_input, secret)).decode()
        bad[f"public key as secret, {name}"] = f"{header_hs}.{payload}.{mac}"

    for name, token in bad.items():
        answer = await client.get("/auth/me", headers=bearer(token))
        assert answer.status_code == 401, name
        require_refused(answer, 401)


async def test_who_sends_no_token_is_told_how(client: httpx.AsyncClient) -> None:
    odd = ["", "Bearer", "Bearer ", "Basic YWRhOng=", "athk_key", "Bearer \xff", "Bearer a b"]
    for headers in ({}, *({"Authorization": one.encode("latin-1")} for one in odd)):
        require_refused(await client.get("/sessions", headers=headers), 401)


async def test_two_tokens_are_none(client: httpx.AsyncClient, database: Database) -> None:
    await add_user(database, "ada")
    token = (await sign_in(client, "ada"))["access_token"]
    twice = [("Authorization", f"Bearer {token}")] * 2
    require_refused(await client.get("/sessions", headers=twice), 401)


async def test_nothing_of_a_body_is_read_for_who_may_not_send_it(
    client: httpx.AsyncClient,
) -> None:
    read = 0

    async def body() -> Any:
        nonlocal read
        for _ in range(100):
            read += 1
            yield b"[" * 1_000

    answer = await client.post("/messages", content=body())

    require_refused(answer, 401)
    assert read == 0
