"""The inbox: what the outside sent, stored before it is acknowledged (rules 1 to 3).

Work on it is claimed by key: who drains a flow's key (`models.drain`) holds all its messages,
and each transaction of the drain proves that it still does. So a message costs one insert and
one update. Only after crashes are messages claimed one by one as well, to find the culprit.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from sqlalchemy import (
    JSON,
    TEXT,
    Column,
    ColumnElement,
    Index,
    and_,
    cast,
    func,
    literal_column,
    or_,
    select,
    text,
    update,
)
from sqlmodel import Field, Session, col

from core.errors import LeaseLost
from core.ids import ATHANOR, derived
from models import work
from models.base import DeliveryState, LeasedRow, sequence_field
from models.json_text import JsonText, dumps
from models.sql import chunks, insert_new, lock_until_commit, one_of, update_each
from models.visibility import choice
from models.visibility.enforcement import UNSEEN
from models.visibility.owners import owners_of

#: Lock between those who let messages wait for something and those who make it known.
WAITING = "inbox waiting"

#: A batch is full when its messages have so many characters, however few they are: one that
#: names a hundred holes is the work of a hundred.
FULL_CHARACTERS = 512 * 1024
#: How many rows are read at once.
_ROWS_AT_ONCE = 200

_OPEN = (DeliveryState.PENDING, DeliveryState.CLAIMED)
#: Columns of a message that nobody holds any more.
_LET_GO: dict[str, Any] = {"claimed_by": None, "lease_expires_at": None}


def _only(condition: str) -> dict[str, Any]:
    return {"postgresql_where": text(condition), "sqlite_where": text(condition)}


class InboxMessage(LeasedRow, table=True):
    """One message from outside, and its life since."""

    __tablename__ = "inbox_message"  # pyright: ignore[reportAssignmentType]
    # What is done stands in few indexes: it is what there are millions of.
    __table_args__ = (
        Index(
            "ix_inbox_message_work",
            "flow",
            "key",
            "seq",
            **_only("state IN ('pending', 'claimed')"),
        ),
        Index("ix_inbox_message_open", "state", "seq", **_only("state <> 'done'")),
        Index("ix_inbox_message_key", "key", "seq"),
        Index("ix_inbox_message_waiting_for", "waiting_for", **_only("state = 'waiting'")),
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
    payload: dict[str, Any] = Field(
        default=None, sa_column=Column(JSON(none_as_null=True), nullable=False)
    )
    received_at: datetime
    #: Uuid or name of what must be known first.
    waiting_for: str | None = None
    done_at: datetime | None = None
    #: Whose its sender is; NULL for one who sees the sessions of all.
    organisation: str | None = None


@dataclass(frozen=True)
class NewMessage:
    """A message to store."""

    source: str
    domain: str
    kind: str
    flow: str
    key: str
    payload: dict[str, Any] | JsonText
    message_id: str | None = None
    state: DeliveryState = DeliveryState.PENDING
    waiting_for: str | None = None
    error: str | None = None


class Received(NamedTuple):
    """A message as it is handed to who works on it."""

    seq: int
    id: UUID
    domain: str
    kind: str
    received_at: datetime
    #: How often it was claimed on its own before.
    attempts: int
    #: The message as JSON text.
    text: str

    @property
    def payload(self) -> dict[str, Any]:
        """The message as JSON."""
        return json.loads(self.text)


@dataclass(frozen=True)
class Missing:
    """A message that must wait, and for what."""

    message: Received
    what: str
    ident: str


@dataclass(frozen=True)
class Stored:
    """What became of a stored message: its id, and whether it had come before."""

    id: UUID
    repeated: bool


def store(session: Session, messages: Sequence[NewMessage], *, now: datetime) -> list[Stored]:
    """Store messages in order; one seen before (same source and message id) is kept as it was."""
    sender = choice.of_sender()
    # Nobody's messages are repeats of another organisation's, whatever they are called.
    scope = () if sender is None else (sender,)
    ids = [
        derived(ATHANOR, "inbox", *scope, message.source, message.message_id)
        if message.message_id is not None
        else uuid4()
        for message in messages
    ]
    first: dict[UUID, NewMessage] = {}
    for ident, message in zip(ids, messages, strict=True):
        # Of a message that comes twice in one call, the first is stored.
        first.setdefault(ident, message)
    new = insert_new(
        session,
        InboxMessage,
        [
            {
                **vars(message),
                "id": ident,
                "organisation": sender,
                "received_at": now,
                "available_at": now,
                "attempts": 0,
                "fence": 0,
            }
            for ident, message in first.items()
        ],
        unique="id",
    )
    stored: list[Stored] = []
    for ident in ids:
        stored.append(Stored(ident, ident not in new))
        new.discard(ident)
    return stored


def record(session: Session, messages: Sequence[NewMessage], *, now: datetime) -> list[Received]:
    """Store messages that this very transaction works on, as done; return them in order."""
    ids = [uuid4() for _ in messages]
    rows = [
        {
            **vars(message),
            "id": ident,
            "organisation": choice.of_sender(),
            "state": DeliveryState.DONE,
            "received_at": now,
            "available_at": now,
            "done_at": now,
            "attempts": 0,
            "fence": 0,
        }
        for ident, message in zip(ids, messages, strict=True)
    ]
    seqs: dict[UUID, int] = {}
    for part in chunks(rows):
        insert_new(session, InboxMessage, part, unique="id")
        statement = select(col(InboxMessage.id), col(InboxMessage.seq)).where(
            one_of(session, col(InboxMessage.id), [row["id"] for row in part])
        )
        found = session.execute(statement, execution_options=UNSEEN)
        seqs |= {ident: seq for ident, seq in found if seq is not None}
    return [
        Received(seqs[ident], ident, one.domain, one.kind, now, 0, dumps(one.payload))
        for ident, one in zip(ids, messages, strict=True)
    ]


def take(
    session: Session, *, flow: str, key: str, now: datetime, limit: int, max_attempts: int
) -> list[Received]:
    """Return a flow's messages for one key that are to be worked on, in order of arrival.

    At most `limit`, and no more after the batch is full. The caller holds the key's drain in
    this transaction.
    """
    statement = (
        select(
            col(InboxMessage.seq),
            col(InboxMessage.id),
            col(InboxMessage.domain),
            col(InboxMessage.kind),
            col(InboxMessage.received_at),
            col(InboxMessage.attempts),
            cast(col(InboxMessage.payload), TEXT),
        )
        .where(
            col(InboxMessage.flow) == flow,
            col(InboxMessage.key) == key,
            _workable(now, max_attempts),
        )
        .order_by(col(InboxMessage.seq))
        .limit(limit)
    )
    messages: list[Received] = []
    characters = 0
    with session.execute(statement.execution_options(yield_per=_ROWS_AT_ONCE)) as rows:
        for row in rows:
            messages.append(Received(*row))
            characters += len(messages[-1].text)
            if characters >= FULL_CHARACTERS:
                break
    return messages


def is_full(messages: Sequence[Received], *, limit: int) -> bool:
    """Return whether `take` with this limit stopped at these, so that there may be more."""
    return len(messages) >= limit or sum(len(one.text) for one in messages) >= FULL_CHARACTERS


def claim(
    session: Session,
    messages: Sequence[Received],
    *,
    holder: str,
    now: datetime,
    lease_seconds: float,
) -> None:
    """Note that messages are about to be worked on, so that a crash counts against them."""
    work.update_rows(
        session,
        InboxMessage,
        [message.seq for message in messages],
        **work.claimed(
            InboxMessage,
            holder=holder,
            fence=col(InboxMessage.fence) + 1,
            until=now + timedelta(seconds=lease_seconds),
        ),
    )


def finish(
    session: Session,
    messages: Iterable[Received],
    *,
    now: datetime,
    flow_run_id: str | None,
) -> None:
    """Mark taken messages as done."""
    _settle(
        session,
        messages,
        state=DeliveryState.DONE,
        done_at=now,
        error=None,
        flow_run_id=flow_run_id,
    )


def set_aside(session: Session, message: Received, *, reason: str) -> None:
    """Mark a taken message as dead, with the reason that a person will read."""
    _settle(session, [message], state=DeliveryState.DEAD, error=reason)


def let_wait(session: Session, missing: Sequence[Missing]) -> None:
    """Let taken messages wait until what they need is known; a wait is not a failed attempt.

    Whoever finds that something is unknown calls `before_waiting` and looks again first.
    """
    rows = [
        {
            "seq": one.message.seq,
            "waiting_for": one.ident,
            "error": f"waits for {one.what} {one.ident}",
        }
        for one in missing
    ]
    settled = update_each(
        session,
        InboxMessage,
        rows,
        _still_open(),
        key="seq",
        state=DeliveryState.WAITING,
        attempts=0,
        **_LET_GO,
    )
    _check_settled(settled, len(rows))


def _settle(session: Session, messages: Iterable[Received], **values: Any) -> None:
    seqs = [message.seq for message in messages]
    settled = work.update_rows(session, InboxMessage, seqs, _still_open(), **values, **_LET_GO)
    _check_settled(settled, len(seqs))


def _check_settled(settled: int, asked: int) -> None:
    if settled != asked:
        raise LeaseLost(f"{asked - settled} of {asked} messages were settled by another")


def _still_open() -> ColumnElement[bool]:
    # Messages that are named are found by their numbers. An index of what is open is not to be
    # read for them: it holds all that waits behind them, and what was done since its vacuum.
    return _one_of(func.coalesce(col(InboxMessage.state), literal_column("''")), _OPEN)


def _in_state(*states: DeliveryState) -> ColumnElement[bool]:
    return _one_of(col(InboxMessage.state), states)


def _one_of(value: Any, states: Sequence[DeliveryState]) -> ColumnElement[bool]:
    # In words rather than as parameters: a partial index is used for what it is sure to hold.
    literal = [literal_column(f"'{state}'") for state in states]
    return value.in_(literal) if len(literal) > 1 else (value == literal[0])


def _workable(now: datetime, max_attempts: int) -> ColumnElement[bool]:
    return and_(
        _in_state(*_OPEN),
        col(InboxMessage.available_at) <= now,
        col(InboxMessage.attempts) < max_attempts,
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
    # Whoever makes something known wakes all that wait for it, also what they do not see.
    flows: set[str] = set()
    if idents:
        lock_until_commit(session, WAITING)
    for part in chunks(list(idents)):
        woken = (
            _in_state(DeliveryState.WAITING),
            one_of(session, col(InboxMessage.waiting_for), part),
            *(() if key is None else (_may_name(key),)),
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
                .execution_options(synchronize_session=False, **UNSEEN)
            )
        )
    return flows


def _may_name(key: str) -> ColumnElement[bool]:
    """Return the condition that a message's sender may name something of this grid."""
    sender = col(InboxMessage.organisation)
    return or_(sender.is_(None), sender.in_(owners_of(key)))


def retryable(session: Session, ids: Collection[UUID]) -> list[InboxMessage]:
    """Return those of the messages that are dead or waiting, locked until the commit."""
    return work.lock(session, InboxMessage, ids, DeliveryState.DEAD, DeliveryState.WAITING)


def replace(session: Session, rows: Sequence[dict[str, Any]], **values: Any) -> None:
    """Set columns of messages that a person injects again: each its own, and `values` of all.

    A row gives the message's id and what is new; all rows have the same names.
    """
    update_each(session, InboxMessage, rows, key="id", **values)


def has_work(session: Session, *, flow: str, key: str, now: datetime, max_attempts: int) -> bool:
    """Return whether the flow could claim something for the key now."""
    statement = (
        select(col(InboxMessage.seq))
        .where(
            col(InboxMessage.flow) == flow,
            col(InboxMessage.key) == key,
            _workable(now, max_attempts),
        )
        .limit(1)
    )
    return session.scalar(statement) is not None


def keys_with_work(session: Session, *, now: datetime, max_attempts: int) -> set[tuple[str, str]]:
    """Return each (flow, key) that has something to claim."""
    statement = (
        select(col(InboxMessage.flow), col(InboxMessage.key))
        .where(_workable(now, max_attempts), col(InboxMessage.key) != "")
        .distinct()
    )
    return {(flow, key) for flow, key in session.execute(statement)}
