"""The one place where every request is asked who sends it and whether they may.

It stands before the routes, so that nothing of a body is read for somebody who may not send it;
and a request is answered by the route that the guard looked at, whichever else there may be.
"""

import logging
from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from api.access import rules
from api.access.bearers import Access
from api.errors import answer_to
from api.route_table import RouteTable
from core.access_settings import AccessSettings
from core.caller import ANYONE, NOBODY, Caller, asking
from core.errors import AthanorError, NotAuthenticated, NotPermitted

logger = logging.getLogger(__name__)

#: Set by proxies: who asks is then not on this machine, whatever the connection says.
_FORWARDED: Final = frozenset({b"forwarded", b"x-forwarded-for"})
_METRICS = "GET /metrics"


class Guard:
    """Refuses requests, or lets them pass as those of their caller."""

    def __init__(self, app: ASGIApp, *, access: Access) -> None:
        """Take what is guarded."""
        self._app = app
        self._access = access
        self._table: RouteTable | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 or 403, or pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._table is None:
            self._table = RouteTable(scope["app"])
        route = self._table.find(scope["method"], scope["path"])
        state = scope.setdefault("state", {})
        if route is None:
            # There is nothing there: 404 or 405, which tell no more than the documentation does.
            state["allowed"] = self._table.methods(scope["path"])
            await self._app(scope, receive, send)
            return
        name = rules.name_of(scope["method"], route.path)
        try:
            caller = await self._admitted(name, scope)
        except AthanorError as refusal:
            if isinstance(refusal, NotAuthenticated | NotPermitted):
                logger.warning(
                    "Refused %s from %s: %s",
                    name,
                    _address(scope),
                    refusal,
                    extra={"action": "request_refused"},
                )
            await answer_to(Request(scope), refusal)(scope, receive, send)
            return
        state["caller"] = caller
        state["route"] = route
        with asking(caller):
            await self._app(scope, receive, send)

    async def _admitted(self, name: str, scope: Scope) -> Caller:
        if is_public(name, self._access.settings):
            return NOBODY
        if not self._access.is_required:
            self._require_direct(scope)
            return ANYONE
        caller = await self._access.bearer(_bearer_token(scope))
        # For the audit, which tells of refusals too.
        scope.setdefault("state", {})["caller"] = caller
        if name in rules.ANYBODY_KNOWN:
            return caller
        permission = rules.PERMISSIONS.get(name)
        if permission is None:
            raise NotPermitted(f"No rule says who may use {name}.")
        if not caller.may(permission):
            raise NotPermitted(
                f"{caller.name} ({caller.role}) may not do this: it takes {permission}.",
                permission=permission,
            )
        return caller

    def _require_direct(self, scope: Scope) -> None:
        """Refuse what comes through a proxy where nobody was asked to leave the API open."""
        if self._access.settings.mode == "auto" and any(
            name in _FORWARDED for name, _ in scope["headers"]
        ):
            raise NotPermitted(
                "This came through a proxy, and nobody is asked who they are. Set "
                "ATHANOR_ACCESS__MODE=required (or open, if the proxy asks)."
            )


def is_public(name: str, settings: AccessSettings) -> bool:
    """Whether a route answers everybody."""
    return name in rules.PUBLIC or (name == _METRICS and settings.public_metrics)


def _bearer_token(scope: Scope) -> str:
    values = [value for name, value in scope["headers"] if name == b"authorization"]
    if not values:
        raise NotAuthenticated
    scheme, _, token = values[0].decode("latin-1").partition(" ")
    if len(values) > 1 or scheme.lower() != "bearer" or not token.strip():
        raise NotAuthenticated
    return token.strip()


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else "somewhere"
