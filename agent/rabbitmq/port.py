"""What the sensor needs of those who store, and what it counts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlmodel import Session

from models.inbox import Stored


class Taken(Protocol):
    """What was stored, in the order given."""

    @property
    def stored(self) -> Sequence[Stored]:
        """What became of each message."""
        ...


class Intake(Protocol):
    """Stores messages and rings; `also` comes first in the transaction."""

    async def accept(
        self,
        bodies: Sequence[bytes],
        *,
        message_ids: Sequence[str | None],
        also: Callable[[Session], None],
    ) -> Taken:
        """Take messages in; what can never be processed is kept as dead."""
        ...

    async def bury(
        self,
        bodies: Sequence[bytes],
        *,
        message_ids: Sequence[str | None],
        reason: str,
        also: Callable[[Session], None],
    ) -> Taken:
        """Keep messages as dead, whatever they say."""
        ...


@dataclass
class Counts:
    """What a sensor has done so far."""

    messages: int = 0
    batches: int = 0
    #: Messages that were stored already.
    repeated: int = 0
    #: Messages kept as dead: too large, or at fault.
    dead: int = 0
    #: Messages copied to the broker's dead-letter queue.
    set_aside: int = 0

    def __str__(self) -> str:
        return (
            f"{self.messages:,} messages in {self.batches:,} batches, {self.repeated:,} repeated, "
            f"{self.dead + self.set_aside:,} set aside"
        )
