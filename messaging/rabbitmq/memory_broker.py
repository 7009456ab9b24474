"""The broker of the twin in memory: queues, bindings, redelivery, dead letters."""

import re
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

from core.errors import ConfigurationError
from messaging.rabbitmq.collector import Collector
from messaging.rabbitmq.port import Outgoing
from messaging.rabbitmq.topology import QueuePlan


@dataclass
class _Stored:
    """A message on a queue."""

    body: bytes
    message_id: str | None
    headers: dict[str, str]
    deliveries: int = 0


@dataclass
class _Queue:
    """Messages that wait, and who takes them."""

    ready: deque[_Stored] = field(default_factory=deque)
    #: Where a message goes that was delivered too often; None keeps it.
    dead_name: str | None = None
    delivery_limit: int | None = None
    links: list["MemoryLink"] = field(default_factory=list)


@dataclass
class MemoryLink:
    """One connection of a consumer's."""

    collector: Collector
    prefetch: int
    unacknowledged: dict[int, _Stored] = field(default_factory=dict)
    delivered: int = 0
    settled: int = 0


class Connecting(Protocol):
    """Whoever has connections to the broker."""

    def connect(self) -> None:
        """Make one."""
        ...

    def lose(self) -> None:
        """Lose it."""
        ...


class MemoryBroker:
    """Queues and bindings; nothing outlives the process."""

    def __init__(self) -> None:
        """Start without queues."""
        self.queues: dict[str, _Queue] = {}
        self.is_down = False
        self._bindings: set[tuple[str, str, str]] = set()
        self._consumers: list[Connecting] = []

    def declare(self, plan: QueuePlan) -> None:
        """Make the queue unless it is there.

        Raises:
            ConfigurationError: It is not there and shall not be made.
        """
        if plan.name in self.queues:
            return
        if plan.kind == "existing":
            raise ConfigurationError(f"There is no queue {plan.name!r}.")
        self.queues.setdefault(plan.dead_name, _Queue())
        self.queues[plan.name] = _Queue(
            dead_name=plan.dead_name, delivery_limit=plan.delivery_limit
        )

    def declare_plain(self, name: str) -> None:
        """Make a queue without dead letters, as somebody else would."""
        self.queues.setdefault(name, _Queue())

    def bind(self, exchange: str, pattern: str, queue: str) -> None:
        """Have a topic exchange copy to a queue what a pattern (`a.*`, `a.#`) fits."""
        self._bindings.add((exchange, pattern, queue))

    def put(self, exchange: str, message: Outgoing) -> bool:
        """Route a message; return whether a queue took it."""
        names = [message.routing_key] if not exchange else self._routes(exchange, message)
        queues = [self.queues[name] for name in names if name in self.queues]
        for queue in queues:
            headers = {"x-message-id": message.id, **message.headers}
            queue.ready.append(_Stored(message.body, message.id or None, headers))
            self._deliver(queue)
        return bool(queues)

    def _routes(self, exchange: str, message: Outgoing) -> list[str]:
        return sorted(
            queue
            for name, pattern, queue in self._bindings
            if name == exchange and _fits(pattern, message.routing_key)
        )

    def cut(self, *, down: bool = False) -> None:
        """Break all connections; `down` lets none be made until `up`."""
        self.is_down = down
        for consumer in self._consumers:
            consumer.lose()
        if not down:
            self.up()

    def up(self) -> None:
        """Let connections be made; consumers make theirs at once."""
        self.is_down = False
        for consumer in self._consumers:
            consumer.connect()

    def join(self, consumer: Connecting) -> None:
        """Keep a consumer connected from now on."""
        self._consumers.append(consumer)
        if not self.is_down:
            consumer.connect()

    def leave(self, consumer: Connecting) -> None:
        """Forget a consumer."""
        consumer.lose()
        self._consumers.remove(consumer)

    def attach(self, name: str, link: MemoryLink) -> None:
        """Let a connection have messages."""
        self.queues[name].links.append(link)
        self._deliver(self.queues[name])

    def detach(self, name: str, link: MemoryLink) -> None:
        """Take back what a connection has not acknowledged."""
        queue = self.queues[name]
        queue.links.remove(link)
        for message in reversed(link.unacknowledged.values()):
            limit = queue.delivery_limit
            if limit is not None and queue.dead_name and message.deliveries > limit:
                self.queues[queue.dead_name].ready.append(message)
            else:
                queue.ready.appendleft(message)
        link.unacknowledged.clear()
        self._deliver(queue)

    def acknowledge(self, name: str, link: MemoryLink, upto: int) -> None:
        """Forget messages that are done."""
        for tag in [tag for tag in link.unacknowledged if tag <= upto]:
            del link.unacknowledged[tag]
        link.settled = max(link.settled, upto)
        self._deliver(self.queues[name])

    @staticmethod
    def _deliver(queue: _Queue) -> None:
        """Hand out what waits, in turn, to whoever may hold more."""
        while queue.ready:
            free = [one for one in queue.links if len(one.unacknowledged) < one.prefetch]
            if not free:
                return
            link = min(free, key=lambda one: len(one.unacknowledged))
            message = queue.ready.popleft()
            link.delivered += 1
            link.unacknowledged[link.delivered] = message
            link.collector.add(
                link.delivered, message.body, message.message_id, message.deliveries > 0
            )
            message.deliveries += 1


def _fits(pattern: str, routing_key: str) -> bool:
    """Return whether a topic pattern fits: `*` is one word, `#` any number of words."""
    parts = [{"*": r"[^.]+", "#": r".*"}.get(part, re.escape(part)) for part in pattern.split(".")]
    expression = r"\.".join(parts).replace(r"\..*", r"(\..*)?").replace(r".*\.", r"(.*\.)?")
    return re.fullmatch(expression, routing_key) is not None
