"""What every request and every answer has: an id, headers for browsers, a line in the log.

The outermost of what a request runs through. Who was refused too often is not even asked who
they are. Plain ASGI, so that streams stay streams.
"""

import logging
import math
import re
import secrets
from http import HTTPStatus
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.limits import Buckets, address_of
from api.refusing import refuse
from core.limit_settings import LimitSettings
from core.logging import bound

logger = logging.getLogger(__name__)

_SANE: Final = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
_REFUSALS: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_COMMON: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)
_NOTHING_IN_IT: Final = b"default-src 'none'; frame-ancestors 'none'"
_PAGE: Final = (
    b"default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; "
    b"form-action 'none'; frame-ancestors 'none'"
)
#: The pages of the documentation begin with a script of their own, which changes with releases.
_DOCUMENTATION: Final = (
    b"default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    b"img-src 'self' data:; font-src 'self'; connect-src 'self'; worker-src blob:; "
    b"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_DOCUMENTS: Final = ("/docs", "/redoc")
#: How much of a path a line of the log shows.
_SHOWN: Final = 200


class Headers:
    """Gives each request an id, and each answer the headers that it is to have."""

    def __init__(self, app: ASGIApp, *, limits: LimitSettings) -> None:
        """Take what stands behind it."""
        self._app = app
        self._refusals = Buckets(limits.refusals_per_minute / 60, limits.refusals_per_minute)
        hsts = f"max-age={limits.hsts_seconds}".encode()
        self._secure = ((b"strict-transport-security", hsts),) if limits.hsts_seconds else ()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back with headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _id_of(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        added = [(b"x-request-id", request_id.encode()), *_COMMON]
        if scope["scheme"] == "https":
            added += self._secure

        async def dress(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"] = list(message.get("headers", ()))
                headers += added
                headers.append((b"content-security-policy", _policy(scope["path"], headers)))
                if message["status"] >= HTTPStatus.BAD_REQUEST:
                    self._note(scope, message["status"])
            await send(message)

        with bound(request_id=request_id):
            seconds = self._refusals.wait(address_of(scope))
            if seconds:
                detail = f"Refused too often: come again in {math.ceil(seconds)} s."
                again = {"Retry-After": str(math.ceil(seconds))}
                await refuse(scope, dress, HTTPStatus.TOO_MANY_REQUESTS, detail, headers=again)
                return
            await self._app(scope, receive, dress)

    def _note(self, scope: Scope, status: int) -> None:
        if status in _REFUSALS:
            self._refusals.take(address_of(scope))
        caller = scope["state"].get("caller")
        logger.info(
            "%s %s from %s was answered %d",
            shown(scope["method"]),
            shown(scope["path"]),
            address_of(scope),
            status,
            extra={
                "action": "request_refused",
                "status": status,
                "caller": caller.name if caller else None,
            },
        )


def shown(text: str) -> str:
    """Return text from outside as a line of the log takes it: in one line, and not too long."""
    return ascii(text[:_SHOWN])[1:-1]


def _id_of(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE.fullmatch(value):
            return value.decode("ascii")
    return secrets.token_hex(8)


def _policy(path: str, headers: list[tuple[bytes, bytes]]) -> bytes:
    for name, value in headers:
        if name == b"content-type" and value.startswith(b"text/html"):
            return _DOCUMENTATION if path.startswith(_DOCUMENTS) else _PAGE
    return _NOTHING_IN_IT
