"""Read decisions and trace them back to what caused them."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import and_, func, or_, select
from sqlmodel import Session, col

from core.errors import NotFound
from models.athena import Time
from models.cryoem.api_schemas import (
    AthenaDecisionView,
    BasisView,
    DecisionDetail,
    DecisionSummary,
    OutboxView,
)
from models.cryoem.athena import get_session as get_athena_session
from models.cryoem.decision_tables import AthenaArea, Decision, DecisionBasis, Level, Prediction
from models.cryoem.decisions import as_sent
from models.cryoem.states import DecisionState
from models.cryoem.tables import Hole, Square
from models.inbox import InboxMessage
from models.outbox import OutboxMessage
from models.paging import Keyset, Page

_KEYSET: Keyset[tuple[Any, UUID]] = Keyset(tuple[Time, UUID])


@dataclass(frozen=True)
class DecisionFilter:
    """Which decisions to list; None means all."""

    grid: UUID | None = None
    decision_type: str | None = None
    state: DecisionState | None = None

    def conditions(self) -> list[Any]:
        """Return the SQL conditions."""
        found: list[Any] = []
        if self.grid is not None:
            found.append(col(Decision.grid_uuid) == self.grid)
        if self.decision_type is not None:
            found.append(col(Decision.decision_type) == self.decision_type)
        if self.state is not None:
            found.append(col(OutboxMessage.state) == self.state.stored())
        return found


def list_decisions(
    session: Session, wanted: DecisionFilter, *, limit: int, cursor: str | None = None
) -> Page[DecisionSummary]:
    """Return decisions, newest first."""
    made, ident = col(Decision.made_at), col(Decision.id)
    statement = (
        _decisions()
        .where(*wanted.conditions())
        .order_by(made.desc(), ident.desc())
        .limit(limit + 1)
    )
    after = _KEYSET.read(cursor)
    if after is not None:
        moment, last = after
        statement = statement.where(
            made <= moment, or_(made < moment, and_(made == moment, ident < last))
        )
    return _KEYSET.page(
        session.execute(statement).tuples().all(),
        limit,
        key=lambda row: (row[0].made_at, row[0].id),
        view=lambda rows: [_summary(row) for row in rows],
    )


def get_decision(session: Session, ident: UUID) -> DecisionDetail:
    """Return a decision with its trail.

    Raises:
        NotFound: There is no such decision.
    """
    row = session.execute(_decisions().where(col(Decision.id) == ident)).tuples().one_or_none()
    if row is None:
        raise NotFound(f"There is no decision {ident}.")
    decision, sent, _ = row
    return DecisionDetail(
        **_summary(row).model_dump(),
        outcome={UUID(area): chosen for area, chosen in decision.outcome.items()},
        flow_run_id=decision.flow_run_id,
        predictions=_basis(session, ident),
        outbox=OutboxView(
            state=DecisionState.of(sent.state),
            **sent.model_dump(include=set(OutboxView.model_fields) - {"state"}),
        ),
        athena=_athena(session, decision, sent),
    )


def _decisions() -> Any:
    # Each decision is put in the outbox with itself, in one transaction.
    return (
        select(Decision, OutboxMessage, col(Square.square_id))
        .join(OutboxMessage, col(OutboxMessage.id) == col(Decision.id))
        .outerjoin(Square, col(Square.uuid) == col(Decision.area_uuid))
    )


def _summary(row: tuple[Decision, OutboxMessage, int | None]) -> DecisionSummary:
    decision, sent, square_id = row
    latency = None
    if sent.sent_at is not None and sent.caused_at is not None:
        latency = (sent.sent_at - sent.caused_at).total_seconds()
    return DecisionSummary(
        **decision.model_dump(include=set(DecisionSummary.model_fields)),
        square_id=square_id,
        value=_value(decision),
        state=DecisionState.of(sent.state),
        sent_at=sent.sent_at,
        latency_seconds=latency,
    )


def _value(decision: Decision) -> str:
    selected = sum(decision.outcome.values())
    if decision.level == Level.SQUARE:
        return "true" if selected else "false"
    return f"{selected} of {len(decision.outcome)} holes"


def _basis(session: Session, decision: UUID) -> list[BasisView]:
    statement = (
        select(
            col(Prediction.id).label("prediction_id"),
            col(Prediction.target_uuid),
            func.coalesce(col(Square.square_id), col(Hole.hole_id)).label("target_id"),
            col(Prediction.model_name).label("model"),
            col(Prediction.metric_name).label("metric"),
            col(Prediction.value),
            col(Prediction.predicted_at),
            col(Prediction.message_uuid).label("message"),
            col(InboxMessage.source),
            col(InboxMessage.message_id),
        )
        .join(DecisionBasis, col(DecisionBasis.prediction_id) == col(Prediction.id))
        .outerjoin(Square, col(Square.uuid) == col(Prediction.target_uuid))
        .outerjoin(Hole, col(Hole.uuid) == col(Prediction.target_uuid))
        .outerjoin(InboxMessage, col(InboxMessage.id) == col(Prediction.message_uuid))
        .where(col(DecisionBasis.decision_id) == decision)
        .order_by(col(Prediction.message_seq), col(Prediction.id))
    )
    return [BasisView.model_validate(row) for row in session.execute(statement)]


def _athena(session: Session, decision: Decision, row: OutboxMessage) -> AthenaDecisionView | None:
    known = get_athena_session(session, decision.grid_uuid)
    if known is None:
        return None
    area = session.get(AthenaArea, decision.area_uuid)
    told = as_sent(session, [row]).get(decision.id)
    return AthenaDecisionView(
        session_id=known.session_id,
        area_id=area.area_id if area is not None else None,
        value=told.value if told is not None else None,
    )
