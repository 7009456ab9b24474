"""Gathers messages as they come in, and cuts batches off by number or by time."""

import asyncio
from collections import deque

from messaging.rabbitmq.port import Batch


class Collector:
    """Messages that were delivered over one connection and not yet taken."""

    def __init__(self, generation: int, *, batch_size: int, batch_seconds: float) -> None:
        """Take how many messages a batch has at most, and how long one waits for others."""
        self.generation = generation
        #: Set when a batch may be ready: look with `ready_in`, then wait again.
        self.news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._size = batch_size
        self._seconds = batch_seconds
        self._first_tag = 0
        self._bodies: list[bytes] = []
        self._message_ids: list[str | None] = []
        self._redelivered: list[bool] = []
        #: When the first message of each batch to come arrived.
        self._begun: deque[float] = deque()

    def add(self, tag: int, body: bytes, message_id: str | None, redelivered: bool) -> None:
        """Add a message; tags count up without a gap."""
        number = len(self._bodies)
        if number % self._size == 0:
            if number == 0:
                self._first_tag = tag
            self._begun.append(self._loop.time())
            self.news.set()
        self._bodies.append(body)
        self._message_ids.append(message_id)
        self._redelivered.append(redelivered)
        if number + 1 == self._size:
            self.news.set()

    @property
    def last_tag(self) -> int:
        """The number of the last message that came; 0 before the first."""
        return self._first_tag + len(self._bodies) - 1 if self._first_tag else 0

    def ready_in(self) -> float | None:
        """Return after how many seconds a batch is due, 0 when one is; None without messages."""
        if not self._bodies:
            return None
        if len(self._bodies) >= self._size:
            return 0.0
        return max(0.0, self._begun[0] + self._seconds - self._loop.time())

    def take(self) -> Batch:
        """Return the oldest messages as a batch."""
        size = self._size
        batch = Batch(
            self.generation,
            self._first_tag,
            self._bodies[:size],
            self._message_ids[:size],
            self._redelivered[:size],
        )
        del self._bodies[:size], self._message_ids[:size], self._redelivered[:size]
        self._begun.popleft()
        self._first_tag += len(batch)
        return batch
