"""Events as they go over the wire."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from sse_starlette import EventSourceResponse, ServerSentEvent

#: No proxy between us keeps events back until there are more, or changes them.
_HEADERS: Final = {
    "Cache-Control": "no-cache, no-store, no-transform",
    "X-Accel-Buffering": "no",
}

#: What a stream's answer looks like to OpenAPI.
STREAM_ANSWER: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Server-sent events, for as long as the connection stays.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


def frame(event: str, data: Mapping[str, Any], *, ident: int | None = None) -> bytes:
    """Return one event; `ident` is what a client that comes back says it has seen."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    shown = None if ident is None else str(ident)
    return ServerSentEvent(text, event=event, id=shown).encode()


def error_of(kind: str, message: str) -> dict[str, Any]:
    """Return what the last event of a stream says that the server ends."""
    return {"type": "error", "error": kind, "message": message}


def streamed(frames: AsyncIterator[bytes], *, send_seconds: float) -> EventSourceResponse:
    """Return the answer that sends frames; a peer that takes none for so long is given up.

    Its heartbeats are events of ours, so it sends no comments of its own.
    """
    return EventSourceResponse(frames, headers=_HEADERS, ping=0, send_timeout=send_seconds)
