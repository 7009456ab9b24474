"""Put the agent's receiving side together from settings."""

import platform
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import SecretStr, ValidationError

from agent.epu.agent import Agent
from agent.instructions.athena import AthenaDriver
from agent.instructions.channel import Channel
from agent.instructions.driver import Driver, DryRunDriver
from agent.instructions.information import Adjustable, Information, Ways
from agent.instructions.journal import Journal
from agent.instructions.performer import Performer
from agent.instructions.receiver import Receiver
from core.errors import ConfigurationError
from core.settings import AgentSettings, Settings


def chosen(settings: Settings, instructions: str | None) -> Settings:
    """Return the settings with what an option says of instructions.

    Raises:
        ConfigurationError: It says what we do not know.
    """
    if instructions is None:
        return settings
    try:
        agent = AgentSettings.model_validate(
            {**settings.agent.model_dump(), "instructions": instructions}
        )
    except ValidationError as error:
        raise ConfigurationError(
            f"--instructions {instructions}: choose off, dry-run or athena"
        ) from error
    return settings.model_copy(update={"agent": agent})


@asynccontextmanager
async def receiving(
    running: Agent, settings: Settings, *, api_url: str, journal_path: Path
) -> AsyncIterator[None]:
    """Let an agent receive instructions while the context lasts, where that is switched on.

    Raises:
        StorageUnavailable: The journal cannot be used.
    """
    if settings.agent.instructions == "off":
        yield
        return
    name = settings.agent.name or platform.node()
    channel = Channel(api_url, name, token=_open(settings.agent.api_key))
    driver = driver_of(settings)
    ways = Ways(Adjustable())
    information = Information(running.described, ways)
    performer = Performer(driver, information, limit_seconds=settings.agent.instruction_seconds)
    with Journal.open(journal_path) as journal:
        running.receive(Receiver(channel, journal, driver, performer, ways, grids=running.grids))
        try:
            yield
        finally:
            await driver.aclose()
            await channel.aclose()


def driver_of(settings: Settings) -> Driver:
    """Return the driver that the settings name."""
    if settings.agent.instructions == "athena":
        athena = settings.athena
        return AthenaDriver(
            athena.url,
            token=_open(athena.token),
            verify=athena.verify_tls,
            # Less than an instruction may take, so that the reason is told.
            wait_seconds=settings.agent.instruction_seconds / 2,
        )
    return DryRunDriver()


def _open(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
