"""Sessions of agents: opened, changed and ended."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlmodel import Session, col

from core.caller import current_caller
from core.errors import BadInput, Conflict, NotFound
from domains.cryoem.instructions import CANCELLABLE, Mode, Status, Thresholds
from models.cryoem.instructions import live
from models.cryoem.instructions.tables import (
    AgentConnection,
    AgentSession,
    ConnectionStatus,
    Instruction,
    SessionStatus,
)
from models.cryoem.tables import Acquisition, Grid
from models.visibility import choice, owning


@dataclass(frozen=True)
class NewSession:
    """A session to open."""

    agent_id: str
    session_id: str | None = None
    grid: UUID | None = None
    acquisition: UUID | None = None
    name: str | None = None
    description: str | None = None
    experimental_parameters: dict[str, Any] | None = None
    mode: Mode = Mode.DRY_RUN
    thresholds: Thresholds = field(default_factory=Thresholds)


def open_session(session: Session, new: NewSession, *, now: datetime) -> AgentSession:
    """Store a session.

    Raises:
        NotFound: The grid or the acquisition is not known.
        BadInput: The grid is one of another acquisition.
        Conflict: There is a session of this id.
    """
    ident = new.session_id or str(uuid4())
    if session.get(AgentSession, ident) is not None:
        raise Conflict(f"There is a session {ident} already.")
    if new.grid is None and new.acquisition is None:
        _own(session, ident)
    row = AgentSession(
        session_id=ident,
        agent_id=new.agent_id,
        acquisition_uuid=_acquisition(session, new),
        grid_uuid=new.grid,
        name=new.name,
        description=new.description,
        experimental_parameters=new.experimental_parameters,
        mode=new.mode,
        square_forward=new.thresholds.square_forward,
        square_skip=new.thresholds.square_skip,
        hole_forward=new.thresholds.hole_forward,
        created_at=now,
        last_activity_at=now,
    )
    session.add(row)
    session.flush()
    return row


def _own(session: Session, ident: str) -> None:
    """Make a session that is about nothing yet its caller's, who would not see it else."""
    organisations = current_caller().organisations
    if organisations is not None:
        owning.claim(session, [ident], choice.of_new(organisations))


def _acquisition(session: Session, new: NewSession) -> UUID | None:
    if new.grid is not None:
        grid = session.get(Grid, new.grid)
        if grid is None:
            raise NotFound(f"There is no grid {new.grid}.")
        if new.acquisition not in (None, grid.acquisition_uuid):
            raise BadInput(f"Grid {new.grid} is not one of acquisition {new.acquisition}.")
        return grid.acquisition_uuid
    if new.acquisition is not None and session.get(Acquisition, new.acquisition) is None:
        raise NotFound(f"There is no acquisition {new.acquisition}.")
    return new.acquisition


def get(
    session: Session, ident: str, *, agent: str | None = None, lock: bool = False
) -> AgentSession:
    """Return a session.

    Args:
        session: The transaction.
        ident: Its id.
        agent: Whose it must be.
        lock: Keep others from changing it until the transaction ends.

    Raises:
        NotFound: There is none, or it is another agent's.
    """
    statement = select(AgentSession).where(col(AgentSession.session_id) == ident)
    found = session.scalar(statement.with_for_update() if lock else statement)
    if found is None or agent not in (None, found.agent_id):
        whose = f" of agent {agent}" if agent is not None else ""
        raise NotFound(f"There is no session {ident}{whose}.")
    return found


def of_grid(session: Session, grid: UUID) -> list[AgentSession]:
    """Return the active sessions about a grid: of the grid itself, or of all its acquisition."""
    acquisition = select(col(Grid.acquisition_uuid)).where(col(Grid.uuid) == grid)
    return list(
        session.scalars(
            select(AgentSession)
            .where(
                col(AgentSession.status) == SessionStatus.ACTIVE,
                (col(AgentSession.grid_uuid) == grid)
                | (
                    col(AgentSession.grid_uuid).is_(None)
                    & col(AgentSession.acquisition_uuid).in_(acquisition)
                ),
            )
            .order_by(col(AgentSession.created_at), col(AgentSession.session_id))
        )
    )


def require_active(of: AgentSession) -> None:
    """Raise Conflict unless the session goes on."""
    if of.status != SessionStatus.ACTIVE:
        raise Conflict(f"Session {of.session_id} has ended.")


def change(
    session: Session,
    ident: str,
    *,
    mode: Mode | None,
    thresholds: Thresholds | None,
    now: datetime,
) -> AgentSession:
    """Set a session's mode and thresholds; None leaves them. What is made from now on follows.

    Raises:
        Conflict, NotFound: There is no such session, or it has ended.
    """
    found = get(session, ident, lock=True)
    require_active(found)
    if mode is not None:
        found.mode = mode
    if thresholds is not None:
        found.square_forward = thresholds.square_forward
        found.square_skip = thresholds.square_skip
        found.hole_forward = thresholds.hole_forward
    found.last_activity_at = now
    session.add(found)
    return found


def end(session: Session, ident: str, *, now: datetime) -> AgentSession:
    """End a session: its streams are closed, and what was not received is cancelled.

    One that has ended stays as it is.
    """
    found = get(session, ident, lock=True)
    if found.status == SessionStatus.ENDED:
        return found
    found.status = SessionStatus.ENDED
    found.ended_at = found.last_activity_at = now
    found.connection_id = None
    session.add(found)
    news = [live.agent_status(found, online=False, heard_at=None, connections=0)]
    for stream in session.scalars(
        select(AgentConnection).where(
            col(AgentConnection.session_id) == ident,
            col(AgentConnection.status) == ConnectionStatus.ACTIVE,
        )
    ):
        stream.status, stream.closed_at = ConnectionStatus.CLOSED, now
        stream.close_reason = "session_closed"
        session.add(stream)
    for one in session.scalars(
        select(Instruction)
        .where(col(Instruction.session_id) == ident, col(Instruction.status).in_(CANCELLABLE))
        .order_by(col(Instruction.sequence_number))
        .with_for_update()
    ):
        one.status, one.finished_at, one.next_send_at = Status.CANCELLED, now, None
        one.ended_because = "the session ended"
        session.add(one)
        news.append(live.lifecycle(one, found.acquisition_uuid))
    session.flush()
    live.announce(session, news)
    return found


def thresholds_of(of: AgentSession) -> Thresholds:
    """Return from which predictions on a session acts."""
    return Thresholds(of.square_forward, of.square_skip, of.hole_forward)


def awaits_approval(of: AgentSession) -> bool:
    """Return whether a person approves each instruction of the session."""
    return of.mode == Mode.SEMI_AUTO
