"""What becomes of decisions on their way to Athena, counted and logged a batch at a time."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from core import metrics
from core.clock import as_text, as_utc
from models.cryoem.decisions import SUBMIT
from models.outbox import OutboxMessage

logger = logging.getLogger(__name__)

#: Most ids that one log line lists.
LISTED: Final = 50


def claimed(rows: Sequence[OutboxMessage]) -> None:
    """Count a batch that is about to be sent, and what of it was tried before."""
    if rows:
        metrics.BATCH_MESSAGES.labels(SUBMIT).observe(len(rows))
        metrics.RETRIES.labels("decision").inc(sum(row.attempts > 0 for row in rows))


def postponed(kinds: Iterable[str]) -> None:
    """Count decisions that were given back for a later try."""
    for kind, number in Counter(kinds).items():
        metrics.DECISIONS.labels(kind, "postponed").inc(number)


def sent(
    rows: Sequence[OutboxMessage],
    kinds: Mapping[UUID, str],
    note: str,
    *,
    asked_at: datetime | None,
    now: datetime,
) -> None:
    """Count and say which decisions Athena has now.

    Args:
        rows: Their rows in the outbox, which say `sent_at` too.
        kinds: The kind of each.
        note: How it is known, for people.
        asked_at: When they were sent; None when an earlier try had arrived.
        now: When Athena had answered.
    """
    for kind, number in Counter(kinds.values()).items():
        metrics.DECISIONS.labels(kind, "found" if asked_at is None else "sent").inc(number)
        since = [row.caused_at for row in rows if row.caused_at and kinds[row.id] == kind]
        metrics.DECISION_SECONDS.observe_many([_seconds(one, now) for one in since], kind)
    if asked_at is not None:
        waited = [_seconds(row.created_at, asked_at) for row in rows]
        metrics.STAGE_SECONDS.observe_many(waited, SUBMIT, "sent")
        answered = [_seconds(asked_at, now)] * len(rows)
        metrics.STAGE_SECONDS.observe_many(answered, SUBMIT, "accepted")
    logger.info(
        "Sent %d decisions to Athena: %s",
        len(rows),
        note,
        extra={
            "action": "decisions_sent",
            "domain": "cryoem",
            "decisions": len(rows),
            "decision_ids": [str(row.id) for row in rows[:LISTED]],
            "sent_at": as_text(now),
        },
    )


def refused(kind: str, row: OutboxMessage, reason: str) -> None:
    """Count and say that Athena will never take a decision."""
    metrics.DECISIONS.labels(kind, "refused").inc()
    metrics.DEAD_LETTERS.labels(SUBMIT, "refused").inc()
    logger.warning(
        "Athena refuses decision %s: %s",
        row.id,
        reason,
        extra={"action": "decision_dead", "domain": "cryoem", "decision_ids": [str(row.id)]},
    )


def _seconds(since: datetime, until: datetime) -> float:
    return (until - as_utc(since)).total_seconds()
