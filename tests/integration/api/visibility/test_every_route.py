"""Whatever route one takes, nothing of another organisation is seen, changed or deleted.

The routes are the application's own, so a new one is tried as soon as it is there.
"""

import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
from fastapi import FastAPI

from api.access.guard import routes_of
from api.app import create_app
from core.access_settings import AccessSettings
from messaging.doorbell import LocalDoorbell
from models.database import Database
from tests.integration.api.visibility.conftest import Two
from tests.integration.api.visibility.world import (
    AGENT,
    World,
    clients,
    everything,
    furnish,
    instruction_of,
)
from tests.session_fixtures import RecordingLauncher
from tests.session_fixtures import test_settings as short_settings

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
#: Rows that tell of requests, whoever sent them.
OWN: Final = frozenset({"audit_entry", "answer"})


@pytest.fixture
async def app(database: Database, tmp_path: Path) -> FastAPI:
    settings = short_settings(home=tmp_path, access=AccessSettings(mode="required"))
    return create_app(
        settings, database=database, doorbell=LocalDoorbell(), launcher=RecordingLauncher()
    )


@pytest.fixture
async def world(app: FastAPI, database: Database, two: Two) -> AsyncIterator[World]:
    of_a, of_b = clients(app)
    async with of_a, of_b:
        made = World(of_a, of_b, two)
        await furnish(made, database)
        # What was written is also told to pages before anything is compared.
        await app.state.services.writer.close()
        yield made
        await app.state.services.writer.close()


def bodies(world: World) -> dict[str, Any]:
    """Return what is sent to each route that takes a body: about what is `a`'s."""
    named = world.named
    new = {"uuid": str(uuid4())}
    grid, square = {"grid_uuid": named["{grid_uuid}"]}, world.square
    place = {"center_x": 1, "center_y": 2, "size_width": 3, "size_height": 4}
    hole = {**new, "gridsquare_uuid": square, "gridsquare_id": "1", "foilhole_id": "199"}
    squares = [{**new, **grid, "gridsquare_id": "77"}]
    return {
        "POST /agent/sessions": {"agent_id": AGENT, **grid},
        "PATCH /agent/sessions/{session_id}": {"mode": "dry-run"},
        "POST /agent/{agent_id}/session/{session_id}/instructions/{instruction_id}/ack": {
            "status": "received"
        },
        "POST /agent/{agent_id}/session/{session_id}/logs": {
            "logs": [
                {
                    "timestamp": "2026-03-01T09:00:00Z",
                    "level": "INFO",
                    "logger_name": "agent",
                    "message": "hello",
                }
            ]
        },
        "POST /instructions": instruction_of(named["{session_id}"]),
        "POST /instructions/{id}/reject": {"reason": "no"},
        "POST /instructions/{id}/cancel": {"reason": "no"},
        "PUT /sessions/{grid_uuid}/hold": {"reason": "published"},
        "POST /messages": {
            "event_type": "gridsquare.model_prediction",
            "gridsquare_uuid": square,
            "prediction_model_name": "squares-net",
            "prediction_value": 0.5,
        },
        "POST /acquisitions": {"uuid": named["{acquisition_uuid}"], "name": "mine"},
        "PUT /acquisitions/{acquisition_uuid}": {"name": "renamed"},
        "POST /acquisitions/{acquisition_uuid}/grids": {
            **new,
            "name": "second",
            "acquisition_uuid": named["{acquisition_uuid}"],
        },
        "PUT /grids/{grid_uuid}": {"status": "scan started"},
        "POST /grids/{grid_uuid}/atlas": {**new, **grid, "name": "another"},
        "PUT /atlases/{atlas_uuid}": {"name": "renamed"},
        "POST /atlases/{atlas_uuid}/tiles": {**new, "atlas_uuid": named["{atlas_uuid}"]},
        "PUT /atlas-tiles/{tile_uuid}": {"position_x": 5},
        "POST /atlas-tiles/{tile_uuid}/gridsquares/{gridsquare_uuid}": place,
        "POST /atlas-tiles/{tile_uuid}/gridsquares": [{"gridsquare_uuid": square, **place}],
        "POST /grids/{grid_uuid}/gridsquares": squares[0],
        "POST /grids/{grid_uuid}/gridsquares/batch": {"gridsquares": squares},
        "PUT /gridsquares/{gridsquare_uuid}": {"state": "Defined"},
        "POST /gridsquares/{gridsquare_uuid}/foilholes": [hole],
        "PUT /foilholes/{foilhole_uuid}": {"quality": 0.25},
        "POST /foilholes/{foilhole_uuid}/micrographs": {
            **new,
            "foilhole_id": str(world.two.a.holes[1][0]),
            "foilhole_uuid": world.hole,
        },
        "PUT /micrographs/{micrograph_uuid}": {"defocus": -1.0},
        "POST /quality_predictions": {
            "value": 0.5,
            "prediction_model_name": "squares-net",
            "gridsquare_uuid": square,
        },
        "POST /micrographs/{micrograph_uuid}/motion_correction/completed": {
            "total_motion": 1.0,
            "average_motion": 0.5,
        },
        "POST /micrographs/{micrograph_uuid}/ctf_estimation/completed": {"ctf_max_res": 3.5},
        "POST /micrographs/{micrograph_uuid}/motion_correction/registered": {"quality": True},
        "POST /micrographs/{micrograph_uuid}/ctf_estimation/registered": {"quality": True},
    }


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


def words_of(world: World, everything_of_a: dict[str, list[Any]]) -> set[str]:
    """Return the uuids of all that is `a`'s."""
    uuid = re.compile(r"UUID\('([0-9a-f-]{36})'\)")
    of_a = {one for rows in everything_of_a.values() for row in rows for one in uuid.findall(row)}
    return of_a | {str(world.grid)}


async def test_nothing_of_another_organisation_is_shown(
    app: FastAPI, world: World, database: Database
) -> None:
    # What is `a`'s: whatever somebody of `b` is not shown of the tables.
    rows = [row for rows in everything(database, but=OWN).values() for row in rows]
    grid, acquisition = str(world.grid), world.named["{acquisition_uuid}"]
    mine = " ".join(row for row in rows if grid in row or acquisition in row)
    words = set(re.findall(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", mine))
    assert len(words) > 10
    empty: list[str] = []
    for method, path in operations(app, lambda method: method == "GET"):
        url = world.url(path)
        seen = await world.b.request(method, url)
        if path == STREAM:
            assert seen.status_code == 404
            continue
        own = await world.a.request(method, url)
        # 403 for what is about the sessions of all, and so for who sees all.
        assert seen.status_code in {200, 403, 404}, (path, seen.text)
        if "{" in path and not EMPTY.search(path):
            assert own.status_code == 200, (path, own.text)
        if seen.status_code == 200:
            shown = [word for word in words if word in seen.text and word not in url]
            assert shown == [], (path, seen.text)
        if own.status_code == 200 and not any(word in own.text for word in words):
            empty.append(path)
    # The others do show something to its owner, so that what they do not show here is proof.
    assert len(empty) < 20, empty


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
