"""Send again what was given up: a decision, a value or a message that was refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlmodel import Session

from core.clock import utcnow
from models import audit, outbox
from models.base import DeliveryState
from models.cryoem.emitted import PUBLISH
from models.outbox import OutboxMessage
from tasks.ringing import Bell, Ringable, ring

_OVERTAKEN: Final = "something newer was decided about the same since"


@dataclass(frozen=True)
class Resent:
    """What became of something that had been given up."""

    id: UUID
    kind: str
    state: str
    #: Why it is not sent again; None where it is.
    reason: str | None = None


async def resend(where: Ringable, ids: Sequence[UUID]) -> list[Resent]:
    """Have what was given up sent again; ids of others are left out.

    What was decided anew since stays as it is: the older word would be the last one heard.
    """
    outcomes, bells = await where.database.write(_resend, ids)
    await ring(where, bells)
    return outcomes


def _resend(session: Session, ids: Sequence[UUID]) -> tuple[list[Resent], list[Bell]]:
    rows = outbox.lock_dead(session, ids)
    latest = outbox.latest_of(session, {row.subject for row in rows if row.flow != PUBLISH})
    outcomes: list[Resent] = []
    again: list[OutboxMessage] = []
    for row in rows:
        if latest.get(row.subject, 0) > (row.seq or 0):
            outcomes.append(Resent(row.id, row.kind, row.state, _OVERTAKEN))
            continue
        again.append(row)
        outcomes.append(Resent(row.id, row.kind, DeliveryState.PENDING))
        before = {"state": row.state, "error": row.error}
        after = {"state": DeliveryState.PENDING, "error": None}
        audit.note(session, "outbox_message", row.id, before=before, after=after)
    outbox.send_again(session, again, now=utcnow())
    return outcomes, list(dict.fromkeys((row.flow, row.key) for row in again))
