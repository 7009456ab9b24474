"""What becomes of messages, counted and logged a batch at a time, after its commit.

Lines name the first messages of a batch, and the moment that all rows of the batch have:
`received_at` of what was stored together, `done_at` of what was done together.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from core import metrics
from core.clock import as_text, as_utc
from core.logging import KEPT_FROM_PREFECT
from models.base import DeliveryState
from models.inbox import NewMessage, Received, Stored

logger = logging.getLogger(__name__)

#: Most ids of messages that one log line lists.
LISTED: Final = 20


def refused(kinds: Iterable[str]) -> None:
    """Count messages of a call that was refused as a whole."""
    for kind, number in Counter(kinds).items():
        metrics.MESSAGES_RECEIVED.labels(kind, "refused").inc(number)


def stored(
    rows: Sequence[NewMessage],
    kinds: Sequence[str],
    results: Sequence[Stored],
    *,
    source: str,
    received_at: datetime,
    seconds: float,
) -> None:
    """Count and say what was stored in one transaction.

    Args:
        rows: What was to be stored.
        kinds: The kind of each, as metrics tell them apart.
        results: What became of each.
        source: Who sent them.
        received_at: The moment that their rows have.
        seconds: How long it took.
    """
    if not rows:
        return
    outcomes = [
        "repeated" if result.repeated else "dead" if row.state == DeliveryState.DEAD else "stored"
        for row, result in zip(rows, results, strict=True)
    ]
    for (kind, outcome), number in Counter(zip(kinds, outcomes, strict=True)).items():
        metrics.MESSAGES_RECEIVED.labels(kind, outcome).inc(number)
    dead = Counter(row.flow for row, how in zip(rows, outcomes, strict=True) if how == "dead")
    for flow, number in dead.items():
        metrics.DEAD_LETTERS.labels(flow, "malformed").inc(number)
    metrics.STORE_BATCH.observe(len(rows))
    metrics.STORE_SECONDS.observe(seconds)
    logger.info(
        "Stored %d messages of %s",
        len(rows),
        source,
        extra={
            "action": "messages_stored",
            "domain": rows[0].domain,
            "source": source,
            "messages": len(rows),
            "repeated": outcomes.count("repeated"),
            "dead": outcomes.count("dead"),
            "received_at": as_text(received_at),
            "event_ids": [str(result.id) for result in results[:LISTED]],
        },
    )


def handled(
    flow: str,
    messages: Sequence[Received],
    outcome: Mapping[str, int],
    *,
    notes: Mapping[str, int],
    taken_at: datetime,
    done_at: datetime,
    committed_at: datetime,
    on_page: bool = True,
) -> None:
    """Count and say what became of a batch.

    Args:
        flow: The deployment that worked on it.
        messages: The batch.
        outcome: How many are done, waiting, dead.
        notes: What else there is to say of it, in numbers.
        taken_at: When work on it began.
        done_at: The moment that rows of what is done have.
        committed_at: When that was for good.
        on_page: Whether Prefect's page of the run is to have the line too.
    """
    metrics.BATCH_MESSAGES.labels(flow).observe(len(messages))
    for what, number in outcome.items():
        metrics.MESSAGES_HANDLED.labels(flow, what).inc(number)
    if outcome["dead"]:
        metrics.DEAD_LETTERS.labels(flow, "failed").inc(outcome["dead"])
    metrics.RETRIES.labels("message").inc(sum(message.attempts > 0 for message in messages))
    waited = [(taken_at - as_utc(message.received_at)).total_seconds() for message in messages]
    metrics.STAGE_SECONDS.observe_many(waited, flow, "claimed")
    worked = (committed_at - taken_at).total_seconds()
    metrics.STAGE_SECONDS.observe_many([worked] * len(messages), flow, "committed")
    logger.info(
        "%s handled %d messages",
        flow,
        len(messages),
        extra={
            "action": "batch_done",
            **({} if on_page else {KEPT_FROM_PREFECT: False}),
            "domain": messages[0].domain,
            "messages": len(messages),
            **outcome,
            "notes": dict(notes),
            "done_at": as_text(done_at),
            "event_ids": [str(message.id) for message in messages[:LISTED]],
        },
    )


def buried(number: int) -> None:
    """Count what the sweep found to have been tried too often."""
    if number:
        metrics.DEAD_LETTERS.labels(metrics.OTHER, "exhausted").inc(number)


def written(messages: Sequence[Received], *, refused: Sequence[str], seconds: float) -> None:
    """Count and say what clients wrote in one transaction, which stored and handled it.

    Args:
        messages: What was written.
        refused: Kinds of what was not.
        seconds: How long it took.
    """
    for outcome, kinds in (("stored", [one.kind for one in messages]), ("refused", refused)):
        for kind, number in Counter(kinds).items():
            metrics.MESSAGES_RECEIVED.labels(kind, outcome).inc(number)
    if not messages:
        return
    metrics.STORE_BATCH.observe(len(messages))
    metrics.STORE_SECONDS.observe(seconds)
    logger.info(
        "Wrote what %d requests asked for",
        len(messages),
        extra={
            "action": "entities_written",
            "domain": messages[0].domain,
            "messages": len(messages),
            "refused": len(refused),
            "received_at": as_text(messages[0].received_at),
            "event_ids": [str(message.id) for message in messages[:LISTED]],
        },
    )
