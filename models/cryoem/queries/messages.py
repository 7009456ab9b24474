"""Read the inbox."""

from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Any, TypeAlias
from uuid import UUID

from pydantic import Field
from sqlalchemy import ColumnElement, func, or_, select
from sqlmodel import Session, col

from core.errors import NotFound
from models.cryoem.api_schemas import MessageDetail, MessageSummary
from models.cryoem.decision_tables import Decision, Prediction
from models.cryoem.states import MessageState
from models.cryoem.tables import Hole
from models.inbox import InboxMessage
from models.paging import Keyset, Page

#: How many decisions are listed as what a message led to.
_MOST_DECISIONS = 1_000

_Key: TypeAlias = tuple[Annotated[int, Field(ge=0, lt=2**63)]]
_KEYSET: Keyset[tuple[int]] = Keyset(_Key)

#: Everything but the payload, which may be large.
_COLUMNS = [getattr(InboxMessage, name) for name in ("seq", *MessageSummary.model_fields)]


@dataclass(frozen=True)
class MessageFilter:
    """Which messages to list; None means all."""

    state: MessageState | None = None
    kind: str | None = None
    key: str | None = None
    source: str | None = None

    def conditions(self) -> list[Any]:
        """Return the SQL conditions."""
        return [
            col(getattr(InboxMessage, name)) == value
            for name, value in vars(self).items()
            if value is not None
        ]


def list_messages(
    session: Session, wanted: MessageFilter, *, limit: int, cursor: str | None = None
) -> Page[MessageSummary]:
    """Return messages, newest first."""
    statement = (
        select(*_COLUMNS)
        .where(*wanted.conditions())
        .order_by(col(InboxMessage.seq).desc())
        .limit(limit + 1)
    )
    after = _KEYSET.read(cursor)
    if after is not None:
        statement = statement.where(col(InboxMessage.seq) < after[0])
    return _KEYSET.page(
        session.execute(statement).all(),
        limit,
        key=lambda row: (row.seq,),
        view=lambda rows: [MessageSummary.model_validate(row) for row in rows],
    )


def get_message(session: Session, ident: UUID) -> MessageDetail:
    """Return a message, its payload and what it led to.

    Raises:
        NotFound: There is no such message.
    """
    row = session.scalar(select(InboxMessage).where(col(InboxMessage.id) == ident))
    if row is None:
        raise NotFound(f"There is no message {ident}.")
    brought = col(Prediction.message_seq) == row.seq
    decisions = _decisions_on(session, row.seq, brought)
    return MessageDetail(
        **MessageSummary.model_validate(row).model_dump(),
        payload=row.payload,
        predictions=session.scalar(select(func.count()).select_from(Prediction).where(brought))
        or 0,
        decisions=decisions,
    )


def _decisions_on(session: Session, seq: int | None, brought: ColumnElement[bool]) -> list[UUID]:
    """Return the decisions that rest on a message, newest first."""
    targets = select(col(Prediction.target_uuid)).where(brought)
    squares = select(col(Hole.square_uuid)).where(col(Hole.uuid).in_(targets))
    candidates = session.execute(
        select(col(Decision.id), col(Decision.basis))
        .where(or_(col(Decision.area_uuid).in_(targets), col(Decision.area_uuid).in_(squares)))
        .order_by(col(Decision.made_at).desc(), col(Decision.id).desc())
    )
    resting = (ident for ident, basis in candidates if seq in basis.values())
    return list(islice(resting, _MOST_DECISIONS))


def ids_in_state(session: Session, wanted: MessageFilter) -> list[UUID]:
    """Return the ids of all messages that fit, oldest first."""
    statement = select(col(InboxMessage.id)).where(*wanted.conditions())
    return list(session.scalars(statement.order_by(col(InboxMessage.seq))))
