"""The decision that holds on a subject: the latest that was not withdrawn, sent or still to be."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import case, func, select
from sqlmodel import Session, col

from models.base import DeliveryState
from models.cryoem.decision_tables import Decision
from models.outbox import OutboxMessage
from models.sql import chunks, one_of


@dataclass(frozen=True)
class Told:
    """What holds on a subject, and how many decisions there were on anything by the last one."""

    #: None where every decision was withdrawn.
    outcome: dict[str, Any] | None
    #: Place of the subject's last decision in the outbox, withdrawn or not.
    last: int


def told(session: Session, subjects: Collection[str]) -> dict[str, Told]:
    """Return what holds on each subject that was decided before."""
    subject, seq = col(OutboxMessage.subject), col(OutboxMessage.seq)
    holds = case((col(OutboxMessage.state) != DeliveryState.SUPERSEDED, seq))
    last: dict[str, tuple[int, int | None]] = {}
    for part in chunks(sorted(subjects)):
        newest = (
            select(subject, func.max(seq), func.max(holds))
            .where(one_of(session, subject, part))
            .group_by(subject)
        )
        last |= {of: (latest, holding) for of, latest, holding in session.execute(newest)}
    outcomes: dict[int, dict[str, Any]] = {}
    for part in chunks(sorted(holding for _, holding in last.values() if holding is not None)):
        statement = (
            select(seq, col(Decision.outcome))
            .join(Decision, col(Decision.id) == col(OutboxMessage.id))
            .where(one_of(session, seq, part))
        )
        outcomes |= {of: outcome for of, outcome in session.execute(statement)}  # noqa: C416 (a Row is no pair to dict())
    return {
        of: Told(None if holding is None else outcomes.get(holding), latest)
        for of, (latest, holding) in last.items()
    }
