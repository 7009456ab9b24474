"""Those who send: models that publish to RabbitMQ, and an agent that posts to the API."""

import threading
import time
from collections.abc import Sequence
from typing import Any

import httpx
import pika
import pika.exceptions
from pika.adapters.blocking_connection import BlockingChannel

from benchmarks.chaos.plan import Planned

_TRY_AGAIN_SECONDS = 0.3
#: An agent gathers what it has read for a moment.
_GATHER_SECONDS = 0.2
_BATCH = 200


class Publisher(threading.Thread):
    """Publishes messages at a steady pace; what was not confirmed is published again."""

    def __init__(
        self, url: str, queue: str, stream: Sequence[Planned], *, per_second: float
    ) -> None:
        """Take what to publish, and how fast; `start` begins."""
        super().__init__(name="publisher", daemon=True)
        self._url = url
        self._queue = queue
        self._stream = stream
        self._apart = 1 / per_second
        #: How many of the stream are with RabbitMQ.
        self.position = 0
        #: How often the broker was lost.
        self.lost = 0

    def run(self) -> None:
        """Publish all, however often the connection is lost."""
        began = time.monotonic()
        while self.position < len(self._stream):
            try:
                self._publish(began)
            except (pika.exceptions.AMQPError, OSError):
                self.lost += 1
                time.sleep(_TRY_AGAIN_SECONDS)

    def _publish(self, began: float) -> None:
        with pika.BlockingConnection(pika.URLParameters(self._url)) as connection:
            channel: BlockingChannel = connection.channel()
            channel.confirm_delivery()
            while self.position < len(self._stream):
                early = began + self.position * self._apart - time.monotonic()
                if early > 0:
                    time.sleep(early)
                message = self._stream[self.position]
                channel.basic_publish(
                    "",
                    self._queue,
                    message.content,
                    pika.BasicProperties(
                        message_id=message.message_id,
                        content_type="application/json",
                        delivery_mode=pika.DeliveryMode.Persistent,
                    ),
                    mandatory=True,
                )
                self.position += 1


class Agent(threading.Thread):
    """Posts what it reads, each when its turn has come, until the API takes it."""

    def __init__(
        self, api_url: str, said: Sequence[tuple[int, dict[str, Any]]], publisher: Publisher
    ) -> None:
        """Take what to say, and by whose progress; `start` begins."""
        super().__init__(name="agent", daemon=True)
        self._api_url = api_url
        self._said = list(said)
        self._publisher = publisher
        #: How often the API did not take a batch.
        self.refused = 0

    def run(self) -> None:
        """Post all."""
        while self._said:
            due = [body for at, body in self._said[:_BATCH] if at <= self._publisher.position]
            if not due:
                time.sleep(_GATHER_SECONDS)
                continue
            if self._post(due):
                del self._said[: len(due)]
            else:
                self.refused += 1
                time.sleep(_TRY_AGAIN_SECONDS)

    def _post(self, bodies: list[dict[str, Any]]) -> bool:
        try:
            answer = httpx.post(f"{self._api_url}/messages", json=bodies, timeout=10)
        except httpx.HTTPError:
            return False
        # What an agent says is never malformed: only the far side may be unwell.
        if answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
            answer.raise_for_status()
        return answer.is_success
