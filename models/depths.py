"""How much lies in inbox and outbox, and since when: asked when somebody looks."""

import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import Any

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import and_, case, func, literal_column, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql import Select
from sqlmodel import Session, col

from core import metrics
from core.caller import SYSTEM, asking
from core.clock import as_utc, utcnow
from core.errors import StorageUnavailable
from models.base import DeliveryState, LeasedRow
from models.database import Database
from models.inbox import InboxMessage
from models.outbox import OutboxMessage

#: An answer serves all who look within so many seconds.
_FRESH_SECONDS = 5.0
#: Somebody who looks does not wait longer for PostgreSQL.
_PATIENCE = text("SET LOCAL statement_timeout = '3s'")

#: What waits for nothing more, and of which there are millions.
_FINISHED = (DeliveryState.DONE, DeliveryState.SUPERSEDED)
#: What a queue shows even when it is empty, so that a graph has no holes.
_UNFINISHED = (
    DeliveryState.PENDING,
    DeliveryState.CLAIMED,
    DeliveryState.WAITING,
    DeliveryState.DEAD,
)


@dataclass(frozen=True)
class _Queue:
    model: type[LeasedRow]
    since: str
    kinds: tuple[str, ...]
    depth: metrics.Family
    oldest: metrics.Family


def unfinished(model: type[LeasedRow], since: str, kinds: Collection[str]) -> Select[Any]:
    """Return the question how many rows are not finished, by kind and state, and since when.

    The finished states are written out: a partial index fits no condition with parameters.
    """
    state = col(model.state)
    kind = getattr(model, "kind")  # noqa: B009 (both tables have it, their base does not)
    known = case((kind.in_(sorted(kinds)), kind), else_=metrics.OTHER).label("known_kind")
    return (
        select(known, state, func.count(), func.min(getattr(model, since)))
        .where(and_(*(state != literal_column(f"'{finished}'") for finished in _FINISHED)))
        .group_by(known, state)
    )


class QueueDepths(Collector):
    """Depth and age of inbox and outbox, by kind and state, as one cheap question each."""

    def __init__(
        self,
        database: Database,
        *,
        message_kinds: Collection[str],
        decision_kinds: Collection[str],
        fresh_seconds: float = _FRESH_SECONDS,
    ) -> None:
        """Take the database and the kinds to tell apart; nothing is asked.

        Args:
            database: Whose queues.
            message_kinds: Kinds of messages; any other counts as `other`.
            decision_kinds: Kinds of what leaves; any other counts as `other`.
            fresh_seconds: For how long an answer is given again.
        """
        self._database = database
        self._queues = (
            _Queue(
                InboxMessage,
                "received_at",
                tuple(message_kinds),
                metrics.INBOX_MESSAGES,
                metrics.INBOX_OLDEST,
            ),
            _Queue(
                OutboxMessage,
                "created_at",
                tuple(decision_kinds),
                metrics.OUTBOX_MESSAGES,
                metrics.OUTBOX_OLDEST,
            ),
        )
        self._fresh_seconds = fresh_seconds
        self._asking = Lock()
        self._answer: list[Metric] = []
        self._asked_at = float("-inf")

    def collect(self) -> list[Metric]:
        """Return depths and ages, at most a few seconds old."""
        with self._asking:
            if time.monotonic() - self._asked_at >= self._fresh_seconds:
                self._answer = self._ask()
                self._asked_at = time.monotonic()
            return self._answer

    def _ask(self) -> list[Metric]:
        up = metrics.DATABASE_UP.gauge()
        found: list[Metric] = []
        try:
            # Whoever asks is told of all: the answer is kept for others.
            with asking(SYSTEM), self._database.reading() as session:
                if not self._database.is_sqlite:
                    session.execute(_PATIENCE)
                for queue in self._queues:
                    found += _depths(session, queue, utcnow())
        except (StorageUnavailable, SQLAlchemyError):
            # Whoever looks is told so; what this process counts is shown all the same.
            up.add_metric([], 0)
            return [up]
        up.add_metric([], 1)
        return [up, *found]


def _depths(session: Session, queue: _Queue, now: datetime) -> list[Metric]:
    depth, oldest = queue.depth.gauge(), queue.oldest.gauge()
    rows = session.execute(unfinished(queue.model, queue.since, queue.kinds)).all()
    found = {(kind, state): (number, since) for kind, state, number, since in rows}
    empty = {(kind, state): (0, None) for kind in queue.kinds for state in _UNFINISHED}
    for labels, (number, since) in sorted({**empty, **found}.items()):
        depth.add_metric(labels, number)
        age = 0.0 if since is None else (now - as_utc(since)).total_seconds()
        oldest.add_metric(labels, max(age, 0.0))
    return [depth, oldest]
