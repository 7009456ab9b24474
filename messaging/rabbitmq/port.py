"""What a consumer and a publisher promise; RabbitMQ and the twin in memory are held to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Batch:
    """Messages taken from a queue together, oldest first, not yet acknowledged."""

    #: The connection that delivered them: what an earlier one delivered has gone back.
    generation: int
    #: The broker's number of the first; the others follow it without a gap.
    first_tag: int
    bodies: Sequence[bytes]
    #: Ids given beside the bodies; None where there was none.
    message_ids: Sequence[str | None]
    #: Whether the broker had handed it out before.
    redelivered: Sequence[bool]

    def __len__(self) -> int:
        return len(self.bodies)

    @property
    def last_tag(self) -> int:
        """The broker's number of the last message."""
        return self.first_tag + len(self.bodies) - 1


@dataclass(frozen=True)
class Outgoing:
    """A message to publish."""

    id: str
    routing_key: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Consumer(Protocol):
    """Takes messages from one queue, in batches; reconnects by itself, for ever."""

    async def next_batch(self) -> Batch:
        """Wait for messages: as many as a batch holds, or what has waited long enough.

        Raises:
            ConfigurationError: The broker refuses us, and always will.
        """
        ...

    def acknowledge(self, batch: Batch) -> None:
        """Tell the broker that this batch and all earlier ones are done.

        Nothing happens if their connection is gone: they are delivered again.
        """
        ...

    async def set_aside(self, batch: Batch, index: int, reason: str) -> None:
        """Copy one message to the dead-letter queue; acknowledge its batch afterwards.

        Raises:
            BrokerUnavailable: Nobody knows whether it is there.
        """
        ...

    def is_current(self, batch: Batch) -> bool:
        """Return whether the connection that delivered a batch still stands."""
        ...

    def holds(self, batch: Batch) -> bool:
        """Return whether the broker surely gives the batch to nobody else; from any thread."""
        ...

    def is_settled(self, batch: Batch) -> bool:
        """Return whether the broker has surely taken the acknowledgement in."""
        ...

    async def settle(self) -> None:
        """Wait until the broker has taken in all acknowledgements; give up with the connection."""
        ...


class Publisher(Protocol):
    """Publishes messages and waits until the broker has them on disk."""

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Publish all, then wait for all confirmations.

        Raises:
            BrokerOutcomeUnknown: Not all were confirmed; the error says which were.
            BrokerUnavailable: None was sent.
        """
        ...
