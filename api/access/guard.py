"""The one place where every request is asked who sends it and whether they may.

It stands before the routes, so that nothing of a body is read for somebody who may not send it;
and each route checks that it was this route that the guard looked at.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from re import Pattern
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount, compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from api.access import rules
from api.access.bearers import Access
from api.errors import answer_to
from core.access_settings import AccessSettings
from core.caller import ANYONE, NOBODY, Caller, asking
from core.errors import AthanorError, NotAuthenticated, NotPermitted

logger = logging.getLogger(__name__)

#: Set by proxies: who asks is then not on this machine, whatever the connection says.
_FORWARDED: Final = frozenset({b"forwarded", b"x-forwarded-for"})
_METRICS = "GET /metrics"


@dataclass(frozen=True)
class GuardedRoute:
    """One route of the application, as the guard knows it."""

    path: str
    #: None for whatever is below a folder.
    methods: frozenset[str] | None
    endpoint: Any
    pattern: Pattern[str]

    def takes(self, method: str, path: str) -> bool:
        """Whether a request goes to it."""
        return (self.methods is None or method in self.methods) and bool(self.pattern.match(path))


def routes_of(app: FastAPI) -> list[GuardedRoute]:
    """Return all routes of an application, in the order in which they are looked for."""
    found: list[GuardedRoute] = []
    for one in iter_route_contexts(app.routes):
        path = one.path or "/"
        if isinstance(one.original_route, Mount):
            pattern, _, _ = compile_path(f"{path.rstrip('/')}/{{path:path}}")
            found.append(GuardedRoute(path, None, None, pattern))
            continue
        pattern, _, _ = compile_path(path)
        methods = frozenset(one.methods or ())
        found.append(GuardedRoute(path, methods, one.endpoint, pattern))
    return found


class Guard:
    """Refuses requests, or lets them pass as those of their caller."""

    def __init__(self, app: ASGIApp, *, access: Access) -> None:
        """Take what is guarded."""
        self._app = app
        self._access = access
        self._routes: dict[str, list[GuardedRoute]] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 or 403, or pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        route = self._route(scope)
        if route is None:
            # There is nothing there: 404 or 405, which tell no more than the documentation does.
            scope.setdefault("state", {})["allowed"] = self._methods(scope)
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
        state = scope.setdefault("state", {})
        state["caller"] = caller
        state["guarded"] = route.endpoint
        with asking(caller):
            await self._app(scope, receive, send)

    def _route(self, scope: Scope) -> GuardedRoute | None:
        method, path = scope["method"], scope["path"]
        return next((one for one in self._near(scope) if one.takes(method, path)), None)

    def _methods(self, scope: Scope) -> list[str]:
        """Return the methods that a path takes, which may be those of several routes."""
        found = [one for one in self._near(scope) if one.pattern.match(scope["path"])]
        same = (one.methods or frozenset() for one in found if one.path == found[0].path)
        return sorted(frozenset().union(*same))

    def _near(self, scope: Scope) -> Sequence[GuardedRoute]:
        """Return the routes that begin as the path does."""
        if self._routes is None:
            self._routes = _by_first_part(routes_of(scope["app"]))
        return self._routes.get(_first_part(scope["path"]), ())

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


async def require_guarded(request: Request) -> None:
    """Refuse a request that the guard took for one to another route: a net below the guard."""
    if getattr(request.state, "guarded", None) is not request.scope.get("endpoint"):
        raise NotPermitted("No rule says who may use this.")


def is_public(name: str, settings: AccessSettings) -> bool:
    """Whether a route answers everybody."""
    return name in rules.PUBLIC or (name == _METRICS and settings.public_metrics)


def _by_first_part(routes: Sequence[GuardedRoute]) -> dict[str, list[GuardedRoute]]:
    found: dict[str, list[GuardedRoute]] = {}
    for route in routes:
        found.setdefault(_first_part(route.path), []).append(route)
    return found


def _first_part(path: str) -> str:
    return path.split("/", 2)[1] if "/" in path else ""


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
