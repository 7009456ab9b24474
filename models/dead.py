"""What is dead in inbox and outbox, for those who are told of it."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select
from sqlmodel import Session, col

from models.base import DeliveryState
from models.inbox import InboxMessage
from models.outbox import OutboxMessage


@dataclass(frozen=True)
class DeadLetter:
    """One message that came in, or one row of the outbox, that was given up."""

    id: UUID
    kind: str
    reason: str


@dataclass(frozen=True)
class DeadLetters:
    """How many there are, and some of the newest."""

    total: int
    newest: tuple[DeadLetter, ...]


def find_dead(session: Session, *, limit: int) -> DeadLetters:
    """Return how much is dead, and the newest of inbox and outbox."""
    total = 0
    newest: list[DeadLetter] = []
    for model in (InboxMessage, OutboxMessage):
        is_dead = col(model.state) == DeliveryState.DEAD
        total += session.scalar(select(func.count()).select_from(model).where(is_dead)) or 0
        rows = session.execute(
            select(col(model.id), col(model.kind), col(model.error))
            .where(is_dead)
            .order_by(col(model.seq).desc())
            .limit(limit)
        )
        newest += [DeadLetter(ident, kind, error or "") for ident, kind, error in rows]
    return DeadLetters(total, tuple(newest))
