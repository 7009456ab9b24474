"""Messages of ours leave the outbox: at least once, under an id that stays."""

import json
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr
from sqlalchemy import select
from sqlmodel import Session, col

from blocks.resources import provide
from core.errors import BrokerOutcomeUnknown, BrokerUnavailable, ConfigurationError
from messaging.doorbell import LocalDoorbell
from messaging.rabbitmq.memory import MemoryPublisher
from messaging.rabbitmq.memory_broker import MemoryBroker
from models.base import DeliveryState
from models.cryoem.emitted import PUBLISH, Emitted, emit, emit_all
from models.database import Database
from models.outbox import OutboxMessage
from tasks.cryoem.publishing import drain_messages
from tasks.cryoem.sweeping import sweep_all
from tests.session_fixtures import QuietResources, RecordingLauncher, SmallSession
from tests.session_fixtures import test_settings as settings_of_tests

GRID = SmallSession().grid
FIELDS = {"micrograph_uuid": str(GRID), "quality": True, "metric_name": "ctfmaxresolution"}


class Publishing:
    """A run's resources with a broker in memory."""

    def __init__(self, database: Database) -> None:
        self.broker = MemoryBroker()
        self.broker.bind("athanor", "#", "all")
        self.broker.declare_plain("all")
        self.publisher = MemoryPublisher(self.broker, exchange="athanor")
        settings = settings_of_tests()
        rabbitmq = settings.rabbitmq.model_copy(update={"url": SecretStr("amqp://in-memory")})
        self.resources = QuietResources(
            settings.model_copy(update={"rabbitmq": rabbitmq}),
            database,
            LocalDoorbell(),
            RecordingLauncher(),
            None,
            self.publisher,
        )

    async def emit(self, count: int) -> list[tuple[str, str]]:
        def put(session: Session) -> list[tuple[str, str]]:
            told = [
                Emitted("ctf.registered", FIELDS, str(GRID), cause=str(n)) for n in range(count)
            ]
            return emit_all(session, told, publish=self.resources.settings.rabbitmq.publishes)

        return await self.resources.database.write(put)

    @property
    def published(self) -> list[tuple[str, dict]]:
        ready = self.broker.queues["all"].ready
        return [(one.headers["x-message-id"], json.loads(one.body)) for one in ready]

    def rows(self) -> list[OutboxMessage]:
        with self.resources.database.reading() as session:
            return list(session.scalars(select(OutboxMessage).order_by(col(OutboxMessage.seq))))


@pytest.fixture
async def publishing(database: Database) -> AsyncIterator[Publishing]:
    made = Publishing(database)
    with provide(made.resources):
        yield made


async def test_what_is_emitted_is_published_flat_under_its_id(publishing: Publishing):
    assert await publishing.emit(3) == [(PUBLISH, str(GRID))]
    drained = await drain_messages.fn(GRID)
    assert (drained.messages, drained.batches) == (3, 1)
    assert drained.notes == {"ctf.registered": 3}
    ids = [str(row.id) for row in publishing.rows()]
    assert publishing.published == [
        (ident, {"event_type": "ctf.registered", **FIELDS}) for ident in ids
    ]
    assert {row.state for row in publishing.rows()} == {DeliveryState.DONE}
    assert all(row.sent_at for row in publishing.rows())


async def test_the_same_told_of_the_same_cause_is_one_message(publishing: Publishing):
    await publishing.emit(2)
    await publishing.emit(3)
    await drain_messages.fn(GRID)
    await publishing.emit(3)
    drained = await drain_messages.fn(GRID)
    assert drained.messages == 0
    assert len(publishing.published) == 3


async def test_nothing_is_emitted_where_nothing_is_published(database: Database):
    def put(session: Session) -> list[tuple[str, str]]:
        return emit(session, "ctf.registered", FIELDS, str(GRID), publish=False)

    assert await database.write(put) == []
    with database.reading() as session:
        assert session.scalars(select(OutboxMessage)).all() == []


async def test_what_is_in_doubt_is_published_again_under_the_same_id(publishing: Publishing):
    await publishing.emit(10)
    publishing.publisher.break_after = 4
    with pytest.raises(BrokerOutcomeUnknown):
        await drain_messages.fn(GRID)
    states = [(row.state, row.attempts) for row in publishing.rows()]
    assert states == [(DeliveryState.DONE, 1)] * 4 + [(DeliveryState.PENDING, 1)] * 6
    drained = await drain_messages.fn(GRID)
    assert drained.messages == 6
    assert [ident for ident, _ in publishing.published] == [
        str(row.id) for row in publishing.rows()
    ]


async def test_while_the_broker_is_away_messages_stay_in_the_outbox(publishing: Publishing):
    await publishing.emit(2)
    publishing.broker.cut(down=True)
    with pytest.raises(BrokerUnavailable):
        await drain_messages.fn(GRID)
    assert [(row.state, row.attempts) for row in publishing.rows()] == [
        (DeliveryState.PENDING, 0)
    ] * 2
    # The sweep launches another run, whatever Athena knows of the grid.
    swept = await sweep_all.fn()
    assert (PUBLISH, str(GRID)) in swept.bells
    publishing.broker.up()
    assert (await drain_messages.fn(GRID)).messages == 2


async def test_a_worker_without_a_broker_says_so_and_keeps_the_messages(database: Database):
    made = Publishing(database)
    await made.emit(1)
    settings = settings_of_tests()
    bare = QuietResources(settings, database, LocalDoorbell(), RecordingLauncher(), None)
    with provide(bare):
        with pytest.raises(ConfigurationError, match="ATHANOR_RABBITMQ__URL"):
            await drain_messages.fn(GRID)
        # No run is launched here that could only fail.
        assert (PUBLISH, str(GRID)) not in (await sweep_all.fn()).bells
    assert [row.state for row in made.rows()] == [DeliveryState.PENDING]
