"""One AMQP connection and its channels on the event loop: pika's callbacks as awaitables."""

import asyncio
import struct
from asyncio import Future
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any, Final, Self

from pika import BasicProperties, URLParameters
from pika import channel as pika_channel
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.exceptions import AMQPError
from pika.frame import Header
from pika.spec import FRAME_END_SIZE, FRAME_HEADER, FRAME_HEADER_SIZE

from core.errors import AthanorError, BrokerUnavailable
from messaging.rabbitmq.failures import parameters_of, translate, translated, where_is

#: Seconds of silence after which either side gives a connection up.
HEARTBEAT: Final = 60
#: Seconds to wait for a connection, or for an answer to anything asked.
PATIENCE: Final = 15.0


class Connection:
    """An open connection: `await Connection.open(url, name="sensor")`."""

    def __init__(
        self, raw: AsyncioConnection, parameters: URLParameters, lost: Future[Any]
    ) -> None:
        """Take an open connection of pika's."""
        self.raw = raw
        self.parameters = parameters
        #: Done, with the reason as its result, when the connection is no more.
        self.lost = lost
        self._bytes_seen = 0
        self._heard_at = monotonic()

    @classmethod
    async def open(cls, url: str, *, name: str) -> Self:
        """Connect.

        Args:
            url: AMQP URL.
            name: Shown in RabbitMQ's own pages.

        Raises:
            ConfigurationError: The URL is wrong, or the broker refuses user or vhost.
            BrokerUnavailable: The broker does not answer.
        """
        parameters = parameters_of(url)
        parameters.heartbeat = HEARTBEAT
        parameters.connection_attempts = 1
        parameters.socket_timeout = PATIENCE
        parameters.stack_timeout = PATIENCE
        parameters.blocked_connection_timeout = 300
        parameters.client_properties = {"connection_name": f"athanor {name}"}
        loop = asyncio.get_running_loop()
        opened: Future[None] = loop.create_future()
        lost: Future[AthanorError] = loop.create_future()

        def failed(_raw: object, error: BaseException) -> None:
            if not opened.done():
                opened.set_exception(translate(error, parameters))

        def closed(_raw: object, error: BaseException) -> None:
            if not lost.done():
                lost.set_result(translate(error, parameters))

        with translated(parameters):
            raw = _Tolerant(
                parameters,
                on_open_callback=lambda _raw: opened.done() or opened.set_result(None),
                on_open_error_callback=failed,
                on_close_callback=closed,
            )
            try:
                await opened
            except asyncio.CancelledError:
                _close(raw)
                raise
        return cls(raw, parameters, lost)

    @property
    def is_open(self) -> bool:
        """Whether it stands, as far as is known."""
        return not self.lost.done()

    def listen(self) -> float:
        """Return for how many seconds nothing was heard; call it now and then."""
        now = monotonic()
        received: int = self.raw.bytes_received  # pyright: ignore[reportAttributeAccessIssue]
        if received != self._bytes_seen:
            self._bytes_seen = received
            self._heard_at = now
        return now - self._heard_at

    async def channel(self) -> "Channel":
        """Open a channel."""
        made = Channel(self)
        await made.call(self._open_channel)
        return made

    def _open_channel(self, *, callback: Callable[[Any], None]) -> None:
        self.raw.channel(on_open_callback=callback)

    async def close(self) -> None:
        """Close it; what was delivered and not acknowledged goes back."""
        _close(self.raw)
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await asyncio.shield(self.lost)


class Channel:
    """A channel: `await channel.call(channel.raw.queue_declare, "name")`."""

    def __init__(self, connection: Connection) -> None:
        """Take the connection; `Connection.channel` opens it."""
        self._connection = connection
        self._raw: pika_channel.Channel | None = None
        self.lost: Future[AthanorError] = asyncio.get_running_loop().create_future()

    @property
    def raw(self) -> pika_channel.Channel:
        """Return the channel of pika's own."""
        assert self._raw is not None  # noqa: S101 (set before anybody sees the channel)
        return self._raw

    @property
    def is_open(self) -> bool:
        """Whether it stands, as far as is known."""
        return not self.lost.done()

    async def call(self, method: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Ask the broker something and return its answer.

        Raises:
            BrokerUnavailable: It refused, with its code, or the connection broke.
        """
        answer: Future[Any] = asyncio.get_running_loop().create_future()

        def answered(value: Any) -> None:
            if isinstance(value, pika_channel.Channel):
                self._raw = value
                value.add_on_close_callback(self._closed)
            if not answer.done():
                answer.set_result(value)

        parameters = self._connection.parameters
        with translated(parameters):
            method(*args, **options, callback=answered)
        ends = {answer, self.lost, self._connection.lost}
        await asyncio.wait(ends, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        for end in (self.lost, self._connection.lost):
            if end.done():
                error = end.result()
                raise (
                    error if isinstance(error, BrokerUnavailable) else BrokerUnavailable(str(error))
                )
        raise BrokerUnavailable(f"RabbitMQ at {where_is(parameters)} gives no answer.")

    def _closed(self, _raw: object, error: BaseException) -> None:
        if not self.lost.done():
            self.lost.set_result(translate(error, self._connection.parameters))

    async def close(self) -> None:
        """Close it, if it is open."""
        if self.is_open and self.raw.is_open:
            with suppress(AMQPError, TimeoutError):
                self.raw.close()
                async with asyncio.timeout(PATIENCE):
                    await asyncio.shield(self.lost)


class _Tolerant(AsyncioConnection):
    """Reads messages whose headers pika cannot: they are delivered without their headers.

    A time beyond the year 9999 in a header, for instance, would otherwise stop the connection
    for ever at the one message.
    """

    def _read_frame(self) -> Any:
        try:
            return super()._read_frame()  # pyright: ignore[reportAttributeAccessIssue]
        except (AMQPError, struct.error, ArithmeticError, ValueError, LookupError, OSError):
            data: bytes = self._frame_buffer  # pyright: ignore[reportAttributeAccessIssue]
            if data[0] != FRAME_HEADER:
                raise
            channel = int.from_bytes(data[1:3], "big")
            size = int.from_bytes(data[3:7], "big")
            # After the frame's own head: class (2 bytes), weight (2), size of the body (8).
            body_size = int.from_bytes(data[FRAME_HEADER_SIZE + 4 : FRAME_HEADER_SIZE + 12], "big")
            end = FRAME_HEADER_SIZE + size + FRAME_END_SIZE
            return end, Header(channel, body_size, BasicProperties())


def as_unavailable(error: AthanorError) -> BrokerUnavailable:
    """Return why a connection that once stood is gone."""
    return error if isinstance(error, BrokerUnavailable) else BrokerUnavailable(str(error))


def _close(raw: AsyncioConnection) -> None:
    if not (raw.is_closing or raw.is_closed):
        with suppress(AMQPError):
            raw.close()
