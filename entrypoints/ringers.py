"""What it takes to store messages and ring, in a process that executes no runs itself."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from core.settings import Settings
from entrypoints.environment import prepare_prefect

if TYPE_CHECKING:
    from messaging.doorbell import Doorbell
    from messaging.launcher import Launcher
    from models.database import Database

#: How long Prefect's server may take to say that it lives, in seconds.
_PATIENCE = 3.0


@dataclass(frozen=True)
class Ringer:
    """Open collaborators of `tasks.intake`."""

    database: "Database"
    doorbell: "Doorbell"
    #: None where Prefect's server is not reachable: the sweep launches what was stored.
    launcher: "Launcher | None"


@asynccontextmanager
async def opened_ringer(
    settings: Settings, database: "Database", *, patient: bool = False
) -> AsyncIterator[Ringer]:
    """Give a ringer on the database; runs are launched if Prefect's server answers now.

    With `patient`, also if it answers only later: for what runs for long.
    """
    prepare_prefect(settings)
    # Prefect reads the environment when it is first imported: not before it is prepared.
    from blocks.resources import opened_doorbell  # noqa: PLC0415
    from messaging.launcher import Launcher  # noqa: PLC0415

    async with AsyncExitStack() as stack:
        doorbell = await stack.enter_async_context(opened_doorbell(database))
        launcher = None
        if patient or await prefect_answers():
            launcher = await stack.enter_async_context(Launcher())
        yield Ringer(database, doorbell, launcher)


async def prefect_answers() -> bool:
    """Return whether the server at PREFECT_API_URL answers."""
    url = os.environ.get("PREFECT_API_URL", "").rstrip("/")
    async with httpx.AsyncClient(timeout=_PATIENCE) as client:
        try:
            answer = await client.get(f"{url}/health")
        except (httpx.TransportError, httpx.InvalidURL, httpx.UnsupportedProtocol):
            return False
    return answer.is_success
