"""Read the state of the whole."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlmodel import Session, col

from models.base import DeliveryState, LeasedRow
from models.cryoem.api_schemas import LatencyStatus, QueueStatus, SessionsStatus, Status
from models.cryoem.decisions import SUBMIT
from models.cryoem.queries.decisions import DecisionFilter, list_decisions
from models.cryoem.tables import Acquisition, Grid
from models.inbox import InboxMessage
from models.outbox import OutboxMessage
from models.work import count_by_state

#: How many of the latest decisions tell the latency.
_MEASURED = 1_000


def get_status(session: Session, *, version: str, now: datetime) -> Status:
    """Return depths and ages of the queues, sessions, and the latency of decisions."""
    latest = list_decisions(session, DecisionFilter(), limit=1).items
    total = session.scalar(select(func.count()).select_from(Grid)) or 0
    running = session.scalar(
        select(func.count(col(Grid.uuid)))
        .join(Acquisition, col(Acquisition.uuid) == col(Grid.acquisition_uuid))
        .where(col(Acquisition.ended_at).is_(None))
    )
    return Status(
        version=version,
        time=now,
        inbox=_queue(session, InboxMessage, col(InboxMessage.received_at), now),
        outbox=_queue(session, OutboxMessage, col(OutboxMessage.created_at), now),
        sessions=SessionsStatus(total=total, running=running or 0),
        latest_decision=latest[0] if latest else None,
        latency=_latency(session),
    )


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """Return the smallest value that at least `share` of the ascending values do not exceed."""
    if not ordered:
        return None
    rank = max(1, -int(-share * len(ordered) // 1))
    return ordered[rank - 1]


def _queue(session: Session, model: type[LeasedRow], since: object, now: datetime) -> QueueStatus:
    oldest: datetime | None = session.scalar(
        select(since)  # pyright: ignore[reportArgumentType, reportCallIssue] (any column)
        .where(col(model.state) == DeliveryState.PENDING)
        .order_by(col(model.seq))
        .limit(1)
    )
    return QueueStatus(
        by_state=count_by_state(session, model),
        oldest_pending_at=oldest,
        oldest_pending_seconds=(now - oldest).total_seconds() if oldest else None,
    )


def _latency(session: Session) -> LatencyStatus:
    statement = (
        select(col(OutboxMessage.sent_at), col(OutboxMessage.caused_at))
        .where(
            col(OutboxMessage.flow) == SUBMIT,
            col(OutboxMessage.state) == DeliveryState.DONE,
            col(OutboxMessage.caused_at).is_not(None),
        )
        .order_by(col(OutboxMessage.seq).desc())
        .limit(_MEASURED)
    )
    seconds = sorted((sent - caused).total_seconds() for sent, caused in session.execute(statement))
    return LatencyStatus(
        decisions=len(seconds),
        p50_seconds=percentile(seconds, 0.5),
        p95_seconds=percentile(seconds, 0.95),
    )
