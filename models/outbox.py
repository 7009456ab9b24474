"""The outbox: what must leave, written with what caused it, sent by a task (rule 4)."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, func, select, text, update
from sqlmodel import Field, Session, col

from models import work
from models.base import DeliveryState, LeasedRow, json_field, sequence_field
from models.sql import chunks, insert_ignore
from models.work import Lease, settle

#: Attempts that a row may have: it is tried until it is through, giving up would lose it.
FOR_EVER = 1_000_000

_UNFINISHED = "state <> 'done' AND state <> 'superseded'"


class OutboxMessage(LeasedRow, table=True):
    """One thing to send: a decision for Athena, later an instruction or a message."""

    __tablename__ = "outbox_message"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        Index("ix_outbox_message_work", "flow", "key", "state", "seq"),
        Index("ix_outbox_message_subject", "subject", "state"),
        Index("ix_outbox_message_key", "key", "seq"),
        Index(
            "ix_outbox_message_open",
            "state",
            "seq",
            postgresql_where=text(_UNFINISHED),
            sqlite_where=text(_UNFINISHED),
        ),
    )

    seq: int | None = sequence_field()
    #: Deterministic: what it is, so that the same effect is never two rows.
    id: UUID = Field(unique=True)
    domain: str
    kind: str
    #: The deployment that sends it.
    flow: str
    #: The grid that it concerns.
    key: str
    #: What it speaks about: a newer row on the same subject supersedes an unsent one.
    subject: str
    payload: dict[str, Any] = json_field()
    created_at: datetime
    #: When the oldest cause of it came in: latency is counted from here.
    caused_at: datetime | None = None
    sent_at: datetime | None = None


def put(session: Session, rows: Sequence[dict[str, Any]], *, now: datetime) -> None:
    """Write rows to send; one that is there already stays as it is.

    A row gives id, domain, kind, flow, key, subject, payload and caused_at.
    """
    full = [
        {
            "state": DeliveryState.PENDING,
            "attempts": 0,
            "fence": 0,
            "available_at": now,
            "created_at": now,
            **row,
        }
        for row in rows
    ]
    insert_ignore(session, OutboxMessage, full, unique=["id"])


def supersede(session: Session, subjects: Collection[str], *, keep: Collection[UUID]) -> None:
    """Withdraw rows on these subjects that were never tried, except `keep`."""
    kept = set(keep)
    for part in chunks(list(subjects)):
        # Locked, so that nobody claims one between the look and the withdrawal.
        found = session.scalars(
            select(col(OutboxMessage.id))
            .where(
                col(OutboxMessage.subject).in_(part),
                col(OutboxMessage.state) == DeliveryState.PENDING,
                col(OutboxMessage.attempts) == 0,
            )
            .with_for_update()
        )
        for unwanted in chunks([ident for ident in found if ident not in kept]):
            session.execute(
                update(OutboxMessage)
                .where(col(OutboxMessage.id).in_(unwanted))
                .values(state=DeliveryState.SUPERSEDED)
                .execution_options(synchronize_session=False)
            )


def mark_sent(
    session: Session,
    rows: Sequence[OutboxMessage],
    lease: Lease,
    *,
    now: datetime,
    flow_run_id: str | None,
) -> None:
    """Mark claimed rows as sent and answered."""
    settle(
        session,
        OutboxMessage,
        [row.seq for row in rows],
        lease,
        state=DeliveryState.DONE,
        sent_at=now,
        error=None,
        flow_run_id=flow_run_id,
    )


def release(
    session: Session,
    rows: Sequence[OutboxMessage],
    lease: Lease,
    *,
    reason: str,
    undo_attempt: bool,
    available_at: datetime,
) -> None:
    """Give claimed rows back for a later try.

    `undo_attempt` says that nothing left the house: the row counts as never tried and needs
    no asking before it is sent.
    """
    values: dict[str, Any] = {
        "state": DeliveryState.PENDING,
        "error": reason,
        "available_at": available_at,
    }
    if undo_attempt:
        values["attempts"] = col(OutboxMessage.attempts) - 1
    settle(session, OutboxMessage, [row.seq for row in rows], lease, **values)


def bury(session: Session, row: OutboxMessage, lease: Lease, *, reason: str) -> None:
    """Give a claimed row up, with the reason that a person will read."""
    settle(session, OutboxMessage, [row.seq], lease, state=DeliveryState.DEAD, error=reason)


def hurry(session: Session, *, flow: str, key: str, now: datetime) -> int:
    """Let rows that pause before their next try be tried now: what they waited for is there.

    Returns:
        How many rows are to be sent.
    """
    # Not only those seen to pause: one that is just given back would be missed (PostgreSQL
    # looks again at a row that it had to wait for, but not at one that did not fit before).
    hurried = session.execute(
        update(OutboxMessage)
        .where(
            col(OutboxMessage.flow) == flow,
            col(OutboxMessage.key) == key,
            col(OutboxMessage.state) == DeliveryState.PENDING,
        )
        .values(available_at=now)
        .execution_options(synchronize_session=False)
    )
    return hurried.rowcount  # pyright: ignore[reportAttributeAccessIssue]


def dead_ids(session: Session) -> list[UUID]:
    """Return what was given up, the oldest first."""
    is_dead = col(OutboxMessage.state) == DeliveryState.DEAD
    return list(
        session.scalars(
            select(col(OutboxMessage.id)).where(is_dead).order_by(col(OutboxMessage.seq))
        )
    )


def lock_dead(session: Session, ids: Collection[UUID]) -> list[OutboxMessage]:
    """Return those of the rows that were given up, locked until the commit."""
    return work.lock(session, OutboxMessage, ids, DeliveryState.DEAD)


def latest_of(session: Session, subjects: Collection[str]) -> dict[str, int]:
    """Return the place of the last row on each subject that was not given up or withdrawn."""
    seq = func.max(col(OutboxMessage.seq))
    found = session.execute(
        select(col(OutboxMessage.subject), seq)
        .where(
            col(OutboxMessage.subject).in_(subjects),
            col(OutboxMessage.state).in_(
                (DeliveryState.PENDING, DeliveryState.CLAIMED, DeliveryState.DONE)
            ),
        )
        .group_by(col(OutboxMessage.subject))
    )
    return dict(found.tuples().all())


def send_again(session: Session, rows: Sequence[OutboxMessage], *, now: datetime) -> None:
    """Have rows that were given up sent again, as tried ones: whoever gets them is asked first."""
    for part in chunks([row.id for row in rows]):
        session.execute(
            update(OutboxMessage)
            .where(col(OutboxMessage.id).in_(part))
            .values(state=DeliveryState.PENDING, error=None, available_at=now)
            .execution_options(synchronize_session=False)
        )
