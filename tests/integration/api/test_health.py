"""Whether it lives, also when its database does not; and errors as problem documents."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.app import create_app
from core.logging import JsonFormatter
from core.version import version
from messaging.doorbell import LocalDoorbell
from models.database import Database
from tests.session_fixtures import SmallSession
from tests.session_fixtures import test_settings as short_settings

PREDICTION = {
    "event_type": "foilhole.model_prediction",
    "grid_uuid": "0b6f9c2e-6a0e-5d0c-9d55-0d2f2b6a7c11",
    "foilhole_id": 7,
    "prediction_model_name": "m",
    "prediction_value": 0.5,
}


@asynccontextmanager
async def serving(database: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(short_settings(), database=database, doorbell=LocalDoorbell(), launcher=None)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(base_url="http://api", transport=transport) as client:
        yield client


@pytest.fixture(params=["postgresql gone", "sqlite not openable", "no tables"])
def broken(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    (tmp_path / "folder").mkdir()
    return Database(
        {
            "postgresql gone": "postgresql://postgres@127.0.0.1:1/athanor",
            "sqlite not openable": f"sqlite:///{tmp_path / 'folder'}",
            "no tables": f"sqlite:///{tmp_path / 'empty.db'}",
        }[request.param]
    )


async def test_it_is_healthy(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "database": "ok"})


async def test_without_its_database_it_says_so_and_when_to_come_back(broken: Database) -> None:
    async with serving(broken) as client:
        for method, path, body in (
            ("GET", "/status", None),
            ("GET", "/messages", None),
            ("POST", "/messages", PREDICTION),
        ):
            answer = await client.request(method, path, json=body)
            assert answer.status_code == 503, (path, answer.text)
            assert answer.headers["retry-after"] == "5"
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["detail"].startswith("Database ")
    broken.close()


async def test_health_is_503_when_the_database_does_not_answer() -> None:
    database = Database("postgresql://postgres@127.0.0.1:1/athanor")
    async with serving(database) as client:
        assert (await client.get("/health")).status_code == 503
    database.close()


async def test_an_error_of_ours_is_a_problem_without_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.handler.setFormatter(JsonFormatter())
    async with serving(object()) as client:
        answer = await client.get("/messages", headers={"X-Request-ID": "asked-once"})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "attribute" not in answer.text
    # It is dressed as every answer is, and the log has all of it under its id.
    assert answer.headers["X-Request-ID"] == "asked-once"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    lines = [json.loads(line) for line in caplog.text.splitlines() if line.startswith("{")]
    (line,) = [one for one in lines if one.get("action") == "request_failed"]
    assert line["request_id"] == "asked-once"
    assert "AttributeError" in line["exception"]


async def test_the_status_of_an_empty_database(client: httpx.AsyncClient) -> None:
    status = (await client.get("/status")).json()
    assert status["version"] == version()
    assert status["inbox"] == {
        "by_state": {},
        "oldest_pending_at": None,
        "oldest_pending_seconds": None,
    }
    assert status["latest_decision"] is None
    assert status["latency"] == {"decisions": 0, "p50_seconds": None, "p95_seconds": None}


async def test_the_status_of_a_session_under_way(
    client: httpx.AsyncClient, played: SmallSession
) -> None:
    await client.post("/messages", json=PREDICTION)
    status = (await client.get("/status")).json()
    assert status["inbox"]["by_state"] == {"done": 12, "pending": 1}
    assert status["inbox"]["oldest_pending_seconds"] >= 0
    assert status["outbox"]["by_state"] == {"done": 4}
    assert status["sessions"] == {"total": 1, "running": 1}
    assert status["latest_decision"]["grid_uuid"] == str(played.grid)
    assert status["latency"]["decisions"] == 4
    assert 0 <= status["latency"]["p50_seconds"] <= status["latency"]["p95_seconds"]


async def test_the_page_names_each_operation_and_links_prefect(client: httpx.AsyncClient) -> None:
    page = (await client.get("/")).text
    for text in ("POST /messages", "GET /decisions/{id}", "http://127.0.0.1:4200", 'href="docs"'):
        assert text in page


async def test_version_names_the_api_that_clients_compare_with_theirs(
    client: httpx.AsyncClient,
) -> None:
    told = (await client.get("/version")).json()
    assert told == {"service": "athanor", "version": "0.1.1", "athanor": version()}
