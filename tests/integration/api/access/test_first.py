"""The first administrator: made where nobody could come in, told once."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from core.access_settings import AccessSettings, OidcSettings
from entrypoints.first import let_first_in
from models.access import users
from models.database import Database
from tests.integration.api.access.people import add_key, bearer, sign_in
from tests.session_fixtures import test_settings as short_settings


@pytest.fixture
def database(sqlite_database: Database) -> Iterator[Database]:
    return sqlite_database


async def test_the_first_administrator_is_told_the_password_once(
    app: FastAPI, client: httpx.AsyncClient, database: Database, tmp_path: Path
) -> None:
    settings = short_settings(home=tmp_path, access=AccessSettings(mode="required"))
    told: list[str] = []

    await let_first_in(settings, database, told.append)
    await let_first_in(settings, database, told.append)

    (line,) = told
    password = line.partition("password ")[2].split()[0]
    given = await sign_in(client, "admin", password)
    me = (await client.get("/auth/me", headers=bearer(given["access_token"]))).json()
    assert (me["role"], me["organisations"]) == ("admin", None)


@pytest.mark.parametrize("why", ["open", "issuer", "key"])
async def test_nobody_is_made_where_somebody_can_come_in(database: Database, why: str) -> None:
    issuer = OidcSettings(issuer="https://sso.example", audience="athanor")
    access = {
        "open": AccessSettings(),
        "issuer": AccessSettings(mode="required", oidc=issuer),
        "key": AccessSettings(mode="required"),
    }[why]
    if why == "key":
        await add_key(database)

    await let_first_in(short_settings(access=access), database, pytest.fail)

    assert await database.read(users.list_users) == []
