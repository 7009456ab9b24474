"""A sensor on a twin of the broker, and on either database."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlmodel import Session, col
from tenacity import wait_fixed

from agent.rabbitmq.sensor import RabbitSensor
from messaging.rabbitmq.port import Consumer
from models.base import DeliveryState
from models.database import Database
from models.deliveries import Delivery
from models.inbox import InboxMessage
from tasks.intake import Accepted
from tasks.ringing import Ringable, Ringer
from tasks.sensing import SensorIntake
from tests.support import PATIENCE, wait_until

SOURCE = "rabbitmq:test"
MAX_BODY = 5_000
GRID = UUID("11111111-2222-4333-8444-555555555555")


def prediction(hole: int, value: float = 0.5) -> bytes:
    """A valid message without an id."""
    return (
        f'{{"event_type": "foilhole.model_prediction", "grid_uuid": "{GRID}", '
        f'"foilhole_id": {hole}, "prediction_model_name": "m", "prediction_value": {value}}}'
    ).encode()


class Intake(SensorIntake):
    """The real one, with a place to break before and after it."""

    before: Callable[[Sequence[bytes]], Any] = staticmethod(lambda bodies: None)
    after: Callable[[Sequence[bytes]], Any] = staticmethod(lambda bodies: None)

    async def accept(self, bodies: Sequence[bytes], **options: Any) -> Accepted:
        waiting = self.before(bodies)
        if waiting is not None:
            await waiting
        taken = await super().accept(bodies, **options)
        self.after(bodies)
        return taken

    def on(self, **hooks: Callable[[Sequence[bytes]], Any]) -> None:
        for name, hook in hooks.items():
            object.__setattr__(self, name, hook)


def intake_of(where: Ringable) -> Intake:
    return Intake(where, Ringer(where), SOURCE, MAX_BODY)


def sensor_of(consumer: Consumer, intake: SensorIntake, database: Database) -> RabbitSensor:
    return RabbitSensor(
        consumer, intake, database, source=SOURCE, max_body_bytes=MAX_BODY, pauses=wait_fixed(0.02)
    )


@asynccontextmanager
async def sensing(
    consumer: Consumer, intake: SensorIntake, database: Database
) -> AsyncIterator[RabbitSensor]:
    """Run a sensor; it is stopped cleanly at the end."""
    sensor = sensor_of(consumer, intake, database)
    running = asyncio.create_task(sensor.run())
    try:
        yield sensor
    finally:
        sensor.stop()
        await asyncio.wait_for(running, PATIENCE)


async def killed(consumer: Consumer, intake: SensorIntake, database: Database) -> RabbitSensor:
    """Run a sensor until its task dies, as if the process were killed there."""
    sensor = sensor_of(consumer, intake, database)
    running = asyncio.create_task(sensor.run())
    try:
        await asyncio.wait_for(running, PATIENCE)
    except asyncio.CancelledError:
        return sensor
    raise AssertionError("the sensor was not killed")


def rows(database: Database) -> list[InboxMessage]:
    def read(session: Session) -> list[InboxMessage]:
        return list(session.scalars(select(InboxMessage).order_by(col(InboxMessage.seq))))

    with database.reading() as session:
        return read(session)


def holes(database: Database) -> list[int]:
    """The holes that stored, living messages are about."""
    return [row.payload["foilhole_id"] for row in rows(database) if row.state != DeliveryState.DEAD]


def dead(database: Database) -> list[tuple[dict[str, Any], str]]:
    return [
        (row.payload, row.error or "") for row in rows(database) if row.state == DeliveryState.DEAD
    ]


def remembered(database: Database) -> list[Delivery]:
    with database.reading() as session:
        return list(session.scalars(select(Delivery)))


async def until_stored(database: Database, count: int) -> None:
    async def stored() -> bool:
        return len(await asyncio.to_thread(rows, database)) >= count

    await wait_until(stored, what=f"{count} stored messages")


def some_id() -> str:
    return str(uuid4())
