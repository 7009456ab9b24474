"""The API on a test's own database, reached without a network; Athena simulated."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from api.app import create_app
from blocks.resources import opened_doorbell
from models.database import Database
from tests.integration.api.played import play
from tests.session_fixtures import Here, RecordingLauncher, SmallSession
from tests.session_fixtures import test_settings as short_settings

_REPORT = pytest.StashKey[list[str]]()


@pytest.fixture
def report(pytestconfig: pytest.Config) -> list[str]:
    """Takes lines that are shown when all tests have ended."""
    return pytestconfig.stash.setdefault(_REPORT, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what tests reported."""
    for line in terminalreporter.config.stash.get(_REPORT, []):
        terminalreporter.write_line(line)


@pytest.fixture
def launcher() -> RecordingLauncher:
    """Takes note of the runs that the API asks for."""
    return RecordingLauncher()


@pytest.fixture
async def app(database: Database, launcher: RecordingLauncher) -> AsyncIterator[FastAPI]:
    async with opened_doorbell(database) as doorbell:
        made = create_app(short_settings(), database=database, doorbell=doorbell, launcher=launcher)
        yield made
        await made.state.services.writer.close()


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(base_url="http://api", transport=transport) as opened:
        yield opened


@pytest.fixture
async def played(here: Here) -> SmallSession:
    """A session of 2 squares with 3 holes each, from files to decisions that Athena has."""
    return await play(here, SmallSession())
