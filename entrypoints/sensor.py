"""The RabbitMQ sensor as a service: in `athanor up`, or in a process of its own."""

import asyncio
from asyncio import Task
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

from agent.rabbitmq.sensor import RabbitSensor
from core.settings import RabbitMqSettings
from messaging.rabbitmq.consumer import RabbitConsumer
from messaging.rabbitmq.topology import QueuePlan
from tasks.ringing import Ringable, Ringer
from tasks.sensing import SensorIntake

#: Where RabbitMQ is when no setting says it: on this machine, as it comes.
LOCAL_URL: Final = "amqp://guest:guest@127.0.0.1:5672/%2F"


class SensorService:
    """Takes messages from the queue until it is stopped."""

    name = "RabbitMQ sensor"

    def __init__(self, settings: RabbitMqSettings, where: Callable[[], Ringable]) -> None:
        """Take what to listen to, and who gives database and launcher at the start."""
        self._settings = settings
        self._where = where
        self._sensor: RabbitSensor | None = None
        self._life: Task[None] | None = None

    async def start(self) -> None:
        """Return when it is at work, or tries to be: a broker that is away is waited for."""
        self._life = asyncio.create_task(self._live(), name="sensor")

    async def wait(self) -> None:
        """Return when it has ended; raise if the broker refuses us."""
        if self._life:
            await asyncio.shield(self._life)

    async def stop(self) -> None:
        """Finish and acknowledge what is being stored; the rest goes back."""
        if self._sensor:
            self._sensor.stop()
        if self._life:
            await asyncio.wait({self._life})

    async def _live(self) -> None:
        chosen, where = self._settings, self._where()
        url = chosen.url.get_secret_value() if chosen.url else LOCAL_URL
        source = f"rabbitmq:{chosen.queue}"
        plan = QueuePlan(
            chosen.queue,
            kind=chosen.queue_type,
            exchange=chosen.exchange,
            delivery_limit=chosen.delivery_limit,
        )
        consumer = RabbitConsumer(
            url,
            plan,
            prefetch=chosen.prefetch,
            batch_size=chosen.batch_size,
            batch_seconds=chosen.batch_ms / 1_000,
        )
        ringer = Ringer(where)
        self._sensor = RabbitSensor(
            consumer,
            SensorIntake(where, ringer, source, chosen.max_body_bytes),
            where.database,
            source=source,
            max_body_bytes=chosen.max_body_bytes,
        )
        async with AsyncExitStack() as stack:
            stack.push_async_callback(ringer.close)
            await stack.enter_async_context(consumer)
            await self._sensor.run()
