"""The twin of RabbitMQ in memory: its consumer and publisher.

It obeys the contract tests that RabbitMQ obeys, and lives on one event loop.
"""

import asyncio
from collections.abc import Sequence
from typing import Self

from core.errors import BrokerOutcomeUnknown, BrokerUnavailable, ConfigurationError
from messaging.rabbitmq.collector import Collector
from messaging.rabbitmq.memory_broker import MemoryBroker, MemoryLink
from messaging.rabbitmq.port import Batch, Outgoing
from messaging.rabbitmq.topology import QueuePlan


class MemoryConsumer:
    """Takes messages from one queue of a twin."""

    def __init__(
        self,
        broker: MemoryBroker,
        plan: QueuePlan,
        *,
        prefetch: int = 3_000,
        batch_size: int = 1_000,
        batch_seconds: float = 0.05,
    ) -> None:
        """Take what to consume."""
        self._broker = broker
        self._plan = plan
        self._prefetch = prefetch
        self._batch_size = batch_size
        self._batch_seconds = batch_seconds
        self._link: MemoryLink | None = None
        self._generation = 0
        self._linked = asyncio.Event()
        self._refused: ConfigurationError | None = None

    async def __aenter__(self) -> Self:
        try:
            self._broker.join(self)
        except ConfigurationError as error:
            self._refused = error
        return self

    async def __aexit__(self, *error: object) -> None:
        self._broker.leave(self)

    def connect(self) -> None:
        """Take messages over a new connection."""
        self._broker.declare(self._plan)
        self._generation += 1
        collector = Collector(
            self._generation, batch_size=self._batch_size, batch_seconds=self._batch_seconds
        )
        self._link = MemoryLink(collector, self._prefetch)
        self._broker.attach(self._plan.name, self._link)
        self._linked.set()

    def lose(self) -> None:
        """Lose the connection."""
        link, self._link = self._link, None
        if link is not None:
            self._broker.detach(self._plan.name, link)
            link.collector.news.set()

    async def next_batch(self) -> Batch:
        """Wait for messages, as the port says."""
        while True:
            if self._refused:
                raise self._refused
            link = self._link
            due = link.collector.ready_in() if link else None
            if link and due == 0:
                return link.collector.take()
            news = link.collector.news if link else self._linked
            news.clear()
            waiting = asyncio.create_task(news.wait())
            try:
                await asyncio.wait({waiting}, timeout=due)
            finally:
                waiting.cancel()

    def acknowledge(self, batch: Batch) -> None:
        """Tell the broker that this batch and all earlier ones are done."""
        if self._link is not None and self.is_current(batch):
            self._broker.acknowledge(self._plan.name, self._link, batch.last_tag)

    async def set_aside(self, batch: Batch, index: int, reason: str) -> None:
        """Copy one message to the dead-letter queue."""
        if not self.is_current(batch):
            raise BrokerUnavailable("The connection that delivered the message is gone.")
        self._broker.declare_plain(self._plan.dead_name)
        ident = batch.message_ids[index] or f"{self._plan.name} {batch.first_tag + index}"
        message = Outgoing(ident, self._plan.dead_name, batch.bodies[index], {"x-reason": reason})
        self._broker.put("", message)

    def is_current(self, batch: Batch) -> bool:
        """Return whether the connection that delivered a batch still stands."""
        return self._link is not None and self._link.collector.generation == batch.generation

    def holds(self, batch: Batch) -> bool:
        """Return whether the broker surely gives the batch to nobody else."""
        return self.is_current(batch)

    def is_settled(self, batch: Batch) -> bool:
        """Return whether the broker has surely taken the acknowledgement in."""
        link = self._link
        return self.is_current(batch) and link is not None and link.settled >= batch.last_tag

    async def settle(self) -> None:
        """Do nothing: the twin takes acknowledgements in at once."""


class MemoryPublisher:
    """Publishes to an exchange of a twin."""

    def __init__(self, broker: MemoryBroker, *, exchange: str) -> None:
        """Take where to publish."""
        self._broker = broker
        self._exchange = exchange
        #: Break the connection after so many messages of the next `publish`; None for not at all.
        self.break_after: int | None = None

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Publish all, as the port says."""
        if self._broker.is_down:
            raise BrokerUnavailable
        until, self.break_after = self.break_after, None
        for message in messages[:until]:
            self._broker.put(self._exchange, message)
        if until is not None and until < len(messages):
            raise BrokerOutcomeUnknown(
                f"{until} of {len(messages)} messages were confirmed.",
                confirmed=[message.id for message in messages[:until]],
            )
