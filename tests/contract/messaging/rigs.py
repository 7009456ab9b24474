"""The twin in memory and the real RabbitMQ behind one set of handles."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import pika
from tenacity import wait_fixed

from messaging.rabbitmq.consumer import RabbitConsumer
from messaging.rabbitmq.memory import MemoryConsumer, MemoryPublisher
from messaging.rabbitmq.memory_broker import MemoryBroker
from messaging.rabbitmq.port import Consumer, Outgoing, Publisher
from messaging.rabbitmq.publisher import RabbitPublisher
from messaging.rabbitmq.topology import QueuePlan
from tests.rabbitmq_fixtures import Proxy, Rabbit


class Rig(ABC):
    """A broker, and what a test does to it."""

    @abstractmethod
    def name(self, what: str = "queue") -> str: ...

    @abstractmethod
    def exchange_name(self) -> str: ...

    @abstractmethod
    def consumer(
        self, plan: QueuePlan, **options: Any
    ) -> AbstractAsyncContextManager[Consumer]: ...

    @abstractmethod
    def publisher(self, exchange: str) -> Publisher: ...

    @abstractmethod
    async def put(
        self, queue: str, bodies: Sequence[bytes], ids: Sequence[str] | None = None
    ) -> None: ...

    @abstractmethod
    async def exists(self, queue: str) -> bool: ...

    @abstractmethod
    async def size(self, queue: str) -> int: ...

    @abstractmethod
    async def take(self, queue: str) -> list[tuple[str, bytes, dict[str, str]]]: ...

    @abstractmethod
    async def declare_plain(self, queue: str) -> None: ...

    @abstractmethod
    async def bind(self, exchange: str, pattern: str, queue: str) -> None: ...

    @abstractmethod
    async def cut(self, *, down: bool = False) -> None: ...

    @abstractmethod
    async def up(self) -> None: ...

    @abstractmethod
    async def publish_and_break(
        self, publisher: Publisher, messages: Sequence[Outgoing], queue: str
    ) -> None:
        """Publish, and break the connection before all is confirmed."""


class MemoryRig(Rig):
    def __init__(self) -> None:
        self._broker = MemoryBroker()

    def name(self, what: str = "queue") -> str:
        return what

    def exchange_name(self) -> str:
        return "exchange"

    def consumer(self, plan: QueuePlan, **options: Any) -> MemoryConsumer:
        return MemoryConsumer(self._broker, plan, **options)

    def publisher(self, exchange: str) -> MemoryPublisher:
        return MemoryPublisher(self._broker, exchange=exchange)

    async def put(
        self, queue: str, bodies: Sequence[bytes], ids: Sequence[str] | None = None
    ) -> None:
        for body, ident in zip(bodies, ids or [""] * len(bodies), strict=True):
            assert self._broker.put("", Outgoing(ident, queue, body))

    async def exists(self, queue: str) -> bool:
        return queue in self._broker.queues

    async def size(self, queue: str) -> int:
        found = self._broker.queues.get(queue)
        return len(found.ready) if found else 0

    async def take(self, queue: str) -> list[tuple[str, bytes, dict[str, str]]]:
        ready = self._broker.queues[queue].ready
        taken = [(one.message_id or "", one.body, one.headers) for one in ready]
        ready.clear()
        return taken

    async def declare_plain(self, queue: str) -> None:
        self._broker.declare_plain(queue)

    async def bind(self, exchange: str, pattern: str, queue: str) -> None:
        self._broker.declare_plain(queue)
        self._broker.bind(exchange, pattern, queue)

    async def cut(self, *, down: bool = False) -> None:
        self._broker.cut(down=down)

    async def up(self) -> None:
        self._broker.up()

    async def publish_and_break(
        self, publisher: Publisher, messages: Sequence[Outgoing], queue: str
    ) -> None:
        assert isinstance(publisher, MemoryPublisher)
        publisher.break_after = len(messages) // 2
        await publisher.publish(messages)


class RabbitRig(Rig):
    def __init__(self, rabbit: Rabbit, proxy: Proxy) -> None:
        self._rabbit = rabbit
        self._proxy = proxy

    def name(self, what: str = "queue") -> str:
        return self._rabbit.name(what)

    def exchange_name(self) -> str:
        return self._rabbit.exchange_name()

    def consumer(self, plan: QueuePlan, **options: Any) -> RabbitConsumer:
        return RabbitConsumer(self._proxy.url, plan, pauses=wait_fixed(0.05), **options)

    def publisher(self, exchange: str) -> RabbitPublisher:
        return RabbitPublisher(self._proxy.url, exchange=exchange)

    async def put(
        self, queue: str, bodies: Sequence[bytes], ids: Sequence[str] | None = None
    ) -> None:
        properties = [
            pika.BasicProperties(delivery_mode=2, message_id=one)
            for one in (ids or [None] * len(bodies))
        ]
        await asyncio.to_thread(self._rabbit.put, queue, bodies, properties=properties)

    async def exists(self, queue: str) -> bool:
        return await asyncio.to_thread(self._rabbit.exists, queue)

    async def size(self, queue: str) -> int:
        return await asyncio.to_thread(self._rabbit.size, queue)

    async def take(self, queue: str) -> list[tuple[str, bytes, dict[str, str]]]:
        taken = await asyncio.to_thread(self._rabbit.take, queue)
        return [(str(one.message_id), body, dict(one.headers or {})) for one, body in taken]

    async def declare_plain(self, queue: str) -> None:
        await asyncio.to_thread(self._rabbit.declare, queue)

    async def bind(self, exchange: str, pattern: str, queue: str) -> None:
        await asyncio.to_thread(self._rabbit.bind, exchange, pattern, queue)

    async def cut(self, *, down: bool = False) -> None:
        await self._proxy.cut(down=down)

    async def up(self) -> None:
        await self._proxy.up()

    async def publish_and_break(
        self, publisher: Publisher, messages: Sequence[Outgoing], queue: str
    ) -> None:
        # Connected first: only the confirmations shall be missing.
        await publisher.publish(messages[:1])
        self._proxy.hold_answers()
        publishing = asyncio.create_task(publisher.publish(messages))
        while await self.size(queue) < len(messages) // 2:
            assert not publishing.done()
        await self._proxy.cut()
        await publishing
