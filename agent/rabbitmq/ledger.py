"""Which messages without an id are stored, and may come again: kept until that is over."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Final
from uuid import UUID

from sqlmodel import Session

from agent.rabbitmq.part import Part
from core.errors import AthanorError
from messaging.rabbitmq.port import Batch, Consumer
from models import deliveries

#: Seconds for which an acknowledgement that the broker has taken in may still get lost there,
#: because the broker is killed before it is on its disk.
_UNTIL_ON_DISK: Final = 10.0
#: A sensor that was killed leaves rows of which nobody knows whether they were acknowledged.
#: What was not has come again within this time, unless no sensor ran.
_KEEP_FOR: Final = timedelta(days=7)


class Doubtful(AthanorError):
    """The broker may have given the batch to another sensor."""


class StoredAlready(AthanorError):
    """This was stored, and the answer got lost."""


class Repeated(AthanorError):
    """Some of the messages are stored already."""

    def __init__(self, indices: frozenset[int]) -> None:
        self.indices = indices
        super().__init__()


@dataclass
class _Entry:
    """A row that stands in the database."""

    id: UUID
    batch: Batch
    #: When the broker was first seen to have taken the acknowledgement in.
    settled_at: float | None = None


class Ledger:
    """The rows of one sensor, from being stored to being forgotten."""

    def __init__(self, consumer: Consumer, source: str) -> None:
        """Take who knows what the broker has taken in."""
        self._consumer = consumer
        self._source = source
        self._standing: list[_Entry] = []

    def due(self, *, at_once: bool = False) -> list[UUID]:
        """Return the rows whose messages surely never come again.

        Rows of a connection that was lost are not among them: they stand until their messages
        come again, or for a week.
        """
        now = monotonic()
        self._standing = [one for one in self._standing if self._consumer.is_current(one.batch)]
        for entry in self._standing:
            if entry.settled_at is None and self._consumer.is_settled(entry.batch):
                entry.settled_at = now
        after = 0.0 if at_once else _UNTIL_ON_DISK
        return [
            one.id
            for one in self._standing
            if one.settled_at is not None and one.settled_at + after <= now
        ]

    def write(
        self,
        session: Session,
        part: Part,
        *,
        again: bool,
        forgotten: Collection[UUID],
        now: datetime,
    ) -> None:
        """Find repeats in a part, and note it, first in the transaction that stores it.

        Args:
            session: The transaction.
            part: What is about to be stored.
            again: Whether this was tried before, so that its answer may be lost.
            forgotten: Rows to delete, from `due`.
            now: The time of storing.

        Raises:
            Doubtful: The broker may have given the messages to another sensor.
            StoredAlready: An earlier try was committed.
            Repeated: Other messages are repeats than those that the part knows of.
        """
        if part.digests:
            deliveries.guard(session, self._source, alone=bool(part.suspects))
        # After the guard: who gets the messages next waits for us, or we see that they are lost.
        if not self._consumer.holds(part.batch):
            raise Doubtful
        if part.digests:
            if again and deliveries.is_remembered(session, part.id):
                raise StoredAlready
            if part.suspects:
                found = deliveries.repeats(session, self._source, part.suspects)
                if found.indices != part.repeated:
                    raise Repeated(found.indices)
                deliveries.move(session, found)
            digests = [value for _, value in part.digests]
            deliveries.remember(session, part.id, source=self._source, digests=digests, now=now)
        deliveries.forget(session, forgotten)

    def stored(self, part: Part, *, forgotten: Collection[UUID]) -> None:
        """Note that the transaction of `write` is committed."""
        if forgotten:
            self._standing = [one for one in self._standing if one.id not in forgotten]
        if part.digests:
            self._standing.append(_Entry(part.id, part.batch))

    def open(self, session: Session, *, now: datetime) -> None:
        """Delete what sensors that were killed left behind long ago."""
        deliveries.forget_before(session, self._source, now - _KEEP_FOR)

    def close(self, session: Session) -> None:
        """Delete what is settled now; to be called after `Consumer.settle`."""
        deliveries.forget(session, self.due(at_once=True))
