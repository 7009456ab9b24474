"""RabbitMQ for tests: the real one, under names of this test's own, and a proxy to break it.

It comes from `ATHANOR_TEST_AMQP_URL`, else from 127.0.0.1:5672.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pika
import pytest
from pika.exceptions import AMQPError, ChannelClosedByBroker

_LOCAL = "amqp://guest:guest@127.0.0.1:5672/%2F"
_HOW_TO_GET_IT = (
    "needs RabbitMQ: set ATHANOR_TEST_AMQP_URL, or start a server on 127.0.0.1:5672 (user guest)"
)


@pytest.fixture(scope="session")
def amqp_url() -> str:
    """The URL of a vhost in which the user may make queues."""
    url = os.environ.get("ATHANOR_TEST_AMQP_URL", _LOCAL)
    try:
        pika.BlockingConnection(pika.URLParameters(url)).close()
    except (AMQPError, OSError):
        if os.environ.get("CI") == "true":
            pytest.fail(_HOW_TO_GET_IT)
        pytest.skip(_HOW_TO_GET_IT)
    return url


class Rabbit:
    """The broker as an administrator sees it; forgets at the end what this test made."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.prefix = f"athanor_test_{secrets.token_hex(6)}"
        self._connection = self._connected()
        self._queues: set[str] = set()
        self._exchanges: set[str] = set()

    def _connected(self) -> pika.BlockingConnection:
        parameters = pika.URLParameters(self.url)
        # Nobody answers heartbeats between two calls, which may be minutes apart.
        parameters.heartbeat = 0
        return pika.BlockingConnection(parameters)

    def name(self, what: str = "queue") -> str:
        """Return a name of a queue that is deleted with its dead letters."""
        name = f"{self.prefix}_{what}"
        self._queues |= {name, f"{name}.dead"}
        return name

    def exchange_name(self, what: str = "exchange") -> str:
        name = f"{self.prefix}_{what}"
        self._exchanges.add(name)
        return name

    def declare(self, name: str, **arguments: Any) -> None:
        self._with_channel(
            lambda channel: channel.queue_declare(name, durable=True, arguments=arguments)
        )

    def bind(self, exchange: str, pattern: str, queue: str) -> None:
        def bind(channel: Any) -> None:
            channel.exchange_declare(exchange, "topic", durable=True)
            channel.queue_declare(queue, durable=True)
            channel.queue_bind(queue, exchange, pattern)

        self._with_channel(bind)

    def put(
        self,
        queue: str,
        bodies: Sequence[bytes],
        *,
        exchange: str = "",
        properties: Sequence[pika.BasicProperties] | None = None,
    ) -> None:
        def publish(channel: Any) -> None:
            # Each message confirmed: what is on its way to a quorum queue when the channel ends
            # may be lost, and on a busy machine it is.
            channel.confirm_delivery()
            given = properties or [pika.BasicProperties(delivery_mode=2)] * len(bodies)
            for body, one in zip(bodies, given, strict=True):
                channel.basic_publish(exchange, queue, body, one)

        self._with_channel(publish)

    def exists(self, queue: str) -> bool:
        with suppress(ChannelClosedByBroker):
            self._with_channel(lambda channel: channel.queue_declare(queue, passive=True))
            return True
        return False

    def size(self, queue: str) -> int:
        """How many messages wait in a queue; 0 when there is none."""
        with suppress(ChannelClosedByBroker):
            found = self._with_channel(lambda c: c.queue_declare(queue, passive=True))
            return found.method.message_count
        return 0

    def take(self, queue: str) -> list[tuple[pika.BasicProperties, bytes]]:
        """Take everything that waits in a queue."""

        def take(channel: Any) -> list[tuple[pika.BasicProperties, bytes]]:
            taken = []
            while (got := channel.basic_get(queue, auto_ack=True))[0] is not None:
                taken.append((got[1], got[2]))
            return taken

        with suppress(ChannelClosedByBroker):
            return self._with_channel(take)
        return []

    def delete(self, queue: str) -> None:
        self._with_channel(lambda channel: channel.queue_delete(queue))

    def _with_channel(self, work: Any) -> Any:
        if self._connection.is_closed:
            self._connection = self._connected()
        channel = self._connection.channel()
        try:
            return work(channel)
        finally:
            if channel.is_open:
                channel.close()

    def close(self) -> None:
        for queue in self._queues:
            self.delete(queue)
        for exchange in self._exchanges:
            self._with_channel(lambda channel, name=exchange: channel.exchange_delete(name))
        self._connection.close()


@pytest.fixture
def rabbit(amqp_url: str) -> Iterator[Rabbit]:
    """The real broker, with names of this test's own."""
    made = Rabbit(amqp_url)
    yield made
    made.close()


class Proxy:
    """A TCP proxy before a server, to break connections and to hold back what goes through."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._port = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._default_port = 5432 if self._parts.scheme.startswith("postgres") else 5672
        self._answers = asyncio.Event()
        self._answers.set()
        self._requests = asyncio.Event()
        self._requests.set()

    @property
    def url(self) -> str:
        """The server's URL through the proxy."""
        user, at, _ = self._parts.netloc.rpartition("@")
        return urlunsplit(self._parts._replace(netloc=f"{user}{at}127.0.0.1:{self._port}"))

    async def up(self) -> None:
        """Take connections."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
            self._port = self._server.sockets[0].getsockname()[1]

    async def cut(self, *, down: bool = False) -> None:
        """Break all connections; `down` refuses new ones until `up`."""
        if down and self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._writers:
            writer.transport.abort()
        if self._tasks:
            await asyncio.wait(set(self._tasks))
        self._answers.set()
        self._requests.set()

    def hold_answers(self) -> None:
        """Let nothing through from the server until the connections are cut."""
        self._answers.clear()

    def hold_requests(self) -> None:
        """Let nothing through to the server until the connections are cut."""
        self._requests.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there = await asyncio.open_connection(
            self._parts.hostname, self._parts.port or self._default_port
        )
        self._writers |= {writer, there}
        tasks = {
            asyncio.create_task(self._copy(reader, there, self._requests)),
            asyncio.create_task(self._copy(there_reader, writer, self._answers)),
        }
        self._tasks |= tasks
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for one in (writer, there):
            one.transport.abort()
            self._writers.discard(one)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        self._tasks -= tasks

    async def _copy(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, gate: asyncio.Event
    ) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                await gate.wait()
                sink.write(data)
                await sink.drain()


@pytest.fixture
async def proxy(amqp_url: str) -> AsyncIterator[Proxy]:
    """A way to the broker that a test may break."""
    made = Proxy(amqp_url)
    await made.up()
    yield made
    await made.cut(down=True)
