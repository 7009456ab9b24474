"""Messages that wait for something which is known by now."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlmodel import Session, col

from models import inbox
from models.base import DeliveryState
from models.cryoem.decision_tables import QualityMetric
from models.cryoem.lookup import WORDS, grids_by_any_name
from models.inbox import InboxMessage
from models.sql import chunks


def wake_known(session: Session, *, now: datetime) -> int:
    """Make pending what waits for an entity, group or metric that is known; return how many.

    Whoever adds such a thing wakes its waiters at once; this finds those that began to wait
    in the same moment.
    """
    idents = session.scalars(
        select(col(InboxMessage.waiting_for))
        .where(col(InboxMessage.state) == DeliveryState.WAITING)
        .distinct()
    )
    uuids: list[UUID] = []
    names: list[str] = []
    for ident in idents:
        try:
            uuids.append(UUID(ident))
        except (TypeError, ValueError):
            names.append(str(ident))
    woken = 0
    for grid, known in _known(session, uuids).items():
        woken += len(known)
        inbox.wake(session, [str(one) for one in known], key=str(grid), now=now)
    for part in chunks(names):
        statement = select(col(QualityMetric.name)).where(col(QualityMetric.name).in_(part))
        metrics = list(session.scalars(statement))
        woken += len(metrics)
        inbox.wake(session, metrics, key=None, now=now)
    return woken


def _known(session: Session, uuids: list[UUID]) -> dict[UUID, list[UUID]]:
    """Return the known ones of these, by grid."""
    found: dict[UUID, list[UUID]] = {}
    for uuid, grid in grids_by_any_name(session, dict.fromkeys(WORDS, uuids)).items():
        found.setdefault(grid, []).append(uuid)
    return found
