"""Have what a request changes written down, and what it was refused."""

from http import HTTPStatus
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.limits import address_of
from models.audit import Trail, following, record_refusal
from models.database import Database
from models.visibility.choice import choosing

_CHANGES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_ORGANISATION: Final = b"athanor-organisation"


class Audited:
    """Follows requests that may change something; stands before the guard, which refuses some."""

    def __init__(self, app: ASGIApp, *, database: Database) -> None:
        """Take what stands behind it, and where the audit is kept."""
        self._app = app
        self._database = database

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http" or scope["method"] not in _CHANGES:
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        trail = Trail(state.get("request_id", ""), scope["method"], address_of(scope), scope)
        refused = 0

        async def look(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and message["status"] >= _REFUSED:
                refused = message["status"]
            await send(message)

        with following(trail), choosing(_organisation(scope)):
            await self._app(scope, receive, look)
        caller = state.get("caller")
        if caller is None or trail.written:
            return
        # To who does not see all, what is another's is not there.
        unseen = refused == HTTPStatus.NOT_FOUND and not caller.sees_all
        if refused == HTTPStatus.FORBIDDEN or unseen:
            await self._database.write(record_refusal, trail, caller, refused)


_REFUSED: Final = HTTPStatus.BAD_REQUEST.value


def _organisation(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == _ORGANISATION:
            return value.decode("latin-1")[:255]
    return None
