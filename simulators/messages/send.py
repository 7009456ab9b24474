"""Messages on their way to Athanor, as a facility's producers send them."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Protocol

import httpx

from core.errors import AthanorError
from core.settings import RabbitMqSettings
from messaging.rabbitmq.confirms import ConfirmingChannel
from messaging.rabbitmq.connection import Connection
from messaging.rabbitmq.port import Outgoing
from messaging.rabbitmq.topology import QueuePlan, declare
from models.cryoem.messages import Message

#: Most messages confirmed, or posted, together.
_BATCH = 500
#: With a rate, how often a second something is sent.
_TICKS = 20
_TIMEOUT_S = 30.0
SOURCE = "simulated-messages"


class SendFailed(AthanorError):
    """Athanor's API did not take the messages."""


class Sender(Protocol):
    """Where messages go."""

    async def send(self, messages: Sequence[Message]) -> None:
        """Send messages, and return when they are safe there."""
        ...


def body_of(message: Message) -> dict[str, object]:
    """Return a message as producers write it: flat, and without what it does not say."""
    return message.model_dump(mode="json", exclude_none=True)


class _ToRabbit:
    def __init__(self, channel: ConfirmingChannel, queue: str) -> None:
        self._channel = channel
        self._queue = queue

    async def send(self, messages: Sequence[Message]) -> None:
        """Publish, persistent and confirmed, to the queue; one that no queue takes is an error."""
        outgoing = [
            Outgoing(str(message.message_id), self._queue, json.dumps(body_of(message)).encode())
            for message in messages
        ]
        await self._channel.publish(outgoing, exchange="", mandatory=True)


@asynccontextmanager
async def rabbit_sender(settings: RabbitMqSettings, url: str) -> AsyncIterator[Sender]:
    """Give a sender to the queue that the sensor takes from, which is made if it is not there.

    Raises:
        BrokerUnavailable: RabbitMQ does not answer.
        ConfigurationError: It refuses us, or the queue is not there and shall not be made.
    """
    connection = await Connection.open(url, name="simulator")
    try:
        plan = QueuePlan(
            settings.queue, settings.queue_type, settings.exchange, settings.delivery_limit
        )
        await declare(connection, plan)
        yield _ToRabbit(await ConfirmingChannel.open(connection), settings.queue)
    finally:
        await connection.close()


class _ToApi:
    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def send(self, messages: Sequence[Message]) -> None:
        """Post in one request; the API answers once they are stored."""
        bodies = [body_of(message) for message in messages]
        try:
            answer = await self._http.post("/messages", params={"source": SOURCE}, json=bodies)
        except httpx.HTTPError as error:
            raise SendFailed(f"Athanor's API does not answer: {error!r}.") from error
        if answer.status_code != httpx.codes.ACCEPTED:
            raise SendFailed(f"Athanor's API answered {answer.status_code}: {answer.text[:500]}")


@asynccontextmanager
async def api_sender(
    url: str, *, key: str | None = None, transport: httpx.AsyncBaseTransport | None = None
) -> AsyncIterator[Sender]:
    """Give a sender to Athanor's API, which may ask for a key."""
    headers = {"Authorization": f"Bearer {key}"} if key else None
    async with httpx.AsyncClient(
        base_url=url, headers=headers, timeout=_TIMEOUT_S, transport=transport
    ) as http:
        yield _ToApi(http)


async def send_all(
    messages: Iterable[Message],
    sender: Sender,
    *,
    rate: float | None = None,
    progress: Callable[[int], None] = lambda _sent: None,
) -> int:
    """Send messages in batches, so many a second if a rate is given; return how many."""
    sent = 0
    started = time.monotonic()
    size = _BATCH if rate is None else max(1, min(_BATCH, int(rate / _TICKS)))
    for some in _batches(iter(messages), size):
        if rate is not None:
            await asyncio.sleep(max(0.0, sent / rate - (time.monotonic() - started)))
        await sender.send(some)
        sent += len(some)
        progress(sent)
    return sent


def _batches(messages: Iterator[Message], size: int) -> Iterator[list[Message]]:
    while some := list(islice(messages, size)):
        yield some
