"""The inbox: what the outside sent, stored before it is acknowledged (rules 1 to 3)."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Index, select, update
from sqlmodel import Field, Session, col

from core.ids import ATHANOR, derived
from models.base import DeliveryState, LeasedRow, json_field, sequence_field
from models.sql import chunks, insert_ignore, lock_until_commit, one_of
from models.work import Lease, claim, claimable, settle

#: Lock between those who let messages wait for something and those who make it known.
WAITING = "inbox waiting"


class InboxMessage(LeasedRow, table=True):
    """One message from outside, and its life since."""

    __tablename__ = "inbox_message"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        Index("ix_inbox_message_work", "flow", "key", "state", "seq"),
        Index("ix_inbox_message_state", "state", "seq"),
        Index("ix_inbox_message_key", "key", "seq"),
        Index("ix_inbox_message_waiting_for", "waiting_for"),
    )

    #: Order of arrival.
    seq: int | None = sequence_field()
    #: UUIDv5 of source and message id when the sender gave one, so a repeat is recognised.
    id: UUID = Field(unique=True)
    source: str
    message_id: str | None = None
    domain: str
    kind: str
    #: The deployment that works on it.
    flow: str
    #: The grid that it concerns; empty while that is not known.
    key: str
    payload: dict[str, Any] = json_field()
    received_at: datetime
    #: Uuid or name of what must be known first.
    waiting_for: str | None = None
    done_at: datetime | None = None


@dataclass(frozen=True)
class NewMessage:
    """A message to store."""

    source: str
    domain: str
    kind: str
    flow: str
    key: str
    payload: dict[str, Any]
    message_id: str | None = None
    state: DeliveryState = DeliveryState.PENDING
    waiting_for: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class Stored:
    """What became of a stored message: its id, and whether it had come before."""

    id: UUID
    repeated: bool


def store(session: Session, messages: Sequence[NewMessage], *, now: datetime) -> list[Stored]:
    """Store messages in order; one seen before (same source and message id) is kept as it was."""
    ids = [
        derived(ATHANOR, "inbox", message.source, message.message_id)
        if message.message_id is not None
        else uuid4()
        for message in messages
    ]
    known: set[UUID] = set()
    for part in chunks(ids):
        known |= set(
            session.scalars(
                select(col(InboxMessage.id)).where(one_of(session, col(InboxMessage.id), part))
            )
        )
    stored: list[Stored] = []
    rows: list[dict[str, Any]] = []
    for ident, message in zip(ids, messages, strict=True):
        stored.append(Stored(ident, ident in known))
        if ident in known:
            continue
        known.add(ident)
        rows.append(
            {
                **vars(message),
                "id": ident,
                "received_at": now,
                "available_at": now,
                "attempts": 0,
                "fence": 0,
            }
        )
    insert_ignore(session, InboxMessage, rows, unique=["id"])
    return stored


def claim_messages(
    session: Session,
    *,
    flow: str,
    key: str,
    holder: str,
    now: datetime,
    lease_seconds: float,
    limit: int,
    max_attempts: int,
) -> tuple[Lease, list[InboxMessage]]:
    """Claim a flow's messages for one key, in order of arrival."""
    return claim(
        session,
        InboxMessage,
        col(InboxMessage.flow) == flow,
        col(InboxMessage.key) == key,
        holder=holder,
        now=now,
        lease_seconds=lease_seconds,
        limit=limit,
        max_attempts=max_attempts,
    )


def finish(
    session: Session,
    messages: Iterable[InboxMessage],
    lease: Lease,
    *,
    now: datetime,
    flow_run_id: str | None,
) -> None:
    """Mark claimed messages as done."""
    seqs = [message.seq for message in messages]
    settle(
        session,
        InboxMessage,
        seqs,
        lease,
        state=DeliveryState.DONE,
        done_at=now,
        error=None,
        waiting_for=None,
        flow_run_id=flow_run_id,
    )


def set_aside(session: Session, message: InboxMessage, lease: Lease, *, reason: str) -> None:
    """Mark a claimed message as dead, with the reason that a person will read."""
    settle(session, InboxMessage, [message.seq], lease, state=DeliveryState.DEAD, error=reason)


def let_wait(
    session: Session, messages: Collection[InboxMessage], lease: Lease, *, what: str, ident: str
) -> None:
    """Let claimed messages wait until `ident` is known; a wait is not a failed attempt.

    Whoever finds that something is unknown calls `before_waiting` and looks again first.
    """
    settle(
        session,
        InboxMessage,
        [message.seq for message in messages],
        lease,
        state=DeliveryState.WAITING,
        waiting_for=ident,
        error=f"waits for {what} {ident}",
        attempts=0,
    )


def before_waiting(session: Session) -> None:
    """Keep anything from becoming known unnoticed between a second look and `let_wait`.

    On PostgreSQL another transaction may have stored what is looked for, and woken those
    who waited, just before we join them: we would wait for ever.
    """
    lock_until_commit(session, WAITING, shared=True)


def wake(session: Session, idents: Collection[str], *, key: str | None, now: datetime) -> set[str]:
    """Make pending what waits for one of `idents`; return the flows that have work now.

    `key` is the grid that is known now; None leaves each message its own.
    """
    flows: set[str] = set()
    if idents:
        lock_until_commit(session, WAITING)
    for part in chunks(list(idents)):
        woken = (
            col(InboxMessage.state) == DeliveryState.WAITING,
            one_of(session, col(InboxMessage.waiting_for), part),
        )
        flows |= set(
            session.scalars(
                update(InboxMessage)
                .where(*woken)
                .values(
                    state=DeliveryState.PENDING,
                    waiting_for=None,
                    error=None,
                    available_at=now,
                    **({} if key is None else {"key": key}),
                )
                .returning(col(InboxMessage.flow))
                .execution_options(synchronize_session=False)
            )
        )
    return flows


def retryable(session: Session, ids: Collection[UUID]) -> list[InboxMessage]:
    """Return those of the messages that are dead or waiting, locked until the commit."""
    rows = list(
        session.scalars(
            select(InboxMessage)
            .where(
                col(InboxMessage.id).in_(ids),
                col(InboxMessage.state).in_((DeliveryState.DEAD, DeliveryState.WAITING)),
            )
            .order_by(col(InboxMessage.seq))
            .with_for_update()
        )
    )
    session.expunge_all()
    return rows


def replace(session: Session, ident: UUID, **values: Any) -> None:
    """Set columns of a message that a person injects again."""
    session.execute(
        update(InboxMessage)
        .where(col(InboxMessage.id) == ident)
        .values(**values)
        .execution_options(synchronize_session=False)
    )


def has_work(session: Session, *, flow: str, key: str, now: datetime, max_attempts: int) -> bool:
    """Return whether the flow could claim something for the key now."""
    statement = (
        select(col(InboxMessage.seq))
        .where(
            col(InboxMessage.flow) == flow,
            col(InboxMessage.key) == key,
            claimable(InboxMessage, now, max_attempts),
        )
        .limit(1)
    )
    return session.scalar(statement) is not None


def keys_with_work(session: Session, *, now: datetime, max_attempts: int) -> set[tuple[str, str]]:
    """Return each (flow, key) that has something to claim."""
    statement = (
        select(col(InboxMessage.flow), col(InboxMessage.key))
        .where(claimable(InboxMessage, now, max_attempts), col(InboxMessage.key) != "")
        .distinct()
    )
    return {(flow, key) for flow, key in session.execute(statement)}
