"""How much is taken of a caller: requests a second, bytes a request, and seconds a body.

It stands behind the guard, which says who asks: nothing is read for somebody who may not send
it, and one caller's haste is not another's. Plain ASGI, so that streams stay streams.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.refusing import refuse
from core.limit_settings import LimitSettings

logger = logging.getLogger(__name__)

#: Callers and addresses remembered at once; beyond that the ones longest unheard of are forgotten.
_MOST: Final = 10_000
_ACCESS: Final = "/auth/"
_LOGS: Final = "/logs"


class Buckets:
    """Tokens by name: one is taken for each request, and they come back with time."""

    def __init__(
        self, per_second: float, burst: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Take how many come back in a second, and how many there are at most."""
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._held: dict[str, tuple[float, float]] = {}

    def take(self, name: str, tokens: float = 1.0) -> float:
        """Take tokens; return after how many seconds to come again, 0 where there were enough."""
        left, now = self._left(name)
        if left < tokens:
            return (tokens - left) / self._per_second
        # At the end, as the one heard of last.
        self._held.pop(name, None)
        self._held[name] = (left - tokens, now)
        if len(self._held) > _MOST:
            del self._held[next(iter(self._held))]
        return 0.0

    def wait(self, name: str) -> float:
        """Return after how many seconds there is a token; 0 where there is one."""
        left, _ = self._left(name)
        return 0.0 if left >= 1.0 else (1.0 - left) / self._per_second

    def _left(self, name: str) -> tuple[float, float]:
        now = self._clock()
        held = self._held.get(name)
        if held is None:
            return self._burst, now
        left, at = held
        return min(self._burst, left + (now - at) * self._per_second), now


class Limits:
    """Passes requests on that are neither too many, nor too large, nor too slow."""

    def __init__(self, app: ASGIApp, *, limits: LimitSettings, max_body_bytes: int) -> None:
        """Take what stands behind it."""
        self._app = app
        self._limits = limits
        self._max_body_bytes = max_body_bytes
        rate = limits.requests_per_second
        self._requests = Buckets(rate, max(limits.requests_burst, 1)) if rate else None
        self._logins = Buckets(limits.login_per_minute / 60, limits.login_per_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 413 or 429."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        seconds = self._too_soon(scope)
        if seconds:
            detail = f"Too many requests: come again in {math.ceil(seconds)} s."
            headers = {"Retry-After": str(math.ceil(seconds))}
            await refuse(scope, send, HTTPStatus.TOO_MANY_REQUESTS, detail, headers=headers)
            return
        announced = _announced(scope)
        if announced == 0:
            await self._app(scope, receive, send)
            return
        limit = self._largest(scope["path"])
        if announced is not None and announced > limit:
            await refuse(scope, send, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _too_large(limit))
            return
        body = _Body(receive, limit, self._limits)
        await self._app(scope, body.receive, send)

    def _too_soon(self, scope: Scope) -> float:
        caller = scope["state"].get("caller") if "state" in scope else None
        if scope["path"].startswith(_ACCESS) and scope["method"] == "POST":
            return self._logins.take(address_of(scope))
        if self._requests is None:
            return 0.0
        if caller is None or caller.kind == "anyone":
            return self._requests.take(address_of(scope))
        return self._requests.take(f"{caller.kind} {caller.name}")

    def _largest(self, path: str) -> int:
        if path.startswith(_ACCESS):
            return self._limits.small_body_bytes
        if path.endswith(_LOGS):
            return self._limits.log_body_bytes
        return self._max_body_bytes


class _Body:
    """A request's body as it comes in: counted, and not waited for too long."""

    def __init__(self, receive: Receive, limit: int, limits: LimitSettings) -> None:
        self._receive = receive
        self._limit = limit
        self._limits = limits
        self._received = 0
        self._ended = False
        self._began = asyncio.get_running_loop().time()

    async def receive(self) -> Message:
        """Return the next piece.

        Raises:
            HTTPException: There is too much of it, or it comes too slowly.
        """
        if self._ended:
            return await self._receive()
        fair = self._received / self._limits.body_bytes_per_second
        try:
            async with asyncio.timeout_at(self._began + self._limits.body_seconds + fair):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(
                HTTPStatus.REQUEST_TIMEOUT,
                "The body came in too slowly. Send it in one go.",
                headers={"Connection": "close"},
            ) from None
        if message["type"] == "http.request":
            self._received += len(message.get("body", b""))
            self._ended = not message.get("more_body", False)
            if self._received > self._limit:
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _too_large(self._limit))
        return message


def _announced(scope: Scope) -> int | None:
    """Return how long the body is said to be; 0 without one, None where that is not said."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else None
        if name == b"transfer-encoding":
            return None
    return 0


def _too_large(limit: int) -> str:
    return f"The body is larger than {limit:,} bytes."


def address_of(scope: Scope) -> str:
    """Return where a request comes from."""
    client = scope.get("client")
    return client[0] if client else "somewhere"
