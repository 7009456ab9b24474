"""What a sensor stored and may not have acknowledged: recognises repeats that carry no id.

A row stands for the messages without an id that were stored in one transaction. It is deleted
once the broker has surely taken their acknowledgement in. Should the sensor die before, the
broker delivers them again, and they are found here by their digests; equal messages count one
by one, so that a second one which was really sent is not taken for a repeat of the first.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Final
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlmodel import Field, Session, SQLModel, col

from models import base  # noqa: F401 (names constraints, so it goes before any table)
from models.sql import chunks, lock_until_commit

#: Bytes of a digest: two different messages of a day have the same one in no lifetime.
_SIZE: Final = 12


class Delivery(SQLModel, table=True):
    """Messages stored together, perhaps not acknowledged."""

    __tablename__ = "delivery"  # pyright: ignore[reportAssignmentType]

    id: UUID = Field(primary_key=True)
    source: str = Field(index=True)
    stored_at: datetime
    #: Digests of the bodies, one after the other.
    digests: bytes


@dataclass(frozen=True)
class Repeats:
    """Which of some digests are of messages that are stored already, and in which rows."""

    indices: frozenset[int]
    used: dict[UUID, Counter[bytes]]


def digest(body: bytes) -> bytes:
    """Return what a message without an id is recognised by."""
    return blake2b(body, digest_size=_SIZE).digest()


def guard(session: Session, source: str, *, alone: bool) -> None:
    """Keep those who store and those who look for repeats of a source from overlapping.

    Who stores guards shared; who got something delivered again guards `alone`, and so waits
    until whoever had it before has committed, or finds on its own turn that it may not.
    """
    lock_until_commit(session, f"deliveries {source}", shared=not alone)


def remember(
    session: Session, ident: UUID, *, source: str, digests: Sequence[bytes], now: datetime
) -> None:
    """Write down what is stored in this transaction."""
    session.add(Delivery(id=ident, source=source, stored_at=now, digests=b"".join(digests)))
    session.flush()


def is_remembered(session: Session, ident: UUID) -> bool:
    """Return whether this was stored, and the answer got lost."""
    found = session.scalar(select(col(Delivery.id)).where(col(Delivery.id) == ident))
    return found is not None


def repeats(session: Session, source: str, digests: Sequence[tuple[int, bytes]]) -> Repeats:
    """Return which of some (index, digest) stand in rows, each standing one used once."""
    rows = session.execute(
        select(col(Delivery.id), col(Delivery.digests))
        .where(col(Delivery.source) == source)
        .order_by(col(Delivery.stored_at))
    )
    left: dict[UUID, Counter[bytes]] = {ident: _counted(value) for ident, value in rows}
    indices: set[int] = set()
    used: dict[UUID, Counter[bytes]] = {}
    for index, value in digests:
        ident = next((one for one, standing in left.items() if standing[value] > 0), None)
        if ident is not None:
            left[ident][value] -= 1
            used.setdefault(ident, Counter())[value] += 1
            indices.add(index)
    return Repeats(frozenset(indices), used)


def move(session: Session, found: Repeats) -> None:
    """Take repeats out of their rows; the caller remembers them under the new delivery."""
    for ident, used in found.used.items():
        standing = session.scalar(
            select(col(Delivery.digests)).where(col(Delivery.id) == ident).with_for_update()
        )
        left = _counted(standing or b"") - used
        if not left:
            forget(session, [ident])
            continue
        session.execute(
            update(Delivery)
            .where(col(Delivery.id) == ident)
            .values(digests=b"".join(left.elements()))
            .execution_options(synchronize_session=False)
        )


def forget(session: Session, idents: Collection[UUID]) -> None:
    """Delete rows whose messages are surely acknowledged."""
    for part in chunks(list(idents)):
        session.execute(
            delete(Delivery)
            .where(col(Delivery.id).in_(part))
            .execution_options(synchronize_session=False)
        )


def forget_before(session: Session, source: str, moment: datetime) -> None:
    """Delete rows so old that their messages cannot come again."""
    session.execute(
        delete(Delivery)
        .where(col(Delivery.source) == source, col(Delivery.stored_at) < moment)
        .execution_options(synchronize_session=False)
    )


def _counted(digests: bytes) -> Counter[bytes]:
    return Counter(digests[start : start + _SIZE] for start in range(0, len(digests), _SIZE))
