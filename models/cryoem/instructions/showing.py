"""What pages are shown of a moment: who is online, how far acquisitions are, what was measured."""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlmodel import Session, col

from core.clock import as_text
from models.cryoem.instructions.tables import (
    AgentConnection,
    AgentSession,
    ConnectionStatus,
    SessionStatus,
)
from models.cryoem.processing_tables import CurrentMeasurement
from models.cryoem.tables import Acquisition, Grid, Hole, Micrograph, Square
from models.sql import chunks, one_of

#: What pages are told of a micrograph, which are the names of our columns and measurements too.
_METRICS = (
    "total_motion",
    "average_motion",
    "ctf_max_resolution_estimate",
    "number_of_particles_picked",
    "number_of_particles_selected",
)


def agents(session: Session, *, agent_id: str | None = None) -> list[dict[str, Any]]:
    """Return the active sessions whose agents are online, as `agent.status` shows them."""
    statement = (
        select(AgentSession, col(AgentConnection.last_heartbeat_at))
        .join(AgentConnection, col(AgentConnection.connection_id) == AgentSession.connection_id)
        .where(
            col(AgentConnection.status) == ConnectionStatus.ACTIVE,
            col(AgentSession.status) == SessionStatus.ACTIVE,
        )
        .order_by(col(AgentSession.agent_id), col(AgentSession.session_id))
    )
    if agent_id is not None:
        statement = statement.where(col(AgentSession.agent_id) == agent_id)
    return [
        {
            "agent_id": of.agent_id,
            "status": "online",
            "session_id": of.session_id,
            "acquisition_uuid": None if of.acquisition_uuid is None else str(of.acquisition_uuid),
            "last_heartbeat_at": as_text(heard_at),
            "connection_count": 1,
        }
        for of, heard_at in session.execute(statement).tuples()
    ]


def progress(
    session: Session, acquisitions: Collection[UUID] | None = None, *, limit: int = 200
) -> list[dict[str, Any]]:
    """Return how far acquisitions are, as `acquisition.progress` shows it.

    Args:
        session: The transaction.
        acquisitions: Which; None for the latest, whatever they are.
        limit: How many at most.
    """
    statement = (
        select(col(Acquisition.uuid), col(Acquisition.status), col(Acquisition.ended_at))
        .where(col(Acquisition.deleted_at).is_(None))
        .order_by(col(Acquisition.started_at).desc().nulls_last(), col(Acquisition.uuid))
        .limit(limit)
    )
    if acquisitions is not None:
        statement = statement.where(one_of(session, col(Acquisition.uuid), list(acquisitions)))
    found = session.execute(statement).all()
    owners = _grids(session, [row.uuid for row in found])
    counts = {
        name: _count(session, model, owners)
        for name, model in (
            ("gridsquare_count", Square),
            ("foilhole_count", Hole),
            ("micrograph_count", Micrograph),
        )
    }
    grids: dict[UUID, int] = {}
    for owner in owners.values():
        grids[owner] = grids.get(owner, 0) + 1
    return [
        {
            "acquisition_uuid": str(row.uuid),
            "grid_count": grids.get(row.uuid, 0),
            **{name: of.get(row.uuid, 0) for name, of in counts.items()},
            "status": row.status or ("started" if row.ended_at is None else "completed"),
        }
        for row in found
    ]


def metrics_of(session: Session, micrographs: Collection[UUID]) -> list[dict[str, Any]]:
    """Return what is known of micrographs, as `processing.metric` shows it, in their order."""
    columns = [col(getattr(Micrograph, name)) for name in ("uuid", "hole_uuid", *_METRICS)]
    found: dict[UUID, dict[str, Any]] = {}
    for part in chunks(list(micrographs)):
        where = one_of(session, col(Micrograph.uuid), part)
        for row in session.execute(select(*columns).where(where)):
            found[row.uuid] = {
                "micrograph_uuid": str(row.uuid),
                "foilhole_uuid": str(row.hole_uuid),
                **{name: getattr(row, name) for name in _METRICS},
            }
        measured = select(
            col(CurrentMeasurement.micrograph_uuid),
            col(CurrentMeasurement.name),
            col(CurrentMeasurement.value),
        ).where(one_of(session, col(CurrentMeasurement.micrograph_uuid), part))
        for micrograph, name, value in session.execute(measured):
            if name in _METRICS and micrograph in found:
                whole = name.startswith("number_")
                found[micrograph][name] = int(value) if whole else value
    return [found[one] for one in micrographs if one in found]


def _grids(session: Session, acquisitions: Collection[UUID]) -> dict[UUID, UUID]:
    """Return the acquisition of each of their grids."""
    rows = session.execute(
        select(col(Grid.uuid), col(Grid.acquisition_uuid)).where(
            one_of(session, col(Grid.acquisition_uuid), list(acquisitions)),
            col(Grid.deleted_at).is_(None),
        )
    )
    return dict(rows.tuples().all())


def _count(session: Session, model: Any, owners: Mapping[UUID, UUID]) -> dict[UUID, int]:
    counts: dict[UUID, int] = {}
    for part in chunks(list(owners)):
        rows = session.execute(
            select(col(model.grid_uuid), func.count())
            .where(one_of(session, col(model.grid_uuid), part), col(model.deleted_at).is_(None))
            .group_by(col(model.grid_uuid))
        )
        for grid, number in rows.tuples():
            counts[owners[grid]] = counts.get(owners[grid], 0) + number
    return counts
