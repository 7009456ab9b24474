"""Read decisions and trace them back to what caused them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
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
    OrderedView,
    OutboxView,
)
from models.cryoem.athena import get_session as get_athena_session
from models.cryoem.decision_tables import AthenaArea, Decision, Level, Prediction
from models.cryoem.decisions import ORDER, as_sent
from models.cryoem.states import DecisionState
from models.cryoem.tables import Hole, Square
from models.inbox import InboxMessage
from models.outbox import OutboxMessage
from models.paging import Keyset, Page
from models.sql import chunks, one_of

#: A decision, its outbox row, and EPU's id of its square.
_Row: TypeAlias = tuple[Decision, OutboxMessage, int | None]
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
    return _details(session, [row])[0]


def list_details(session: Session, grid: UUID, *, limit: int) -> list[DecisionDetail]:
    """Return the newest decisions of a grid with their trails, newest first.

    The number of queries grows with the predictions behind them, by the thousand.
    """
    statement = (
        _decisions()
        .where(col(Decision.grid_uuid) == grid)
        .order_by(col(Decision.made_at).desc(), col(Decision.id).desc())
        .limit(limit)
    )
    return _details(session, session.execute(statement).tuples().all())


def _decisions() -> Any:
    # Each decision is put in the outbox with itself, in one transaction.
    return (
        select(Decision, OutboxMessage, col(Square.square_id))
        .join(OutboxMessage, col(OutboxMessage.id) == col(Decision.id))
        .outerjoin(Square, col(Square.uuid) == col(Decision.area_uuid))
    )


def _summary(row: _Row) -> DecisionSummary:
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
    if decision.decision_type == ORDER:
        what = "squares" if _over_squares(decision) else "holes"
        return f"order of {len(decision.outcome)} {what}"
    selected = sum(decision.outcome.values())
    if decision.level == Level.SQUARE:
        return "true" if selected else "false"
    return f"{selected} of {len(decision.outcome)} holes"


def _details(session: Session, rows: Sequence[_Row]) -> list[DecisionDetail]:
    decisions = [decision for decision, _, _ in rows]
    basis = _basis(session, decisions)
    athena = _athena(session, [(decision, sent) for decision, sent, _ in rows])
    ordered = _ordered(session, decisions)
    return [
        DecisionDetail(
            **_summary(row).model_dump(),
            outcome={}
            if row[0].id in ordered
            else {UUID(area): chosen for area, chosen in row[0].outcome.items()},
            order=ordered.get(row[0].id, []),
            flow_run_id=row[0].flow_run_id,
            predictions=basis[row[0].id],
            outbox=OutboxView(
                state=DecisionState.of(row[1].state),
                **row[1].model_dump(include=set(OutboxView.model_fields) - {"state"}),
            ),
            athena=athena.get(row[0].id),
        )
        for row in rows
    ]


def _over_squares(decision: Decision) -> bool:
    """Return whether an order is one of squares; else it is one of holes."""
    return decision.level == Level.SQUARE


def _ordered(session: Session, decisions: Sequence[Decision]) -> dict[UUID, list[OrderedView]]:
    """Return what each order names, in its order, by decision."""
    orders = [one for one in decisions if one.decision_type == ORDER]
    names: dict[UUID, int] = {}
    for squares, uuid, ident in (
        (True, col(Square.uuid), col(Square.square_id)),
        (False, col(Hole.uuid), col(Hole.hole_id)),
    ):
        areas = {
            UUID(area) for one in orders if _over_squares(one) is squares for area in one.outcome
        }
        for part in chunks(sorted(areas)):
            rows = session.execute(select(uuid, ident).where(one_of(session, uuid, part)))
            names |= {area: number for area, number in rows}  # noqa: C416 (a Row is no pair to dict())
    return {
        one.id: [
            OrderedView(target_uuid=UUID(area), target_id=names.get(UUID(area)), **said)
            for area, said in sorted(one.outcome.items(), key=lambda item: item[1]["position"])
        ]
        for one in orders
    }


def _basis(session: Session, decisions: Sequence[Decision]) -> dict[UUID, list[BasisView]]:
    """Return the predictions that each decision rests on, oldest first."""
    named = {(UUID(area), seq) for one in decisions for area, seq in one.basis.items()}
    found: dict[tuple[UUID, int], list[BasisView]] = {}
    for part in chunks(sorted(named, key=lambda item: (item[1], item[0]))):
        statement = (
            select(
                col(Prediction.target_uuid),
                func.coalesce(col(Square.square_id), col(Hole.hole_id)).label("target_id"),
                col(Prediction.model_name).label("model"),
                col(Prediction.metric_name).label("metric"),
                col(Prediction.value),
                col(Prediction.predicted_at),
                col(Prediction.message_uuid).label("message"),
                col(InboxMessage.source),
                col(InboxMessage.message_id),
                col(Prediction.message_seq),
            )
            .outerjoin(Square, col(Square.uuid) == col(Prediction.target_uuid))
            .outerjoin(Hole, col(Hole.uuid) == col(Prediction.target_uuid))
            .outerjoin(InboxMessage, col(InboxMessage.seq) == col(Prediction.message_seq))
            .where(
                # One message may predict areas that the decision is not about.
                one_of(session, col(Prediction.message_seq), list({seq for _, seq in part})),
                one_of(session, col(Prediction.target_uuid), list({area for area, _ in part})),
            )
        )
        for row in session.execute(statement):
            view = BasisView.model_validate(row)
            found.setdefault((row.target_uuid, row.message_seq), []).append(view)
    return {
        one.id: [
            view
            for area, seq in sorted(one.basis.items(), key=lambda item: (item[1], item[0]))
            for view in found.get((UUID(area), seq), ())
        ]
        for one in decisions
    }


def _athena(
    session: Session, rows: Sequence[tuple[Decision, OutboxMessage]]
) -> dict[UUID, AthenaDecisionView]:
    """Return decisions as Athena is told them; those of grids that it knows."""
    sessions = {
        grid: get_athena_session(session, grid) for grid in {one.grid_uuid for one, _ in rows}
    }
    told = as_sent(session, [sent for _, sent in rows])
    areas: dict[UUID, int] = {}
    for part in chunks(list({one.area_uuid for one, _ in rows})):
        statement = select(col(AthenaArea.area_uuid), col(AthenaArea.area_id)).where(
            one_of(session, col(AthenaArea.area_uuid), part)
        )
        areas.update(session.execute(statement).tuples().all())
    found: dict[UUID, AthenaDecisionView] = {}
    for one, _ in rows:
        known, sent = sessions[one.grid_uuid], told.get(one.id)
        if known is not None:
            found[one.id] = AthenaDecisionView(
                session_id=known.session_id,
                area_id=areas.get(one.area_uuid),
                value=None if sent is None else sent.value,
            )
    return found
