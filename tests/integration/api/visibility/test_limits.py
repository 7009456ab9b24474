"""How much is taken, what every answer has, and what the log says of what was refused."""

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from api.app import create_app
from api.limits import Buckets
from core.access_settings import AccessSettings
from core.limit_settings import LimitSettings
from core.logging import PlainFormatter
from messaging.doorbell import LocalDoorbell
from models.database import Database
from tests.session_fixtures import RecordingLauncher
from tests.session_fixtures import test_settings as short_settings


@pytest.fixture
def database(sqlite_url: str) -> Iterator[Database]:
    opened = Database(sqlite_url)
    yield opened
    opened.close()


def an_app(database: Database, home: Path, mode: str = "open", **limits: object) -> FastAPI:
    settings = short_settings(
        home=home,
        access=AccessSettings.model_validate({"mode": mode}),
        limits=LimitSettings.model_validate(limits),
    )
    settings = settings.model_copy(
        update={"api": settings.api.model_copy(update={"max_body_bytes": 4_096})}
    )
    return create_app(
        settings, database=database, doorbell=LocalDoorbell(), launcher=RecordingLauncher()
    )


def a_client(app: FastAPI, base_url: str = "http://api") -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=base_url, transport=httpx.ASGITransport(app))


def test_tokens_come_back_with_time() -> None:
    now = [0.0]
    buckets = Buckets(2.0, 3.0, clock=lambda: now[0])

    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("b") == 0
    now[0] = 0.5
    assert [buckets.take("a"), buckets.take("a")] == [0, 0.5]
    now[0] = 100.0
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]


async def test_who_asks_too_often_is_told_when_to_come_again(
    database: Database, tmp_path: Path
) -> None:
    app = an_app(database, tmp_path, requests_per_second=0.5, requests_burst=2)
    async with a_client(app) as client:
        answers = [await client.get("/prediction_models") for _ in range(3)]

    assert [one.status_code for one in answers] == [200, 200, 429]
    assert answers[2].headers["Retry-After"] == "2"
    assert answers[2].headers["content-type"] == "application/problem+json"
    assert answers[2].json()["instance"] == "/prediction_models"


async def test_tokens_are_asked_for_slowly_and_refusals_end_in_silence(
    database: Database, tmp_path: Path
) -> None:
    guessing = an_app(database, tmp_path, "required", login_per_minute=2)
    async with a_client(guessing) as client:
        form = {"username": "anna", "password": "wrong"}
        statuses = [(await client.post("/auth/token", data=form)).status_code for _ in range(4)]
    assert statuses[:2] == [401, 401]
    assert statuses[2:] == [429, 429]
    hammering = an_app(database, tmp_path, "required", refusals_per_minute=3)
    async with a_client(hammering) as client:
        refused = [(await client.get("/grids")).status_code for _ in range(4)]
        public = await client.get("/health")
    assert refused == [401, 401, 401, 429]
    assert public.status_code == 429


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b'{"name": "' + b"x" * 512


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/messages"),
        ("POST", "/acquisitions"),
        ("PUT", "/grids/6d1f3c52-8e8a-5c0b-9a3e-7f0f7b9a4d11"),
        ("POST", "/prediction_models"),
        ("POST", "/instructions"),
    ],
)
async def test_a_body_that_is_too_large_is_refused_announced_or_not(
    database: Database, tmp_path: Path, method: str, path: str
) -> None:
    async with a_client(an_app(database, tmp_path)) as client:
        json = {"Content-Type": "application/json"}
        announced = await client.request(method, path, content=b"x" * 5_000, headers=json)
        chunked = await client.request(method, path, content=endless(), headers=json)
        bomb = await client.request(
            method,
            path,
            content=gzip.compress(b" " * 3_000_000, mtime=0),
            headers={**json, "Content-Encoding": "gzip"},
        )
    assert (announced.status_code, chunked.status_code) == (413, 413), chunked.text
    # Where nothing is unpacked, it is no JSON.
    assert bomb.status_code == (413 if path == "/messages" else 400), bomb.text
    assert chunked.headers["content-type"] == "application/problem+json"


async def test_uploads_about_access_and_logs_have_limits_of_their_own(
    database: Database, tmp_path: Path
) -> None:
    app = an_app(database, tmp_path, small_body_bytes=1_024, log_body_bytes=2_048)
    async with a_client(app) as client:
        form = await client.post("/auth/token", data={"username": "x" * 1_100})
        logs = "/agent/a/session/s/logs"
        small = await client.post(logs, content=b" " * 2_000)
        large = await client.post(logs, content=b" " * 2_100)
    assert (form.status_code, large.status_code) == (413, 413)
    assert small.status_code == 422


async def test_a_body_that_does_not_come_is_not_waited_for(
    database: Database, tmp_path: Path
) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"["
        await asyncio.Event().wait()

    async with a_client(an_app(database, tmp_path, body_seconds=0.05)) as client:
        for path in ("/messages", "/acquisitions"):
            json = {"Content-Type": "application/json"}
            answer = await client.post(path, content=slow(), headers=json)
            assert answer.status_code == 408, answer.text
            assert "slowly" in answer.json()["detail"]


async def test_every_answer_has_an_id_and_what_browsers_are_to_know(
    database: Database, tmp_path: Path
) -> None:
    app = an_app(database, tmp_path)
    async with a_client(app) as client:
        plain = await client.get("/prediction_models", headers={"X-Request-ID": "run-7.1"})
        insane = await client.get("/nowhere", headers={"X-Request-ID": "a b\tc"})
        docs, page = await client.get("/docs"), await client.get("/")
    async with a_client(app, "https://api") as client:
        secure = await client.get("/prediction_models")

    assert plain.headers["X-Request-ID"] == "run-7.1"
    assert len(insane.headers["X-Request-ID"]) == 16
    assert insane.headers["X-Request-ID"] != "a b\tc"
    for answer in (plain, insane, docs, page, secure):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert ("Strict-Transport-Security" in answer.headers) == (answer is secure)
    assert "script-src" not in plain.headers["Content-Security-Policy"]
    assert "script-src" not in page.headers["Content-Security-Policy"]
    # The documentation's page brings its scripts from here, and starts them with one of its own.
    assert "script-src 'self' 'unsafe-inline'" in docs.headers["Content-Security-Policy"]


async def test_pages_of_other_sites_are_let_in_by_name_only(
    database: Database, tmp_path: Path
) -> None:
    asked = {"Origin": "https://eln.example", "Access-Control-Request-Method": "GET"}
    async with a_client(an_app(database, tmp_path)) as client:
        closed = await client.options("/grids", headers=asked)
        seen = await client.get("/grids", headers=asked)
    app = an_app(database, tmp_path, cors_origins=("https://eln.example",))
    async with a_client(app) as client:
        opened = await client.options("/grids", headers=asked)
        others = await client.options("/grids", headers={**asked, "Origin": "https://evil.example"})

    allowed = "Access-Control-Allow-Origin"
    assert all(allowed not in one.headers for one in (closed, seen, others))
    assert opened.headers[allowed] == "https://eln.example"


async def test_what_is_refused_stands_in_the_log_in_one_line(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="api.headers")
    caplog.handler.setFormatter(PlainFormatter("%(levelname)s %(message)s"))
    async with a_client(an_app(database, tmp_path)) as client:
        answer = await client.get("/grids/%0aERROR%20all%20is%20lost%1b%5b31m")

    assert answer.status_code == 422
    (line,) = [one for one in caplog.text.splitlines() if "answered" in one]
    assert "\\nERROR all is lost\\x1b[31m from" in line
    assert caplog.records[-1].__dict__["status"] == 422


def test_a_line_of_the_log_stays_one_whatever_is_said() -> None:
    record = logging.makeLogRecord(
        {"msg": "session %s ended", "args": ("x\nERROR fake\x1b[31m\u2028",), "levelname": "INFO"}
    )
    formatted = PlainFormatter("%(levelname)s %(message)s").format(record)
    assert formatted == "INFO session x\\nERROR fake\\x1b[31m\\u2028 ended"


@pytest.mark.parametrize("wrong", ["*", "eln.example", "https://a/b"])
def test_an_origin_that_is_none_is_refused_at_the_start(wrong: str) -> None:
    with pytest.raises(ValueError, match="origin"):
        LimitSettings(cors_origins=(wrong,))
