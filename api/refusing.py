"""Refuse a request before it comes to a route, in the words that routes refuse with."""

from collections.abc import Mapping
from http import HTTPStatus

from starlette.requests import Request
from starlette.types import Message, Scope, Send

from api.errors import RequestRefused, answer_to


async def refuse(
    scope: Scope,
    send: Send,
    status: HTTPStatus,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Answer a request with a problem document; nothing more of it is read."""
    answer = answer_to(Request(scope), RequestRefused(status, detail))
    answer.headers.update(headers or {})
    await answer(scope, _nothing, send)


async def _nothing() -> Message:
    return {"type": "http.disconnect"}
