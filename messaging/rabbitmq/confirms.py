"""Publishing with confirmations that come in while more is sent: one round trip for many."""

import asyncio
from asyncio import Future
from collections.abc import Sequence
from typing import Any, Final

from pika import BasicProperties, spec
from pika.exceptions import AMQPError

from core.errors import BrokerOutcomeUnknown
from messaging.rabbitmq.connection import Channel, Connection
from messaging.rabbitmq.port import Outgoing

#: Seconds to wait for the last confirmation.
_PATIENCE: Final = 30.0
_PERSISTENT: Final = 2


class ConfirmingChannel:
    """A channel in confirm mode; one `publish` at a time."""

    def __init__(self, channel: Channel) -> None:
        """Take a channel that `open` has put in confirm mode."""
        self._channel = channel
        self._sent = 0
        self._pending: dict[int, str] = {}
        self._refused: set[str] = set()
        self._all_known: Future[None] | None = None

    @classmethod
    async def open(cls, connection: Connection) -> "ConfirmingChannel":
        """Open a channel and turn confirmations on."""
        channel = await connection.channel()
        made = cls(channel)
        channel.raw.add_on_return_callback(made._returned)
        await channel.call(channel.raw.confirm_delivery, made._confirmed)
        return made

    @property
    def is_open(self) -> bool:
        """Whether it stands, as far as is known."""
        return self._channel.is_open

    async def publish(
        self, messages: Sequence[Outgoing], *, exchange: str, mandatory: bool = False
    ) -> None:
        """Send all, then wait for all confirmations.

        Args:
            messages: What to send, persistent.
            exchange: Where to; empty means to the queue that the routing key names.
            mandatory: Whether a message that no queue takes counts as not confirmed.

        Raises:
            BrokerOutcomeUnknown: Not all were confirmed; the error says which were.
        """
        self._pending.clear()
        self._refused.clear()
        known: Future[None] = asyncio.get_running_loop().create_future()
        self._all_known = known
        unsent: Sequence[Outgoing] = ()
        for index, message in enumerate(messages):
            try:
                self._send(message, exchange, mandatory)
            except AMQPError:
                unsent = messages[index:]
                break
        if self._pending and not unsent:
            ends = {known, self._channel.lost}
            await asyncio.wait(ends, timeout=_PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        lacking = {*self._pending.values(), *self._refused, *(message.id for message in unsent)}
        confirmed = [message.id for message in messages if message.id not in lacking]
        self._all_known = None
        if len(confirmed) < len(messages):
            raise BrokerOutcomeUnknown(
                f"RabbitMQ confirmed {len(confirmed)} of {len(messages)} messages.",
                confirmed=confirmed,
            )

    def _send(self, message: Outgoing, exchange: str, mandatory: bool) -> None:
        properties = BasicProperties(
            content_type="application/json",
            delivery_mode=_PERSISTENT,
            message_id=message.id,
            headers={"x-message-id": message.id, **message.headers},
        )
        self._channel.raw.basic_publish(
            exchange, message.routing_key, message.body, properties, mandatory
        )
        # The broker counts what is published on a channel from one on.
        self._sent += 1
        self._pending[self._sent] = message.id

    def _confirmed(self, frame: Any) -> None:
        answer = frame.method
        upto: int = answer.delivery_tag
        tags = [tag for tag in self._pending if tag <= upto] if answer.multiple else [upto]
        for tag in tags:
            ident = self._pending.pop(tag, None)
            if ident is not None and isinstance(answer, spec.Basic.Nack):
                self._refused.add(ident)
        if not self._pending and self._all_known and not self._all_known.done():
            self._all_known.set_result(None)

    def _returned(
        self, _channel: object, _method: object, properties: BasicProperties, _body: bytes
    ) -> None:
        self._refused.add(str(properties.message_id))
