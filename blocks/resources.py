"""What a run needs and must not open for itself: one database pool, one Athena client.

The process that executes runs provides it once; tasks ask for `current()`.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from blocks.athena.block import AthenaDecisionService
from blocks.athena.client import AthenaClient
from blocks.rabbitmq.late import LatePublisher
from core.errors import ConfigurationError
from core.pacing import Pace
from core.settings import Settings
from domains.cryoem.policy import Policy
from messaging.doorbell import Doorbell, LocalDoorbell, PostgresDoorbell, SqliteDoorbell
from messaging.launcher import Launcher, emit
from messaging.rabbitmq.port import Outgoing, Publisher
from models.database import Database


@dataclass(frozen=True)
class Resources:
    """Open connections, shared by all runs of a process."""

    settings: Settings
    database: Database
    doorbell: Doorbell
    launcher: Launcher | None
    athena: AthenaClient
    #: None where no messages of ours are published.
    publisher: Publisher | None = None
    #: How much of the process's time decisions take while predictions pile up.
    decision_pace: Pace = field(default_factory=lambda: Pace(0.2))

    @property
    def policy(self) -> Policy:
        """How predictions become decisions, as configured."""
        chosen = self.settings.decisions
        return Policy(chosen.threshold, chosen.plugin_type, chosen.decided_by)

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Publish messages to the facility's broker, and wait until it has them.

        Raises:
            BrokerUnavailable: Not all are there; BrokerOutcomeUnknown says which are.
            ConfigurationError: There is no broker to publish to.
        """
        if self.publisher is None:
            raise ConfigurationError(
                "Messages are to be published, but ATHANOR_RABBITMQ__URL is not set here."
            )
        await self.publisher.publish(messages)

    def emit(self, event: str, resource_id: str, payload: dict[str, str]) -> None:
        """Tell Prefect's automations; a doorbell only, it may get lost."""
        emit(event, resource_id, payload)


_CURRENT: ContextVar[Resources] = ContextVar("athanor_resources")


@contextmanager
def provide(resources: Resources) -> Iterator[Resources]:
    """Make resources the current ones, for everything started within."""
    token = _CURRENT.set(resources)
    try:
        yield resources
    finally:
        _CURRENT.reset(token)


def current() -> Resources:
    """Return the resources of this process.

    Raises:
        ConfigurationError: The run was started outside a worker of ours.
    """
    try:
        return _CURRENT.get()
    except LookupError as error:
        raise ConfigurationError(
            "This flow needs Athanor's warm worker. Start one with `athanor worker`, "
            "and run the deployment instead of the function."
        ) from error


@asynccontextmanager
async def opened_doorbell(database: Database) -> AsyncIterator[Doorbell]:
    """Give the doorbell that fits the database."""
    if not database.is_sqlite:
        conninfo = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
        async with PostgresDoorbell(conninfo).opened() as bell:
            yield bell
    elif database.url.database and database.url.database != ":memory:":
        async with SqliteDoorbell(Path(database.url.database)).opened() as bell:
            yield bell
    else:
        yield LocalDoorbell()


@asynccontextmanager
async def opened(
    settings: Settings, *, database: Database, launcher: Launcher | None
) -> AsyncIterator[Resources]:
    """Open everything that runs need; Athena as the block named in the settings says."""
    async with AsyncExitStack() as stack:
        block = await AthenaDecisionService.aload(settings.athena.block)
        athena = await stack.enter_async_context(block.get_client())
        doorbell = await stack.enter_async_context(opened_doorbell(database))
        publisher = None
        if settings.rabbitmq.publishes:
            publisher = await stack.enter_async_context(LatePublisher(settings.rabbitmq.block))
        yield Resources(settings, database, doorbell, launcher, athena, publisher)
