"""Sessions and instructions by hand, as SmartEM's tools make them; offered when switched on."""

from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.functional_validators import AfterValidator

from api.agent.channel import SessionId
from api.errors import problems
from api.state import Serving
from core.clock import as_text, utcnow
from domains.cryoem.instructions import Mode, Priority
from models.cryoem.instructions import counting, queries, sessions
from models.cryoem.instructions.making import NewInstruction
from models.cryoem.instructions.queries import InstructionFilter, SessionFilter
from models.cryoem.instructions.sessions import NewSession
from models.cryoem.instructions.tables import AgentSession, SessionStatus
from models.cryoem.messages.base import storable
from tasks.cryoem import instructing

router = APIRouter(prefix="/debug", tags=["debug"])

_MADE = problems(
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)
_ONE = problems(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY)
_Text = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00]*$")]
_Object = Annotated[dict[str, Any], AfterValidator(storable)]
_Answer = dict[str, Any]
#: How many of each are shown: these routes are for looking.
_MOST = 500


class SessionByHand(BaseModel):
    """A session to make; each field has a default."""

    model_config = ConfigDict(extra="allow")

    agent_id: _Text = Field("test-agent", min_length=1)
    session_id: Annotated[_Text, Field(min_length=1)] | None = None
    acquisition_uuid: UUID | None = None
    name: _Text | None = None
    description: _Text | None = None
    experimental_parameters: _Object | None = None


class InstructionByHand(BaseModel):
    """An instruction to make; each field has a default."""

    model_config = ConfigDict(extra="allow")

    instruction_type: _Text = "test.instruction"
    payload: _Object = Field(default_factory=lambda: {"test": True})
    priority: Priority = Priority.NORMAL
    expires_in_minutes: float | None = Field(60, ge=0, le=525_600)
    metadata: _Object | None = None


@router.get("/agent-connections")
async def get_active_connections(services: Serving) -> _Answer:
    """List streams of agents that are open."""
    found = await services.database.read(counting.open_streams, limit=_MOST)
    return {"active_connections": found, "total_count": len(found)}


@router.get("/connection-stats")
async def get_connection_stats(services: Serving) -> _Answer:
    """Count streams, sessions and instructions."""
    found = await services.database.read(counting.totals)
    return {**found, "timestamp": as_text(utcnow())}


@router.get("/sessions")
async def get_active_sessions(services: Serving) -> _Answer:
    """List sessions that go on."""
    page = await services.database.read(
        queries.list_sessions, SessionFilter(status=SessionStatus.ACTIVE), limit=_MOST
    )
    found = [one.model_dump(mode="json") for one in page.items]
    return {"active_sessions": found, "total_count": len(found)}


@router.post(
    "/sessions/create",
    responses=_MADE,
)
async def create_test_session(services: Serving, session_data: SessionByHand) -> _Answer:
    """Open a session whose instructions are sent at once."""
    made = await _open(services, session_data)
    return {
        "session_id": made.session_id,
        "agent_id": made.agent_id,
        "status": "created",
        "created_at": as_text(made.created_at),
    }


@router.post(
    "/sessions/create-managed",
    responses=_MADE,
)
async def create_managed_session(services: Serving, session_data: SessionByHand) -> _Answer:
    """Open a session whose instructions are sent at once."""
    made = await _open(services, session_data)
    return {
        "session_id": made.session_id,
        "status": "created",
        "created_via": "connection_manager",
        "timestamp": as_text(made.created_at),
    }


@router.delete("/sessions/{session_id}/close", responses=_ONE)
async def close_managed_session(services: Serving, session_id: SessionId) -> _Answer:
    """End a session."""
    ended = await instructing.end_session(services, session_id)
    return {
        "session_id": ended.session_id,
        "status": "closed",
        "closed_via": "connection_manager",
        "timestamp": as_text(utcnow()),
    }


@router.get("/session/{session_id}/instructions", responses=_ONE)
async def get_session_instructions(services: Serving, session_id: SessionId) -> _Answer:
    """List a session's instructions, the newest first, and count what its agent said."""
    await services.database.read(sessions.get, session_id)
    page = await services.database.read(
        queries.list_instructions, InstructionFilter(session_id=session_id), limit=_MOST
    )
    counts = await services.database.read(counting.acknowledgements, session_id)
    return {
        "session_id": session_id,
        "instructions": [
            {
                **one.model_dump(mode="json"),
                "acknowledgements_count": counts.of.get(one.instruction_id, 0),
            }
            for one in page.items
        ],
        "total_instructions": len(page.items),
        "acknowledgement_statistics": counts.by_status,
    }


@router.post(
    "/session/{session_id}/create-instruction",
    responses=_MADE,
)
async def create_test_instruction(
    services: Serving, session_id: SessionId, instruction_data: InstructionByHand
) -> _Answer:
    """Make an instruction of any type."""
    minutes = instruction_data.expires_in_minutes
    (made,) = await instructing.make(
        services,
        session_id,
        [
            NewInstruction(
                type=instruction_data.instruction_type,
                payload=instruction_data.payload,
                created_by="debug",
                expires_in=minutes * 60 if minutes else 365 * 86_400,
                priority=instruction_data.priority,
                extra=instruction_data.metadata,
            )
        ],
    )
    return {
        "instruction_id": str(made.id),
        "status": "created",
        "created_at": as_text(made.created_at),
    }


async def _open(services: Serving, given: SessionByHand) -> AgentSession:
    return await instructing.open_session(
        services,
        NewSession(
            agent_id=given.agent_id,
            session_id=given.session_id or str(uuid4()),
            acquisition=given.acquisition_uuid,
            name=given.name,
            description=given.description,
            experimental_parameters=given.experimental_parameters,
            mode=Mode.AUTO,
            thresholds=instructing.default_thresholds(services.settings.instructions),
        ),
    )
