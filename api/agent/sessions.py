"""Sessions of agents: opened, shown, changed and ended."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from api.agent.channel import SessionId
from api.errors import problems
from api.parameters import Cursor, Limit, text_filter
from api.state import Serving
from domains.cryoem.instructions import Mode, Thresholds
from models.cryoem.instructions import queries
from models.cryoem.instructions.queries import SessionFilter, session_view
from models.cryoem.instructions.sessions import NewSession
from models.cryoem.instructions.tables import SessionStatus
from models.cryoem.instructions.views import (
    AgentLogView,
    AgentSessionChange,
    AgentSessionView,
    NewAgentSession,
    ThresholdsGiven,
)
from models.paging import Page
from tasks.cryoem import instructing

router = APIRouter(prefix="/agent/sessions", tags=["agents"])

_ONE = problems(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY)
_CHANGED = problems(
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)


@router.post("", status_code=HTTPStatus.CREATED, responses=_CHANGED)
async def open_agent_session(services: Serving, new: NewAgentSession) -> AgentSessionView:
    """Open a session of an agent, about a grid or acquisition."""
    chosen = services.settings.instructions
    given = new.model_dump(
        include={"agent_id", "session_id", "name", "description", "experimental_parameters"}
    )
    opened = await instructing.open_session(
        services,
        NewSession(
            **given,
            grid=new.grid_uuid,
            acquisition=new.acquisition_uuid,
            mode=new.mode or Mode(chosen.mode),
            thresholds=_thresholds(new.thresholds) or instructing.default_thresholds(chosen),
        ),
    )
    return session_view(opened)


@router.get("", responses=problems(HTTPStatus.UNPROCESSABLE_ENTITY))
async def get_agent_sessions(
    services: Serving,
    agent_id: Annotated[str | None, text_filter("Only of this agent.", "m01-epu")] = None,
    status: Annotated[SessionStatus | None, Query(description="Only in this state.")] = None,
    acquisition_uuid: Annotated[UUID | None, Query(description="Only about this one.")] = None,
    grid_uuid: Annotated[UUID | None, Query(description="Only about this grid.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[AgentSessionView]:
    """List sessions of agents, the newest first."""
    wanted = SessionFilter(agent_id, status, acquisition_uuid, grid_uuid)
    return await services.database.read(queries.list_sessions, wanted, limit=limit, cursor=cursor)


@router.get("/{session_id}", responses=_ONE)
async def get_agent_session(services: Serving, session_id: SessionId) -> AgentSessionView:
    """Show a session of an agent: its mode and thresholds, and whether the agent is there."""
    return await services.database.read(queries.get_session, session_id)


@router.patch("/{session_id}", responses=_CHANGED)
async def change_agent_session(
    services: Serving, session_id: SessionId, change: AgentSessionChange
) -> AgentSessionView:
    """Set mode and thresholds, for instructions that are made from now on."""
    changed = await instructing.change_session(
        services, session_id, mode=change.mode, thresholds=_thresholds(change.thresholds)
    )
    return session_view(changed)


@router.post("/{session_id}/end", responses=_ONE)
async def end_agent_session(services: Serving, session_id: SessionId) -> AgentSessionView:
    """End a session: its stream closes, and what its agent has not received is cancelled."""
    return session_view(await instructing.end_session(services, session_id))


@router.get("/{session_id}/logs", responses=_ONE)
async def get_agent_logs(
    services: Serving, session_id: SessionId, limit: Limit = 100, cursor: Cursor = None
) -> Page[AgentLogView]:
    """List what the agent logged in a session, the newest first."""
    return await services.database.read(queries.list_logs, session_id, limit=limit, cursor=cursor)


def _thresholds(given: ThresholdsGiven | None) -> Thresholds | None:
    return None if given is None else Thresholds(**dict(given))
