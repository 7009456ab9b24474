"""The part of a batch that is stored in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self
from uuid import UUID, uuid4

from messaging.rabbitmq.port import Batch
from models import deliveries


@dataclass(frozen=True)
class Part:
    """Some messages of a batch, by their index in it."""

    batch: Batch
    indices: Sequence[int]
    #: Why none of them can ever be processed; None where they are to be taken in.
    reason: str | None = None
    #: Those that are stored already, from an earlier delivery.
    repeated: frozenset[int] = frozenset()
    #: What this transaction is recognised by, should its answer get lost.
    id: UUID = field(default_factory=uuid4)

    @property
    def new(self) -> Sequence[int]:
        """The messages that are to be stored."""
        if not self.repeated:
            return self.indices
        return [index for index in self.indices if index not in self.repeated]

    @cached_property
    def digests(self) -> list[tuple[int, bytes]]:
        """The messages that came without an id, and what they are recognised by."""
        ids, bodies = self.batch.message_ids, self.batch.bodies
        return [(i, deliveries.digest(bodies[i])) for i in self.indices if ids[i] is None]

    @cached_property
    def suspects(self) -> list[tuple[int, bytes]]:
        """Those of them that were delivered before, and may be stored already."""
        return [one for one in self.digests if self.batch.redelivered[one[0]]]

    def without(self, repeated: frozenset[int]) -> Self:
        """Return the part with these messages known as repeats, and no others."""
        return replace(self, repeated=repeated)

    def only(self, indices: Sequence[int]) -> Self:
        """Return a smaller part, to be stored in a transaction of its own."""
        return replace(self, indices=indices, repeated=frozenset(), id=uuid4())

    def buried(self, reason: str) -> Self:
        """Return the part as one that can never be processed."""
        return replace(self, reason=reason, repeated=frozenset(), id=uuid4())


def parts_of(batch: Batch, *, max_body_bytes: int) -> list[Part]:
    """Return a batch as what is to be taken in, and what is too large for that."""
    large = {index for index, body in enumerate(batch.bodies) if len(body) > max_body_bytes}
    if not large:
        return [Part(batch, range(len(batch)))]
    fitting = [index for index in range(len(batch)) if index not in large]
    return [
        *([Part(batch, fitting)] if fitting else []),
        *(
            Part(
                batch,
                [index],
                f"has {len(batch.bodies[index]):,} bytes, {max_body_bytes:,} are allowed",
            )
            for index in sorted(large)
        ),
    ]
