"""When a session began, has ended, and has begun again."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update
from sqlmodel import Session, col

from models.cryoem.decision_tables import AthenaSession
from models.cryoem.tables import Acquisition, Grid


def end(session: Session, grid: UUID, *, at: datetime, reason: str) -> None:
    """Note that a session has ended; an earlier end stays."""
    session.execute(
        update(Acquisition)
        .where(
            col(Acquisition.uuid).in_(
                select(col(Grid.acquisition_uuid)).where(col(Grid.uuid) == grid)
            ),
            col(Acquisition.ended_at).is_(None),
        )
        .values(ended_at=at, end_reason=reason)
        .execution_options(synchronize_session=False)
    )


def has_ended(session: Session, grid: UUID) -> bool:
    """Return whether a grid's session is over, so that nothing more is collected from it."""
    statement = (
        select(col(Acquisition.ended_at))
        .join(Grid, col(Grid.acquisition_uuid) == col(Acquisition.uuid))
        .where(col(Grid.uuid) == grid)
    )
    return session.scalar(statement) is not None


def began_at(session: Session, grid: UUID) -> datetime | None:
    """Return when a grid's session began; None where nobody told."""
    return session.scalar(
        select(col(Acquisition.started_at))
        .join(Grid, col(Grid.acquisition_uuid) == col(Acquisition.uuid))
        .where(col(Grid.uuid) == grid)
    )


def reopen(session: Session, grid: UUID, *, newest_file: datetime) -> bool:
    """Open a session again that ended, or was closed, before a file was written.

    Its run at Athena is over: it is to get another one. Returns whether that is so.
    """
    found = session.execute(
        select(col(Acquisition.uuid), col(Acquisition.ended_at), col(AthenaSession.run_stopped_at))
        .join(Grid, col(Grid.acquisition_uuid) == col(Acquisition.uuid))
        .outerjoin(AthenaSession, col(AthenaSession.grid_uuid) == col(Grid.uuid))
        .where(col(Grid.uuid) == grid)
    ).one_or_none()
    if found is None:
        return False
    acquisition, ended_at, stopped_at = found
    # The end is by the instrument's clock, as its files are, where the agent told of it.
    over_since = ended_at or stopped_at
    if over_since is None or newest_file <= over_since:
        return False
    session.execute(
        update(Acquisition)
        .where(col(Acquisition.uuid) == acquisition)
        .values(ended_at=None, end_reason=None)
        .execution_options(synchronize_session=False)
    )
    session.execute(
        update(AthenaSession)
        .where(col(AthenaSession.grid_uuid) == grid, col(AthenaSession.run_stopped_at).is_not(None))
        .values(run_number=None, run_started_at=None, run_stopped_at=None, stop_reason=None)
        .execution_options(synchronize_session=False)
    )
    return True
