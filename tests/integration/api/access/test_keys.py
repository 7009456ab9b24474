"""API keys: shown once, limited to what they are for, and worthless when they should be."""

import hashlib
from datetime import timedelta

import httpx

from core.clock import utcnow
from core.permissions import Role
from models.access import machines
from models.access.tables import ApiKey
from models.database import Database
from tests.integration.api.access.people import add_key, bearer, require_refused


async def test_a_key_is_shown_once_and_kept_as_a_hash(
    client: httpx.AsyncClient, database: Database
) -> None:
    admin = await add_key(database)
    made = await client.post(
        "/auth/keys", headers=admin, json={"name": "krios-1", "role": "operator", "days": 30}
    )

    assert made.status_code == 201
    key = made.json()["key"]
    assert key.startswith(made.json()["prefix"])
    assert made.json()["created_by"] == "robot"
    listed = await client.get("/auth/keys", headers=admin)
    assert key not in listed.text
    assert [one["prefix"] for one in listed.json()].count(key[:13]) == 1
    with database.reading() as session:
        kept = session.get_one(ApiKey, made.json()["prefix"])
    assert kept.key_hash == hashlib.sha256(key.encode()).hexdigest()

    me = (await client.get("/auth/me", headers=bearer(key))).json()
    assert (me["name"], me["kind"], me["role"]) == ("krios-1", "key", "operator")


async def test_a_key_may_do_what_its_scopes_say_and_no_more(
    client: httpx.AsyncClient, database: Database
) -> None:
    headers = await add_key(database, Role.OPERATOR, scopes=["messages.read", "users.manage"])

    assert (await client.get("/messages", headers=headers)).is_success
    assert "sessions.read" in require_refused(await client.get("/sessions", headers=headers), 403)
    # What its role lacks, no scope gives.
    require_refused(await client.get("/auth/keys", headers=headers), 403)


async def test_no_key_makes_one_that_may_more_than_itself(
    client: httpx.AsyncClient, database: Database
) -> None:
    maker = await add_key(database, scopes=["users.manage", "sessions.read"])
    more = {"name": "more", "role": "operator"}

    refused = await client.post("/auth/keys", headers=maker, json=more)
    made = await client.post(
        "/auth/keys", headers=maker, json={**more, "scopes": ["sessions.read"]}
    )

    assert "messages.write" in require_refused(refused, 403)
    assert made.status_code == 201
    assert len(await database.read(machines.list_keys)) == 2


async def test_a_key_is_worthless_once_revoked(
    client: httpx.AsyncClient, database: Database
) -> None:
    admin = await add_key(database)
    headers = await add_key(database, Role.VIEWER)
    prefix = headers["Authorization"].removeprefix("Bearer ")[:13]

    assert (await client.delete(f"/auth/keys/{prefix}", headers=admin)).is_success

    require_refused(await client.get("/sessions", headers=headers), 401)
    require_refused(await client.delete("/auth/keys/athk_%00none", headers=admin), 404)


async def test_a_key_is_worthless_past_its_time(
    client: httpx.AsyncClient, database: Database
) -> None:
    headers = await add_key(database, Role.VIEWER, days=1)
    assert (await client.get("/sessions", headers=headers)).is_success
    with database.transaction() as session:
        (key,) = machines.list_keys(session)
        key.expires_at = utcnow() - timedelta(seconds=1)

    require_refused(await client.get("/sessions", headers=headers), 401)


async def test_the_last_use_is_noted_to_the_minute(
    client: httpx.AsyncClient, database: Database
) -> None:
    headers = await add_key(database, Role.VIEWER)
    before = utcnow()
    await client.get("/sessions", headers=headers)
    (key,) = await database.read(machines.list_keys)
    await client.get("/sessions", headers=headers)
    (again,) = await database.read(machines.list_keys)

    assert key.last_used_at is not None
    assert key.last_used_at >= before
    assert again.last_used_at == key.last_used_at
