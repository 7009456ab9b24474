"""A queue of the twin in memory, and an intake on either database."""

from dataclasses import dataclass

import pytest

from messaging.doorbell import LocalDoorbell
from messaging.rabbitmq.memory import MemoryConsumer
from messaging.rabbitmq.memory_broker import MemoryBroker
from messaging.rabbitmq.port import Outgoing
from messaging.rabbitmq.topology import QueuePlan
from models.database import Database
from tests.integration.sensor.rigging import Intake, intake_of
from tests.session_fixtures import RecordingLauncher


class Queue:
    """One queue of a broker in memory."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.plan = QueuePlan("queue")
        self.broker.declare(self.plan)

    def put(self, *bodies: bytes, ids: bool = False) -> None:
        for number, body in enumerate(bodies):
            self.broker.put("", Outgoing(f"id-{number}" if ids else "", "queue", body))

    def consumer(self, **options: float) -> MemoryConsumer:
        return MemoryConsumer(self.broker, self.plan, **{"batch_seconds": 0.01, **options})

    @property
    def waiting(self) -> int:
        return len(self.broker.queues["queue"].ready)

    @property
    def unacknowledged(self) -> int:
        return sum(len(link.unacknowledged) for link in self.broker.queues["queue"].links)

    @property
    def dead(self) -> list[bytes]:
        return [one.body for one in self.broker.queues["queue.dead"].ready]


@pytest.fixture
async def queue() -> Queue:
    """A queue that exists."""
    return Queue()


@dataclass(frozen=True)
class Where:
    """What storing and ringing needs."""

    database: Database
    doorbell: LocalDoorbell
    launcher: RecordingLauncher


@pytest.fixture
def where(database: Database) -> Where:
    """Either database, and a launcher that takes note."""
    return Where(database, LocalDoorbell(), RecordingLauncher())


@pytest.fixture
def intake(where: Where) -> Intake:
    """What stores messages, on either database."""
    return intake_of(where)
