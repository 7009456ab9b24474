"""Surroundings of the tests of tasks."""

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from blocks.resources import opened_doorbell
from models.database import Database
from tests.integration.tasks.message_rig import Rig
from tests.session_fixtures import QuietResources, RecordingLauncher, test_settings


@pytest.fixture
async def rig(database: Database) -> AsyncIterator[Rig]:
    """A place that takes messages in and works on them, on each kind of database."""
    async with opened_doorbell(database) as doorbell:
        resources = QuietResources(
            test_settings(), database, doorbell, RecordingLauncher(), cast(Any, None)
        )
        yield Rig(resources)
