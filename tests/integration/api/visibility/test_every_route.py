"""Whatever route one takes, nothing of another organisation is seen, changed or deleted.

The routes are the application's own, so a new one is tried as soon as it is there.
"""

import re
from collections.abc import Callable
from typing import Final

import httpx
from fastapi import FastAPI

from api.route_table import routes_of
from models.cryoem.session_owning import assign
from models.database import Database
from tests.integration.api.visibility.world import World, bodies, everything

#: About nobody's session: what all share, and who may sign in.
SHARED: Final = frozenset(
    {
        "POST /prediction_models",
        "PUT /prediction_models/{name}",
        "DELETE /prediction_models/{name}",
        "POST /auth/token",
        "POST /auth/refresh",
        "POST /auth/revoke",
        "GET /auth/me",
        "GET /auth/keys",
        "POST /auth/keys",
        "DELETE /auth/keys/{prefix}",
        "GET /",
        "GET /docs",
        "GET /docs/oauth2-redirect",
        "GET /redoc",
        "GET /openapi.json",
        "GET /static-offline-docs",
        "GET /health",
        "GET /version",
        "GET /metrics",
        "GET /prediction_models",
        "GET /prediction_models/{name}",
        "GET /quality_metrics",
    }
)
#: Does not end by itself: tried on a port by the tests of the live stream.
ENDLESS: Final = frozenset({"GET /frontend/events/stream"})
#: To its owner it does not end, either.
STREAM: Final = "/agent/{agent_id}/session/{session_id}/instructions/stream"
#: There is no picture, no latent representation and no suggestion of this session; nor a hold.
EMPTY: Final = re.compile("_image|latent_rep|/hold$")
#: Tells what its caller did in the past, to whomever that belongs now.
PAST: Final = frozenset({"/audit"})
#: Rows that tell of requests, whoever sent them.
OWN: Final = frozenset({"audit_entry", "answer"})


def operations(app: FastAPI, chosen: Callable[[str], bool]) -> list[tuple[str, str]]:
    """Return method and path of the routes that may be about somebody's session."""
    found = [
        (method, route.path)
        for route in routes_of(app)
        for method in sorted((route.methods or {"GET"}) - {"HEAD"})
        if chosen(method) and f"{method} {route.path}" not in SHARED | ENDLESS
    ]
    assert len(found) > 30
    return found


def words_of(world: World, database: Database) -> set[str]:
    """Return the uuids of all that is `a`'s, whatever table it is in."""
    rows = [row for rows in everything(database, but=OWN).values() for row in rows]
    grid, acquisition = str(world.grid), world.named["{acquisition_uuid}"]
    mine = " ".join(row for row in rows if grid in row or acquisition in row)
    words = set(re.findall(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", mine))
    assert len(words) > 10
    return words


async def require_theirs_alone(
    app: FastAPI, world: World, words: set[str], *, to: httpx.AsyncClient, but: httpx.AsyncClient
) -> None:
    """Require that each route that tells of the session tells one of it, and not the other."""
    empty: list[str] = []
    for method, path in operations(app, lambda method: method == "GET"):
        url = world.url(path)
        seen = await but.request(method, url)
        if path == STREAM:
            assert seen.status_code == 404
            continue
        own = await to.request(method, url)
        # 403 for what is about the sessions of all, and so for who sees all.
        assert seen.status_code in {200, 403, 404}, (path, seen.text)
        if "{" in path and not EMPTY.search(path):
            assert own.status_code == 200, (path, own.text)
        if seen.status_code == 200 and path not in PAST:
            shown = [word for word in words if word in seen.text and word not in url]
            assert shown == [], (path, seen.text)
        if own.status_code == 200 and not any(word in own.text for word in words):
            empty.append(path)
    # The others do show something to its owner, so that what they do not show here is proof.
    assert len(empty) < 20, empty


async def test_nothing_of_another_organisation_is_shown(
    app: FastAPI, world: World, database: Database
) -> None:
    told = (await world.b.get("/audit")).json()["items"]
    assert told == []
    await require_theirs_alone(app, world, words_of(world, database), to=world.a, but=world.b)


async def test_a_session_that_is_given_to_another_organisation_is_theirs_alone(
    app: FastAPI, world: World, database: Database
) -> None:
    words = words_of(world, database)

    would = await database.write(assign, world.grid, "b", dry_run=True)
    assert (would.before, would.agents, len(would.grids)) == (("a",), 1, 1)
    assert (await world.b.get(f"/grids/{world.grid}")).status_code == 404
    done = await database.write(assign, world.grid, "b", dry_run=False)

    assert done == would
    await require_theirs_alone(app, world, words, to=world.b, but=world.a)
    changed = await world.a.put(f"/grids/{world.grid}", json={"status": "scan started"})
    assert changed.status_code == 404
    changed = await world.b.put(f"/grids/{world.grid}", json={"status": "scan started"})
    assert changed.status_code == 200


async def test_nothing_of_another_organisation_is_changed(
    app: FastAPI, world: World, database: Database
) -> None:
    changes = operations(app, lambda method: method not in {"GET", "OPTIONS"})
    # What others hang on goes last.
    changes.sort(key=lambda one: (one[0] == "DELETE", -one[1].count("{"), one[1].count("grids")))
    sent = bodies(world)
    before = everything(database, but=OWN)

    for method, path in changes:
        body = sent.get(f"{method} {path}")
        refused = await world.b.request(method, world.url(path), json=body)
        taken = f"{method} {path}" == "POST /acquisitions"
        assert refused.status_code in ({404, 409} if taken else {403, 404}), (
            f"{method} {path}: {refused.status_code}, {refused.text}; "
            "if it takes a body, say in `bodies` which"
        )
    after = everything(database, but=OWN)
    assert {name for name in after if after[name] != before[name]} == set()

    for method, path in changes:
        body = sent.get(f"{method} {path}")
        own = await world.a.request(method, world.url(path), json=body)
        # At odds with what was done before is an answer about what is seen.
        gone = own.status_code == 404 and (method == "DELETE" or path.endswith("/heartbeat"))
        assert own.status_code < 300 or own.status_code == 409 or gone, (method, path, own.text)


async def test_attempts_upon_another_organisation_are_written_down(world: World) -> None:
    answer = await world.b.put(f"/grids/{world.grid}", json={"status": "scan started"})
    assert answer.status_code == 404

    listed = (await world.b.get("/audit", params={"refused": True})).json()["items"]

    assert [(one["caller"], one["route"], one["entity_id"], one["status"]) for one in listed] == [
        ("somebody of b", "/grids/{grid_uuid}", str(world.grid), 404)
    ]
    assert listed[0]["request_id"] == answer.headers["X-Request-ID"]
    assert (await world.a.get("/audit", params={"refused": True})).json()["items"] == []
