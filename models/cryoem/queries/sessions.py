"""Read EPU sessions and their counts."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import and_, func, or_, select
from sqlmodel import Session, SQLModel, col

from core.errors import NotFound
from models.athena import Time
from models.base import DeliveryState
from models.cryoem.api_schemas import (
    AthenaSessionView,
    DecisionCount,
    Entities,
    SessionDetail,
    SessionSummary,
)
from models.cryoem.athena import count_areas
from models.cryoem.decision_tables import AthenaSession, Decision, Prediction
from models.cryoem.decisions import ORDER, SUBMIT
from models.cryoem.states import DecisionState
from models.cryoem.tables import Acquisition, Atlas, AtlasTile, Grid, Hole, Micrograph, Square
from models.inbox import InboxMessage
from models.outbox import OutboxMessage
from models.paging import Keyset, Page

_SessionRow: TypeAlias = tuple[Grid, Acquisition, AthenaSession | None]
_KEYSET: Keyset[tuple[Any, UUID]] = Keyset(tuple[Time | None, UUID])
_ON_THE_WAY = (DeliveryState.PENDING, DeliveryState.CLAIMED)


def list_sessions(
    session: Session, *, limit: int, cursor: str | None = None
) -> Page[SessionSummary]:
    """Return sessions, the latest started first, those without a start last."""
    started, uuid = col(Acquisition.started_at), col(Grid.uuid)
    statement = _sessions().order_by(started.desc().nulls_last(), uuid.desc()).limit(limit + 1)
    after = _KEYSET.read(cursor)
    if after is not None:
        moment, ident = after
        if moment is None:
            statement = statement.where(started.is_(None), uuid < ident)
        else:
            same = and_(started == moment, uuid < ident)
            statement = statement.where(or_(started < moment, same, started.is_(None)))
    return _KEYSET.page(
        session.execute(statement).tuples().all(),
        limit,
        key=lambda row: (row[1].started_at, row[0].uuid),
        view=lambda rows: _summaries(session, rows),
    )


def get_session(session: Session, grid: UUID) -> SessionDetail:
    """Return a session with all its counts.

    Raises:
        NotFound: There is no such session.
    """
    row = session.execute(_sessions().where(col(Grid.uuid) == grid)).tuples().one_or_none()
    if row is None:
        raise NotFound(f"There is no session of grid {grid}.")
    known, acquisition, athena = row
    (summary,) = _summaries(session, [row])
    tiles = session.scalar(
        select(func.count(col(AtlasTile.uuid)))
        .join(Atlas, col(Atlas.uuid) == col(AtlasTile.atlas_uuid))
        .where(col(Atlas.grid_uuid) == grid)
    )
    return SessionDetail(
        **summary.model_dump(),
        acquisition_uuid=acquisition.uuid,
        epu_id=acquisition.epu_id,
        grid_name=known.name,
        end_reason=acquisition.end_reason,
        instrument_model=acquisition.instrument_model,
        instrument_id=acquisition.instrument_id,
        software_version=acquisition.software_version,
        storage_path=acquisition.storage_path,
        entities=Entities(
            tiles=tiles or 0,
            squares=summary.squares,
            holes=summary.holes,
            micrographs=summary.micrographs,
        ),
        athena=AthenaSessionView.model_validate(athena) if athena is not None else None,
        areas_registered=count_areas(session, grid),
        predictions=_tally(
            session, col(Prediction.level), Prediction, col(Prediction.grid_uuid) == grid
        ),
        decisions=count_decisions(session, grid),
        outbox={
            DecisionState.of(state): count
            for state, count in _tally(
                session,
                col(OutboxMessage.state),
                OutboxMessage,
                col(OutboxMessage.flow) == SUBMIT,
                col(OutboxMessage.key) == str(grid),
            ).items()
        },
        inbox=_tally(
            session, col(InboxMessage.state), InboxMessage, col(InboxMessage.key) == str(grid)
        ),
    )


def require_grid(session: Session, grid: UUID) -> None:
    """Raise NotFound unless the grid is known."""
    if session.scalar(select(col(Grid.uuid)).where(col(Grid.uuid) == grid)) is None:
        raise NotFound(f"There is no session of grid {grid}.")


def count_decisions(session: Session, grid: UUID) -> list[DecisionCount]:
    """Return decisions by type, and what the latest one on each square says."""
    counts = _tally(session, col(Decision.decision_type), Decision, col(Decision.grid_uuid) == grid)
    newest = (
        func.row_number()
        .over(
            partition_by=(col(Decision.decision_type), col(Decision.area_uuid)),
            order_by=(col(Decision.made_at).desc(), col(Decision.id).desc()),
        )
        .label("newest")
    )
    ranked = (
        select(col(Decision.decision_type), col(Decision.outcome), newest)
        .where(col(Decision.grid_uuid) == grid)
        .subquery()
    )
    in_force = select(ranked.c.decision_type, ranked.c.outcome).where(ranked.c.newest == 1)
    said = {kind: [0, 0] for kind in counts}
    for kind, outcome in session.execute(in_force):
        # An order selects all that it names.
        selected = len(outcome) if kind == ORDER else sum(outcome.values())
        said[kind][0] += selected
        said[kind][1] += len(outcome) - selected
    return [
        DecisionCount(
            decision_type=kind, decisions=count, selected=said[kind][0], rejected=said[kind][1]
        )
        for kind, count in sorted(counts.items())
    ]


def _sessions() -> Any:
    return (
        select(Grid, Acquisition, AthenaSession)
        .join(Acquisition, col(Acquisition.uuid) == col(Grid.acquisition_uuid))
        .outerjoin(AthenaSession, col(AthenaSession.grid_uuid) == col(Grid.uuid))
    )


def _summaries(session: Session, rows: Sequence[_SessionRow]) -> list[SessionSummary]:
    grids = [grid.uuid for grid, _, _ in rows]
    squares, holes, micrographs = (
        _counts(session, model, grids) for model in (Square, Hole, Micrograph)
    )
    sent, pending = _decision_counts(session, grids)
    return [
        SessionSummary(
            grid_uuid=grid.uuid,
            name=acquisition.name,
            started_at=acquisition.started_at,
            ended_at=acquisition.ended_at,
            last_news_at=grid.last_news_at,
            athena_session_id=athena.session_id if athena is not None else None,
            run_number=athena.run_number if athena is not None else None,
            squares=squares.get(grid.uuid, 0),
            holes=holes.get(grid.uuid, 0),
            micrographs=micrographs.get(grid.uuid, 0),
            decisions_sent=sent.get(str(grid.uuid), 0),
            decisions_pending=pending.get(str(grid.uuid), 0),
        )
        for grid, acquisition, athena in rows
    ]


def _counts(
    session: Session, model: type[Square | Hole | Micrograph], grids: Sequence[UUID]
) -> dict[UUID, int]:
    return _tally(session, col(model.grid_uuid), model, col(model.grid_uuid).in_(grids))


def _decision_counts(
    session: Session, grids: Sequence[UUID]
) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """Return grid → decisions that Athena has, and grid → decisions on their way."""
    sent: dict[str, int] = {}
    pending: dict[str, int] = {}
    statement = (
        select(col(OutboxMessage.key), col(OutboxMessage.state), func.count())
        .where(
            col(OutboxMessage.flow) == SUBMIT,
            col(OutboxMessage.key).in_([str(grid) for grid in grids]),
        )
        .group_by(col(OutboxMessage.key), col(OutboxMessage.state))
    )
    for key, state, count in session.execute(statement):
        if state == DeliveryState.DONE:
            sent[key] = count
        elif state in _ON_THE_WAY:
            pending[key] = pending.get(key, 0) + count
    return sent, pending


def _tally(session: Session, by: Any, model: type[SQLModel], *where: Any) -> dict[Any, int]:
    statement = select(by, func.count()).select_from(model).where(*where).group_by(by)
    return {value: count for value, count in session.execute(statement)}  # noqa: C416 (a Row is no pair to dict())
