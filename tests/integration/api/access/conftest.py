"""An API that asks everybody who they are."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI

from api.app import create_app
from core.access_settings import AccessSettings
from messaging.doorbell import LocalDoorbell
from models.access import secrets
from models.database import Database
from tests.session_fixtures import RecordingLauncher
from tests.session_fixtures import test_settings as short_settings


@pytest.fixture(autouse=True)
def _quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash with little memory: what is tried here is not how long guessing takes."""
    monkeypatch.setattr(secrets, "_HASHER", PasswordHasher(time_cost=1, memory_cost=64))


@pytest.fixture
def access_settings() -> AccessSettings:
    # What one process remembers of another's doings is told in the documents, not here.
    return AccessSettings(mode="required", remember_seconds=0)


@pytest.fixture
def app(
    database: Database,
    launcher: RecordingLauncher,
    access_settings: AccessSettings,
    tmp_path: Path,
) -> FastAPI:
    settings = short_settings(home=tmp_path, access=access_settings)
    return create_app(settings, database=database, doorbell=LocalDoorbell(), launcher=launcher)


@pytest.fixture
def sqlite_database(sqlite_url: str) -> Iterator[Database]:
    """For what is the same on all databases."""
    opened = Database(sqlite_url)
    yield opened
    opened.close()
