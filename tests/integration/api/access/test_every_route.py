"""Each route of the application asks for its permission, and nobody passes without it."""

import logging
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from api.access import rules
from api.app import create_app
from api.route_table import Route, routes_of
from core.access_settings import AccessSettings
from core.permissions import Permission, Role
from messaging.doorbell import LocalDoorbell
from models.database import Database
from tests.integration.api.access.people import add_key, require_refused
from tests.session_fixtures import test_settings as short_settings

_UUID = "6d1f3c52-8e8a-5c0b-9a3e-7f0f7b9a4d11"


@pytest.fixture
def database(sqlite_database: Database) -> Iterator[Database]:
    return sqlite_database


def operations(app: FastAPI) -> list[tuple[str, Route, str]]:
    """Return method, route and name in the table of everything that the application answers."""
    found = [
        (method, route, rules.name_of(method, route.path))
        for route in routes_of(app)
        for method in sorted(route.methods or {"GET"})
    ]
    assert len(found) > 30
    return found


def url_of(route: Route) -> str:
    return re.sub(r"\{[^}]*\}", _UUID, route.path)


def test_each_route_has_its_rule(app: FastAPI) -> None:
    missing = sorted(name for _, _, name in operations(app) if not rules.has_rule(name))
    assert missing == [], "put these into the table in api/access/rules.py"


def test_no_route_has_two_rules() -> None:
    single = [*rules.PUBLIC, *rules.ANYBODY_KNOWN, *rules.PERMISSIONS]
    assert len(single) == len(set(single))


async def test_each_route_that_is_not_public_asks_who_one_is(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    asked = [(method, route) for method, route, name in operations(app) if name not in rules.PUBLIC]
    for method, route in asked:
        answer = await client.request(method, url_of(route))
        assert answer.status_code == 401, f"{method} {route.path}"
        if method != "HEAD":
            require_refused(answer, 401)


async def test_each_route_is_refused_to_who_lacks_its_one_permission(
    app: FastAPI, client: httpx.AsyncClient, database: Database
) -> None:
    everything = set(Permission)
    without = {
        one: await add_key(database, Role.ADMIN, scopes=everything - {one})
        for one in set(rules.PERMISSIONS.values())
    }
    for method, route, name in operations(app):
        permission = rules.PERMISSIONS.get(name)
        if permission is None:
            continue
        answer = await client.request(method, url_of(route), headers=without[permission])
        assert answer.status_code == 403, f"{method} {route.path}"
        if method != "HEAD":
            assert f"it takes {permission}" in require_refused(answer, 403)
            assert f'scope="{permission}"' in answer.headers["WWW-Authenticate"]


async def test_each_route_answers_who_has_every_permission(
    app: FastAPI, client: httpx.AsyncClient, database: Database
) -> None:
    headers = await add_key(database) | {"Content-Type": "application/json"}
    for method, route, _ in operations(app):
        if "stream" in route.path or route.methods is None:
            continue
        answer = await client.request(method, url_of(route), headers=headers, content=b"{")
        assert answer.status_code not in {401, 403}, f"{method} {route.path}: {answer.text}"


async def test_public_routes_answer_everybody(client: httpx.AsyncClient) -> None:
    for path in ("/", "/health", "/docs", "/openapi.json"):
        assert (await client.get(path)).status_code == 200, path


async def test_a_path_without_a_route_is_not_found_by_anybody(client: httpx.AsyncClient) -> None:
    require_refused(await client.get("/nothing"), 404)
    wrong = await client.patch("/grids/x")
    require_refused(wrong, 405)
    assert wrong.headers["Allow"] == "DELETE, GET, PUT"


async def test_a_route_without_a_rule_is_refused(
    app: FastAPI, client: httpx.AsyncClient, database: Database
) -> None:
    @app.get("/forgotten")
    async def get_forgotten() -> str:
        return "told"

    answer = await client.get("/forgotten", headers=await add_key(database))

    assert "No rule" in require_refused(answer, 403)


async def test_a_refusal_leaves_a_line_that_says_who_and_what(
    client: httpx.AsyncClient, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    headers = await add_key(database, Role.VIEWER)

    with caplog.at_level(logging.WARNING):
        await client.post(f"/messages/{_UUID}/retry", headers=headers)

    assert "Refused POST /messages/{}/retry from 127.0.0.1: robot (viewer)" in caplog.text
    assert headers["Authorization"].removeprefix("Bearer ") not in caplog.text


async def test_the_document_says_what_each_operation_takes(app: FastAPI) -> None:
    document: dict[str, Any] = app.openapi()

    flows = document["components"]["securitySchemes"]["password"]["flows"]
    assert flows["password"]["tokenUrl"] == "auth/token"
    for path, found in document["paths"].items():
        for method, operation in found.items():
            name = rules.name_of(method.upper(), path)
            assert bool(operation["security"]) == (name not in rules.PUBLIC), name
            assert operation.get("x-permission") == rules.PERMISSIONS.get(name), name
            if name in rules.PERMISSIONS:
                assert {"401", "403"} <= set(operation["responses"]), name


def guarded(database: Database, **access: Any) -> FastAPI:
    settings = short_settings(access=AccessSettings(**access))
    return create_app(settings, database=database, doorbell=LocalDoorbell(), launcher=None)


async def test_metrics_may_be_shown_to_everybody(database: Database) -> None:
    app = guarded(database, mode="required", public_metrics=True)
    async with httpx.AsyncClient(
        base_url="http://api", transport=httpx.ASGITransport(app)
    ) as client:
        assert (await client.get("/metrics")).status_code == 200
        require_refused(await client.get("/sessions"), 401)


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
async def test_an_open_api_does_not_open_to_those_behind_a_proxy(
    database: Database, header: str
) -> None:
    app = guarded(database)
    async with httpx.AsyncClient(
        base_url="http://api", transport=httpx.ASGITransport(app)
    ) as client:
        me = (await client.get("/auth/me", headers={"Authorization": "Bearer of.any.kind"})).json()
        answer = await client.get("/sessions", headers={header: "192.0.2.7"})

    assert (me["name"], me["kind"], me["role"]) == ("anyone", "anyone", "admin")
    assert "ATHANOR_ACCESS__MODE=required" in require_refused(answer, 403)
