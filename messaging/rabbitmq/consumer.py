"""Take messages from a queue in batches, for ever: what breaks is connected again."""

import asyncio
import logging
from contextlib import suppress
from typing import Final, Self

from tenacity import wait_random_exponential
from tenacity.wait import wait_base

from core import metrics
from core.errors import BrokerUnavailable, ConfigurationError
from messaging.rabbitmq.collector import Collector
from messaging.rabbitmq.connection import Connection
from messaging.rabbitmq.link import Link
from messaging.rabbitmq.port import Batch, Outgoing
from messaging.rabbitmq.topology import QueuePlan, declare

logger = logging.getLogger(__name__)

#: Seconds between two attempts to connect, at most.
_LONGEST_PAUSE: Final = 30.0


class RabbitConsumer:
    """Messages of one queue: `async with RabbitConsumer(url, plan) as consumer`."""

    def __init__(
        self,
        url: str,
        plan: QueuePlan,
        *,
        prefetch: int = 3_000,
        batch_size: int = 1_000,
        batch_seconds: float = 0.05,
        pauses: wait_base | None = None,
    ) -> None:
        """Take where and what to consume; nothing is opened.

        Args:
            url: AMQP URL.
            plan: The queue.
            prefetch: Most messages held without acknowledgement.
            batch_size: Most messages in a batch.
            batch_seconds: How long a message waits for others.
            pauses: How long to wait before each attempt to connect again.
        """
        self._url = url
        self._plan = plan
        self._prefetch = prefetch
        self._batch_size = batch_size
        self._batch_seconds = batch_seconds
        self._pauses = pauses or wait_random_exponential(multiplier=0.5, max=_LONGEST_PAUSE)
        self._life: asyncio.Task[None] | None = None
        self._link: Link | None = None
        self._generation = 0
        #: Set when a connection is there; the loop between losses waits for it.
        self._linked = asyncio.Event()

    @property
    def is_connected(self) -> bool:
        """Whether messages can come in now."""
        return self._link is not None and self._link.is_open

    async def __aenter__(self) -> Self:
        metrics.RABBITMQ_CONNECTED.set(0)
        self._life = asyncio.create_task(self._live(), name=f"consumer of {self._plan.name}")
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._life is not None:
            self._life.cancel()
            await asyncio.wait({self._life})

    async def next_batch(self) -> Batch:
        """Wait for messages: as many as a batch holds, or what has waited long enough.

        Raises:
            ConfigurationError: The broker refused us at the first attempt.
        """
        assert self._life is not None, "used before `async with`"  # noqa: S101 (our own mistake)
        while True:
            if self._life.done():
                # Raises what ended it.
                self._life.result()
            link = self._link
            due = link.collector.ready_in() if link and link.is_open else None
            if link and due == 0:
                batch = link.collector.take()
                metrics.RABBITMQ_DELIVERED.inc(len(batch))
                metrics.RABBITMQ_REDELIVERED.inc(sum(batch.redelivered))
                link.count()
                return batch
            news = link.collector.news if link and link.is_open else self._linked
            news.clear()
            await self._until(news, due)

    async def _until(self, news: asyncio.Event, seconds: float | None) -> None:
        """Wait for news, for the end of our life, or for so long."""
        assert self._life is not None  # noqa: S101 (checked by the caller)
        told = asyncio.create_task(news.wait())
        try:
            await asyncio.wait(
                {told, self._life}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            told.cancel()

    def acknowledge(self, batch: Batch) -> None:
        """Tell the broker that this batch and all earlier ones are done."""
        if self.is_current(batch):
            assert self._link is not None  # noqa: S101 (it is current)
            self._link.acknowledge(batch.last_tag)

    async def set_aside(self, batch: Batch, index: int, reason: str) -> None:
        """Copy one message to the dead-letter queue; acknowledge its batch afterwards.

        Raises:
            BrokerUnavailable: Nobody knows whether it is there.
        """
        link = self._link
        if link is None or not self.is_current(batch):
            raise BrokerUnavailable("The connection that delivered the message is gone.")
        await link.set_aside(
            self._plan,
            Outgoing(
                id=batch.message_ids[index] or f"{self._plan.name} {batch.first_tag + index}",
                routing_key=self._plan.dead_name,
                body=batch.bodies[index],
                headers={"x-reason": reason[:1_000]},
            ),
        )

    def is_current(self, batch: Batch) -> bool:
        """Return whether the connection that delivered a batch still stands."""
        link = self._link
        return link is not None and link.collector.generation == batch.generation and link.is_open

    def holds(self, batch: Batch) -> bool:
        """Return whether the broker surely gives the batch to nobody else; from any thread."""
        link = self._link
        return self.is_current(batch) and link is not None and not link.is_doubtful

    def is_settled(self, batch: Batch) -> bool:
        """Return whether the broker has surely taken the acknowledgement in."""
        link = self._link
        return self.is_current(batch) and link is not None and link.settled >= batch.last_tag

    async def settle(self) -> None:
        """Wait until the broker has taken in all acknowledgements; give up with the connection."""
        if self._link is not None and self._link.is_open:
            with suppress(BrokerUnavailable):
                await self._link.settle()

    async def _live(self) -> None:
        """Connect, serve until the connection is lost, and again."""
        failures = _Failures()
        while True:
            reason = "The connection is gone."
            try:
                await self._serve(failures)
            except ConfigurationError as error:
                if not self._generation:
                    raise
                # It worked before: somebody is changing something over there.
                reason = str(error)
            except BrokerUnavailable as error:
                reason = str(error)
            if not failures.was_connected:
                metrics.RABBITMQ_CONNECTS.labels("failed").inc()
            failures.was_connected = False
            failures.attempt_number += 1
            pause = self._pauses(failures)  # pyright: ignore[reportArgumentType] (reads this one)
            logger.warning(
                "No messages from queue %s: %s Trying again in %.1f s",
                self._plan.name,
                reason,
                pause,
                extra={"action": "broker_lost", "queue": self._plan.name},
            )
            await asyncio.sleep(pause)

    async def _serve(self, failures: "_Failures") -> None:
        connection = await Connection.open(self._url, name=f"sensor of {self._plan.name}")
        try:
            await declare(connection, self._plan)
            channel = await connection.channel()
            await channel.call(channel.raw.basic_qos, prefetch_count=self._prefetch)
            self._generation += 1
            collector = Collector(
                self._generation, batch_size=self._batch_size, batch_seconds=self._batch_seconds
            )
            self._link = link = Link(connection, channel, collector)
            await link.consume(self._plan.name, self._prefetch)
            failures.attempt_number = 0
            failures.was_connected = True
            metrics.RABBITMQ_CONNECTS.labels("connected").inc()
            metrics.RABBITMQ_CONNECTED.set(1)
            logger.info(
                "Taking messages from queue %s",
                self._plan.name,
                extra={"action": "consuming", "queue": self._plan.name},
            )
            self._linked.set()
            await link.watch()
        finally:
            link, self._link = self._link, None
            metrics.RABBITMQ_CONNECTED.set(0)
            metrics.RABBITMQ_UNACKNOWLEDGED.set(0)
            if link is not None:
                # Whoever waits for its messages waits for the next connection now.
                link.collector.news.set()
            await connection.close()


class _Failures:
    """What tenacity's waits read: how often in a row it failed."""

    attempt_number = 0
    was_connected = False
