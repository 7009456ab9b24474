"""Two sessions of two organisations, played to the end; and callers of either."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fastapi import FastAPI

from api.app import create_app
from core.access_settings import AccessSettings
from core.caller import Caller, asking
from domains.cryoem import ids
from messaging.doorbell import LocalDoorbell
from models.database import Database
from models.visibility import owning
from tests.integration.api.played import play
from tests.integration.api.visibility.world import Two, World, caller_of, clients, furnish
from tests.session_fixtures import Here, RecordingLauncher, SmallSession
from tests.session_fixtures import test_settings as short_settings


@contextmanager
def asked_by(*organisations: str) -> Iterator[Caller]:
    caller = caller_of(*organisations)
    with asking(caller):
        yield caller


@pytest.fixture
async def two(here: Here) -> Two:
    made = Two(SmallSession(name="ours"), SmallSession(name="theirs"))
    for organisation, session in (("a", made.a), ("b", made.b)):
        await play(here, session)
        uuids = [session.grid, ids.acquisition_uuid(session.manifest)]
        await here.resources.database.write(owning.give, uuids, organisation)
    return made


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
