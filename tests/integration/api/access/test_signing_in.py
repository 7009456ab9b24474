"""People and machine clients get tokens, lose them, and nobody else has them."""

import asyncio
import base64
import logging
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select

from core.clock import utcnow
from core.permissions import Role
from models.access import machines, users
from models.access.tables import AccessUser, Login, RefreshToken
from models.database import Database
from tests.integration.api.access.people import (
    PASSWORD,
    add_user,
    bearer,
    require_refused,
    sign_in,
)


async def test_a_password_gets_a_token_that_says_who_one_is(
    client: httpx.AsyncClient, database: Database
) -> None:
    await add_user(database, "Ada", Role.OPERATOR, organisations=["nt32457"])
    given = await sign_in(client, "ADA")

    me = await client.get("/auth/me", headers=bearer(given["access_token"]))

    assert me.json()["name"] == "ada"
    assert (me.json()["kind"], me.json()["role"]) == ("user", "operator")
    assert me.json()["organisations"] == ["nt32457"]
    assert me.json()["permissions"] == sorted(given["scope"].split())
    assert (given["token_type"], given["expires_in"]) == ("bearer", 600)
    with database.reading() as session:
        kept = session.scalars(select(AccessUser)).one()
        token = session.scalars(select(RefreshToken)).one()
    assert kept.password_hash.startswith("$argon2id$")
    assert given["refresh_token"] not in token.token_hash


async def test_who_is_not_known_or_wrong_is_told_the_same(
    client: httpx.AsyncClient, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await add_user(database, "ada")
    await add_user(database, "gone")
    await database.write(users.disable_user, "gone", now=utcnow())

    with caplog.at_level(logging.WARNING):
        told = [
            require_refused(await client.post("/auth/token", data=form), 401)
            for form in (
                {"username": "ada", "password": "wrong horse battery"},
                {"username": "nobody", "password": PASSWORD},
                {"username": "gone", "password": PASSWORD},
            )
        ]

    assert len(set(told)) == 1
    assert "'nobody'" in caplog.text
    assert "horse" not in caplog.text


async def test_a_refresh_token_is_good_once_and_its_copy_ends_them_all(
    client: httpx.AsyncClient, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await add_user(database, "ada")
    other = await sign_in(client, "ada")
    first = await sign_in(client, "ada")
    second = (
        await client.post("/auth/refresh", data={"refresh_token": first["refresh_token"]})
    ).json()
    assert (await client.get("/auth/me", headers=bearer(second["access_token"]))).is_success

    with caplog.at_level(logging.WARNING):
        stolen = await client.post(
            "/auth/token",
            data={"grant_type": "refresh_token", "refresh_token": first["refresh_token"]},
        )

    assert "used before" in require_refused(stolen, 401)
    assert "used before" in caplog.text
    assert first["refresh_token"] not in caplog.text
    for given in (first, second):
        answer = await client.get("/auth/me", headers=bearer(given["access_token"]))
        assert "revoked" in require_refused(answer, 401)
    next_one = await client.post("/auth/refresh", data={"refresh_token": second["refresh_token"]})
    require_refused(next_one, 401)
    # Another signing in of the same person is none of its business.
    assert (await client.get("/auth/me", headers=bearer(other["access_token"]))).is_success


async def test_of_two_that_refresh_at_once_one_is_a_copy(
    client: httpx.AsyncClient, database: Database
) -> None:
    await add_user(database, "ada")
    given = await sign_in(client, "ada")
    form = {"refresh_token": given["refresh_token"]}

    answers = await asyncio.gather(*(client.post("/auth/refresh", data=form) for _ in range(2)))

    assert sorted(one.status_code for one in answers) == [200, 401]


async def test_signing_out_ends_both_tokens(client: httpx.AsyncClient, database: Database) -> None:
    await add_user(database, "ada")
    for kind in ("access_token", "refresh_token"):
        given = await sign_in(client, "ada")

        assert (await client.post("/auth/revoke", data={"token": given[kind]})).status_code == 200

        require_refused(await client.get("/auth/me", headers=bearer(given["access_token"])), 401)
        form = {"refresh_token": given["refresh_token"]}
        require_refused(await client.post("/auth/refresh", data=form), 401)
    # What is not known needs no end, and nobody learns whether it was.
    assert (await client.post("/auth/revoke", data={"token": "unknown"})).status_code == 200


async def test_a_change_of_user_is_in_force_at_once(
    client: httpx.AsyncClient, database: Database
) -> None:
    await add_user(database, "ada", Role.VIEWER)
    headers = bearer((await sign_in(client, "ada"))["access_token"])
    assert require_refused(await client.get("/messages", headers=headers), 403)

    await database.write(users.set_role, "ada", Role.OPERATOR)
    assert (await client.get("/messages", headers=headers)).is_success

    await database.write(users.set_password, "ada", "another horse battery", now=utcnow())
    require_refused(await client.get("/messages", headers=headers), 401)

    headers = bearer((await sign_in(client, "ada", "another horse battery"))["access_token"])
    await database.write(users.disable_user, "ada", now=utcnow())
    require_refused(await client.get("/messages", headers=headers), 401)


async def test_a_client_gets_what_it_asks_for_of_what_it_may(
    client: httpx.AsyncClient, database: Database
) -> None:
    _, secret = await database.write(
        machines.add_client, "murfey", Role.OPERATOR, scopes=["messages.write", "messages.read"],
        now=utcnow(),
    )  # fmt: skip
    basic = base64.b64encode(f"murfey:{secret}".encode()).decode()

    whole = await client.post(
        "/auth/token",
        data={"grant_type": "client_credentials", "client_id": "murfey", "client_secret": secret},
    )
    narrow = await client.post(
        "/auth/token",
        data={"grant_type": "client_credentials", "scope": "messages.read sessions.read"},
        headers={"Authorization": f"Basic {basic}"},
    )

    assert whole.json()["scope"] == "messages.read messages.write"
    assert narrow.json()["scope"] == "messages.read"
    assert narrow.json()["refresh_token"] is None
    headers = bearer(narrow.json()["access_token"])
    assert (await client.get("/messages", headers=headers)).is_success
    refused = await client.post("/messages", json=[], headers=headers)
    assert "messages.write" in require_refused(refused, 403)
    assert 'scope="messages.write"' in refused.headers["WWW-Authenticate"]

    await database.write(machines.disable_client, "murfey", now=utcnow())
    require_refused(await client.get("/messages", headers=headers), 401)
    assert secret not in (await database.read(machines.list_clients))[0].secret_hash


async def test_a_form_that_proves_nothing_gets_nothing(client: httpx.AsyncClient) -> None:
    for form, status in (
        ({"grant_type": "client_credentials", "client_id": "x", "client_secret": "y"}, 401),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, 401),
        ({"grant_type": "password", "username": "ada"}, 400),
        ({"grant_type": "client_credentials"}, 400),
        ({"grant_type": "implicit"}, 422),
        ({"username": "ada", "password": "x" * 9_000}, 422),
        # PostgreSQL does not even look for such a name.
        ({"username": "a\x00da", "password": "\x00"}, 401),
    ):
        require_refused(await client.post("/auth/token", data=form), status)


async def test_guessing_is_slowed_down(
    app: FastAPI, client: httpx.AsyncClient, database: Database
) -> None:
    await add_user(database, "ada")
    for _ in range(app.state.access.settings.failures_per_minute):
        app.state.access.throttle.failed("127.0.0.1")

    # Even with the right password: else it would tell the right one.
    answer = await client.post("/auth/token", data={"username": "ada", "password": PASSWORD})

    assert "wrong passwords" in require_refused(answer, 429)
    assert int(answer.headers["Retry-After"]) <= 60


async def test_what_can_no_longer_be_refreshed_is_forgotten(
    client: httpx.AsyncClient, database: Database
) -> None:
    await add_user(database, "ada")
    await sign_in(client, "ada")
    with database.transaction() as session:
        session.scalars(select(Login)).one().expires_at = utcnow() - timedelta(hours=1)

    await sign_in(client, "ada")

    with database.reading() as session:
        assert len(session.scalars(select(RefreshToken)).all()) == 1
