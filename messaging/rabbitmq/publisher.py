"""Publish messages of ours to a topic exchange, and know that the broker has them."""

import asyncio
from collections.abc import Sequence
from typing import Self

from core import metrics
from core.errors import BrokerOutcomeUnknown
from messaging.rabbitmq.confirms import ConfirmingChannel
from messaging.rabbitmq.connection import Connection
from messaging.rabbitmq.port import Outgoing
from messaging.rabbitmq.topology import declare_exchange


class RabbitPublisher:
    """Publishes; connects when there is something to publish, and again after a loss."""

    def __init__(self, url: str, *, exchange: str) -> None:
        """Take where to publish; nothing is opened."""
        self._url = url
        self._exchange = exchange
        self._connection: Connection | None = None
        self._channel: ConfirmingChannel | None = None
        self._one_at_a_time = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Publish all, persistent, then wait for all confirmations.

        A message that no queue is bound for is confirmed too: nobody wants it.

        Raises:
            BrokerOutcomeUnknown: Not all were confirmed; the error says which were.
            BrokerUnavailable: None was sent.
            ConfigurationError: The broker refuses user or vhost.
        """
        async with self._one_at_a_time:
            channel = await self._opened()
            try:
                await channel.publish(messages, exchange=self._exchange)
            except BrokerOutcomeUnknown as error:
                _count(len(error.confirmed), of=len(messages))
                raise
            _count(len(messages), of=len(messages))

    async def _opened(self) -> ConfirmingChannel:
        if self._channel is not None and self._channel.is_open:
            return self._channel
        await self.close()
        self._connection = await Connection.open(self._url, name="publisher")
        if self._exchange:
            await declare_exchange(self._connection, self._exchange, kind="topic")
        self._channel = await ConfirmingChannel.open(self._connection)
        return self._channel

    async def close(self) -> None:
        """Close the connection, if there is one."""
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None and connection.is_open:
            await connection.close()


def _count(confirmed: int, *, of: int) -> None:
    metrics.RABBITMQ_PUBLISHED.labels("confirmed").inc(confirmed)
    metrics.RABBITMQ_PUBLISHED.labels("failed").inc(of - confirmed)
