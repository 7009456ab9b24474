"""What pages are told live."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request
from sse_starlette import EventSourceResponse

from api.errors import RequestRefused, problems
from api.live.events import Wanted
from api.live.frames import STREAM_ANSWER, streamed
from api.live.grants import Grant
from api.live.pages import page_frames
from api.live.state import Streaming
from api.parameters import text_filter
from api.state import Serving
from models.cryoem.instructions.live import EventType

router = APIRouter(prefix="/frontend", tags=["live"])


@router.get(
    "/events/stream",
    response_class=EventSourceResponse,
    responses={
        **STREAM_ANSWER,
        **problems(HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.TOO_MANY_REQUESTS),
    },
)
async def frontend_event_stream(
    request: Request,
    services: Serving,
    streams: Streaming,
    acquisition_uuid: Annotated[
        UUID | None, Query(description="Only about this acquisition.")
    ] = None,
    agent_id: Annotated[str | None, text_filter("Only about this agent.", "m01-epu")] = None,
    event_types: Annotated[
        str | None,
        text_filter(
            "Only these, comma-separated: agent.status, acquisition.progress, "
            "instruction.lifecycle, processing.metric, agent.log, heartbeat.",
            "agent.status,instruction.lifecycle",
        ),
    ] = None,
    last_event_id: Annotated[
        str | None,
        Header(description="The event seen last: what was missed since comes first."),
    ] = None,
) -> EventSourceResponse:
    """Stream what happens as server-sent events, from the moment that it is committed.

    First who is online and how far acquisitions are, then each change.
    """
    grant = Grant.of(request)
    streams.limits.require_room("page", grant.counted)
    wanted = Wanted(acquisition_uuid, agent_id, _types(event_types))
    frames = page_frames(
        services,
        streams.hub,
        streams.limits,
        wanted,
        grant=grant,
        seen=_number(last_event_id),
    )
    return streamed(frames, send_seconds=services.settings.streams.send_seconds)


def _types(text: str | None) -> frozenset[str] | None:
    if not text:
        return None
    named = {one.strip() for one in text.split(",")} - {""}
    unknown = named - set(EventType)
    if unknown:
        raise RequestRefused(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"event_types: there is no {sorted(unknown)[0]!r}; there are {', '.join(EventType)}.",
        )
    return frozenset(named) or None


def _number(text: str | None) -> int | None:
    # One that is not of ours is none: the page is shown what there is.
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else None
