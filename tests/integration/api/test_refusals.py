"""What is refused, and in which words; nothing of it reaches the database, so one kind will do."""

import gzip
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from api.state import Services
from core.settings import ApiSettings
from models.database import Database
from tests.integration.api.bodies import JSON, prediction, stored


@pytest.fixture
def database(sqlite_url: str) -> Iterator[Database]:
    opened = Database(sqlite_url)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        # Values that a number between 0 and 1 cannot have, as JSON text has them.
        (
            '{"event_type": "foilhole.model_prediction", "prediction_value": 1.5}',
            "prediction_value",
        ),
        (json.dumps(prediction(prediction_value=-0.1)), "prediction_value"),
        (json.dumps(prediction()).replace("0.5", "NaN"), "prediction_value"),
        (json.dumps(prediction()).replace("0.5", "Infinity"), "prediction_value"),
        (json.dumps(prediction()).replace("0.5", "1e999"), "prediction_value"),
        (json.dumps(prediction()).replace("0.5", "9" * 400 + ".5"), "prediction_value"),
        (json.dumps(prediction()).replace("0.5", "9" * 400), "prediction_value"),
        (json.dumps(prediction(prediction_value="high")), "prediction_value"),
        (json.dumps(prediction(prediction_value=True)), "prediction_value"),
        (json.dumps(prediction(prediction_value="0.5")), "prediction_value"),
        # Missing and unknown.
        (json.dumps(prediction(prediction_model_name=None)), "prediction_model_name"),
        (json.dumps(prediction(event_type=None)), "event_type"),
        (json.dumps(prediction(event_type="foilhole.guess")), "event_type"),
        (json.dumps(prediction(grid_uuid="Grid_7")), "grid_uuid"),
        (json.dumps(prediction(grid_uuid=None)), "message"),
        # Not messages at all.
        ("null", "event_type"),
        ('"text"', "event_type"),
        ("[[]]", "event_type"),
        # PostgreSQL stores no NUL character.
        (json.dumps(prediction(prediction_model_name="a\x00b")), "prediction_model_name"),
        (json.dumps(prediction(extra={"deep": ["\x00"]})), "extra.deep.0"),
    ],
)
async def test_what_can_never_be_processed_is_refused_with_its_field(
    client: httpx.AsyncClient, body: str, field: str
) -> None:
    answer = await client.post("/messages", content=body, headers=JSON)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    errors = answer.json()["errors"]
    assert field in {error["field"] for error in errors}
    assert all(error["index"] == 0 and error["reason"] for error in errors)
    assert await stored(client) == []


@pytest.mark.parametrize(
    ("content", "headers", "status", "said"),
    [
        (b"{", JSON, 400, "not JSON"),
        (b"", JSON, 400, "not JSON"),
        (b'"\xff"', JSON, 400, "not JSON"),
        (b"[" * 5000, JSON, 400, "not JSON"),
        (b"9" * 5000, JSON, 400, "not JSON"),
        (b"[]", JSON, 422, "at least one"),
        (b"{}", {"Content-Type": "text/plain"}, 415, "text/plain"),
        (b"{}", {**JSON, "Content-Encoding": "br"}, 415, "br"),
        (b"{}", {**JSON, "Content-Encoding": "gzip"}, 400, "gzip"),
        (
            gzip.compress(b"{}", mtime=0)[:-6],
            {**JSON, "Content-Encoding": "gzip"},
            400,
            "too early",
        ),
        (b"", {**JSON, "Content-Encoding": "gzip"}, 400, "too early"),
    ],
)
async def test_a_body_that_is_no_json_is_refused_in_words(
    client: httpx.AsyncClient, content: bytes, headers: dict[str, str], status: int, said: str
) -> None:
    answer = await client.post("/messages", content=content, headers=headers)
    assert answer.status_code == status, answer.text
    assert said in answer.json()["detail"]
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.fixture
def tight(app: FastAPI) -> httpx.ASGITransport:
    """The API with small limits: 2,000 bytes, 3 messages."""
    services: Services = app.state.services
    limits = ApiSettings(max_body_bytes=2_000, max_batch=3)
    settings = services.settings.model_copy(update={"api": limits})
    app.state.services = replace(services, settings=settings)
    return httpx.ASGITransport(app)


async def chunks_without_end() -> AsyncIterator[bytes]:
    while True:
        yield b" " * 500


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b" " * 2_001, JSON),
        (gzip.compress(b" " * 5_000_000, mtime=0), {**JSON, "Content-Encoding": "gzip"}),
        (json.dumps([{}] * 4).encode(), JSON),
    ],
    ids=["announced", "packed", "too many messages"],
)
async def test_what_is_too_large_is_refused(
    tight: httpx.ASGITransport, content: bytes, headers: dict[str, str]
) -> None:
    async with httpx.AsyncClient(base_url="http://api", transport=tight) as client:
        answer = await client.post("/messages", content=content, headers=headers)
    assert answer.status_code == 413
    assert answer.json()["title"]


async def test_a_body_without_end_is_refused_while_it_comes_in(tight: httpx.ASGITransport) -> None:
    async with httpx.AsyncClient(base_url="http://api", transport=tight) as client:
        answer = await client.post("/messages", content=chunks_without_end(), headers=JSON)
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "WzEsMl0="}, "cursor"),
        ({"cursor": "WyIxYSJd"}, "cursor"),
        ({"cursor": "Wzk5OTk5OTk5OTk5OTk5OTk5OTk5XQ=="}, "cursor"),
        ({"limit": 0}, "limit"),
        ({"limit": 501}, "limit"),
        ({"state": "asleep"}, "state"),
        ({"kind": "a\x00"}, "kind"),
    ],
)
async def test_a_wrong_parameter_is_named(
    client: httpx.AsyncClient, params: dict[str, Any], field: str
) -> None:
    answer = await client.get("/messages", params=params)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("DELETE", "/messages", 405),
        ("GET", "/messages/not-a-uuid", 422),
        ("GET", "/sessions/", 404),
    ],
)
async def test_every_refusal_is_a_problem_document(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await client.request(method, path)
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, problem["status"]) == (status, status)
    assert (problem["type"], problem["instance"]) == ("about:blank", path)
    assert problem["detail"]


async def test_a_method_that_is_not_allowed_names_those_that_are(client: httpx.AsyncClient) -> None:
    assert (await client.delete("/messages")).headers["allow"]
