"""Read the inbox."""

from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias
from uuid import UUID

from pydantic import Field
from sqlalchemy import func, select
from sqlmodel import Session, col

from core.errors import NotFound
from models.cryoem.api_schemas import MessageDetail, MessageSummary
from models.cryoem.decision_tables import Decision, DecisionBasis, Prediction
from models.cryoem.states import MessageState
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
    brought = col(Prediction.message_uuid) == ident
    resting = (
        select(col(DecisionBasis.decision_id))
        .join(Prediction, col(Prediction.id) == col(DecisionBasis.prediction_id))
        .where(brought)
    )
    decisions = session.scalars(
        select(col(Decision.id))
        .where(col(Decision.id).in_(resting))
        .order_by(col(Decision.made_at).desc(), col(Decision.id).desc())
        .limit(_MOST_DECISIONS)
    )
    return MessageDetail(
        **MessageSummary.model_validate(row).model_dump(),
        payload=row.payload,
        predictions=session.scalar(select(func.count()).select_from(Prediction).where(brought))
        or 0,
        decisions=list(decisions),
    )


def ids_in_state(session: Session, wanted: MessageFilter) -> list[UUID]:
    """Return the ids of all messages that fit, oldest first."""
    statement = select(col(InboxMessage.id)).where(*wanted.conditions())
    return list(session.scalars(statement.order_by(col(InboxMessage.seq))))
