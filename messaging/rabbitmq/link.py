"""One connection that delivers messages: from its first message to its loss."""

import asyncio
from contextlib import suppress
from time import monotonic
from typing import Any, Final

from pika.exceptions import AMQPError

from core import metrics
from core.errors import BrokerUnavailable
from messaging.rabbitmq.collector import Collector
from messaging.rabbitmq.confirms import ConfirmingChannel
from messaging.rabbitmq.connection import HEARTBEAT, Channel, Connection, as_unavailable
from messaging.rabbitmq.port import Outgoing
from messaging.rabbitmq.topology import QueuePlan, declare_dead

#: Seconds between looks at whether the broker has taken acknowledgements in.
_SETTLE_EVERY: Final = 1.0
#: A connection silent for so long may have been given up by the broker: half of the heartbeat
#: between two signs of life, and some more.
_DOUBTFUL_AFTER: Final = HEARTBEAT * 0.75
#: Our loop did not turn for so long: what happened to the connection is not known.
_ASLEEP_AFTER: Final = 5.0
#: The header that names a message, before AMQP's own property.
_ID_HEADER: Final = "x-message-id"


class Link:
    """A connection with a consumer on it."""

    def __init__(self, connection: Connection, channel: Channel, collector: Collector) -> None:
        """Take an open channel, and who gathers what comes."""
        self.collector = collector
        #: The last message whose acknowledgement the broker has surely taken in.
        self.settled = 0
        self._connection = connection
        self._channel = channel
        self._acknowledged = 0
        self._prefetch = 0
        self._aside: ConfirmingChannel | None = None
        self._cancelled = asyncio.Event()
        self._turned_at = monotonic()
        self._silent_for = 0.0

    @property
    def is_open(self) -> bool:
        """Whether messages can come in, as far as is known."""
        return self._channel.is_open and self._connection.is_open and not self._cancelled.is_set()

    @property
    def is_doubtful(self) -> bool:
        """Whether the broker may have given us up without our knowing."""
        asleep = monotonic() - self._turned_at
        return asleep > _ASLEEP_AFTER or self._silent_for + asleep > _DOUBTFUL_AFTER

    async def consume(self, queue: str, prefetch: int) -> None:
        """Let messages come."""
        self._prefetch = prefetch
        raw = self._channel.raw
        raw.add_on_cancel_callback(lambda _frame: self._cancelled.set())
        metrics.RABBITMQ_PREFETCH.set(prefetch)
        await self._channel.call(raw.basic_consume, queue, self._delivered)

    def _delivered(self, _channel: object, method: Any, properties: Any, body: bytes) -> None:
        ident = properties.message_id
        if properties.headers:
            ident = properties.headers.get(_ID_HEADER) or ident
        if ident is not None and not isinstance(ident, str):
            ident = ident.decode("utf-8", "replace") if isinstance(ident, bytes) else str(ident)
        self.collector.add(method.delivery_tag, body, ident or None, method.redelivered)

    async def watch(self) -> None:
        """Return or raise when no message can come any more; see to what was acknowledged."""
        ends = {self._channel.lost, self._connection.lost}
        cancelled = asyncio.create_task(self._cancelled.wait())
        try:
            while self.is_open:
                self._turned_at = monotonic()
                self._silent_for = self._connection.listen()
                await asyncio.wait(
                    {*ends, cancelled}, timeout=_SETTLE_EVERY, return_when=asyncio.FIRST_COMPLETED
                )
                if self.is_open and self._acknowledged > self.settled:
                    await self.settle()
        finally:
            cancelled.cancel()
        for end in ends:
            if end.done():
                raise as_unavailable(end.result())
        raise BrokerUnavailable("The queue was deleted, or its leader is gone.")

    def acknowledge(self, tag: int) -> None:
        """Tell the broker that everything up to a message is done."""
        if tag > self._acknowledged:
            with suppress(AMQPError):  # lost this moment: it will be delivered again
                self._channel.raw.basic_ack(tag, multiple=True)
                metrics.RABBITMQ_ACKNOWLEDGED.inc(tag - self._acknowledged)
                self._acknowledged = tag
                self.count()

    def count(self) -> None:
        """Tell how many messages are held without acknowledgement."""
        metrics.RABBITMQ_UNACKNOWLEDGED.set(self.collector.last_tag - self._acknowledged)

    async def settle(self) -> None:
        """Ask something that the broker answers only after what was acknowledged before."""
        upto = self._acknowledged
        await self._channel.call(self._channel.raw.basic_qos, prefetch_count=self._prefetch)
        self.settled = max(self.settled, upto)

    async def set_aside(self, plan: QueuePlan, message: Outgoing) -> None:
        """Put a message on the dead-letter queue."""
        if self._aside is None or not self._aside.is_open:
            await declare_dead(self._connection, plan)
            self._aside = await ConfirmingChannel.open(self._connection)
        await self._aside.publish([message], exchange="", mandatory=True)
