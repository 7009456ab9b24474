"""What agents use: their stream of instructions, acknowledgements, heartbeats and logs."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Header, Path, Request
from sse_starlette import EventSourceResponse

from api.errors import RequestRefused, problems
from api.live.agents import agent_frames
from api.live.frames import STREAM_ANSWER, streamed
from api.live.grants import Grant
from api.live.state import Streaming
from api.state import Serving
from core.clock import as_text
from core.errors import NotFound
from domains.cryoem.instructions import Ack
from models.cryoem.instructions import sessions
from models.cryoem.instructions.acking import Line, Said
from models.cryoem.instructions.views import (
    AckAnswer,
    AckGiven,
    HeartbeatAnswer,
    LogAnswer,
    LogBatch,
)
from tasks.cryoem import instructing

router = APIRouter(prefix="/agent/{agent_id}/session/{session_id}", tags=["agents"])

AgentId = Annotated[
    str, Path(max_length=200, pattern=r"^[^\x00]*$", description="The agent.", examples=["m01-epu"])
]
SessionId = Annotated[
    str, Path(max_length=200, pattern=r"^[^\x00]*$", description="The agent's session.")
]


@router.get(
    "/instructions/stream",
    response_class=EventSourceResponse,
    responses={
        **STREAM_ANSWER,
        **problems(
            HTTPStatus.NOT_FOUND,
            HTTPStatus.CONFLICT,
            HTTPStatus.UNPROCESSABLE_ENTITY,
            HTTPStatus.TOO_MANY_REQUESTS,
        ),
    },
)
async def stream_instructions(
    request: Request,
    services: Serving,
    streams: Streaming,
    agent_id: AgentId,
    session_id: SessionId,
    last_event_id: Annotated[
        str | None,
        Header(description="The instruction seen last. Whatever is not acknowledged is sent."),
    ] = None,
) -> EventSourceResponse:
    """Stream a session's instructions to its agent as server-sent events.

    `connection` comes first, then each `instruction` (its id is the sequence number) until it is
    acknowledged, and a `heartbeat` every 30 s. The newest stream of a session takes the place
    of those before it, which end with an `error`.
    """
    grant = Grant.of(request)
    streams.limits.require_room("agent", grant.counted)
    found = await services.database.read(sessions.get, session_id, agent=agent_id)
    sessions.require_active(found)
    frames = agent_frames(
        services,
        streams.hub,
        streams.limits,
        agent_id=agent_id,
        session_id=session_id,
        connection_id=str(uuid4()),
        grant=grant,
        client_info={"client": grant.counted, "last_event_id": (last_event_id or "")[:100] or None},
    )
    return streamed(frames, send_seconds=services.settings.streams.send_seconds)


@router.post(
    "/instructions/{instruction_id}/ack",
    responses=problems(
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.CONFLICT,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    ),
)
async def acknowledge_instruction(
    services: Serving,
    agent_id: AgentId,
    session_id: SessionId,
    instruction_id: str,
    acknowledgement: AckGiven,
) -> AckAnswer:
    """Say that an instruction was received, or how it went; the same said again changes nothing.

    One that contradicts what is known gets 409, and is kept in the instruction's trail.
    """
    said = Said(**{**dict(acknowledgement), "status": Ack(acknowledgement.status)})
    done = await services.channel.acknowledge(
        agent_id=agent_id,
        session_id=session_id,
        instruction_id=known_id(instruction_id),
        said=said,
    )
    return AckAnswer(
        status="success",
        instruction_id=instruction_id,
        acknowledged_at=as_text(done.ack.created_at),
        agent_id=agent_id,
        session_id=session_id,
    )


@router.post(
    "/heartbeat",
    responses=problems(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY),
)
async def agent_heartbeat(
    services: Serving, agent_id: AgentId, session_id: SessionId
) -> HeartbeatAnswer:
    """Say that an agent lives, which has a stream open."""
    found = await instructing.heartbeat(services, agent_id=agent_id, session_id=session_id)
    return HeartbeatAnswer(
        status="success",
        agent_id=agent_id,
        session_id=session_id,
        heartbeat_timestamp=found.last_heartbeat_at,
        connection_id=found.connection_id,
    )


@router.post(
    "/logs",
    responses=problems(
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    ),
)
async def ingest_agent_logs(
    services: Serving, agent_id: AgentId, session_id: SessionId, batch: LogBatch
) -> LogAnswer:
    """Store lines of an agent's log: all of them, or with 413 none."""
    most = services.settings.instructions.max_log_entries
    if len(batch.logs) > most:
        raise RequestRefused(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"{len(batch.logs)} lines are more than {most}, which may come at once. "
            "None was stored: send them in parts.",
        )
    lines = [Line(**dict(entry)) for entry in batch.logs]
    stored = await instructing.keep_log(
        services, agent_id=agent_id, session_id=session_id, lines=lines
    )
    return LogAnswer(stored=stored)


def known_id(text: str) -> UUID:
    """Return the id of an instruction.

    Raises:
        NotFound: It can be none.
    """
    try:
        return UUID(text)
    except ValueError as error:
        raise NotFound(f"There is no instruction {text[:100]}.") from error
