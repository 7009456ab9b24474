"""Which route a request goes to: found once, for who guards it and for who answers it.

FastAPI's router tries the routes one after the other, those of a room twice, and all of them
again for each request: with our hundred and thirty that is more work than the answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from re import Pattern
from typing import Any

from fastapi import FastAPI
from fastapi.routing import RouteContext, iter_route_contexts
from starlette.convertors import Convertor
from starlette.exceptions import HTTPException
from starlette.routing import Mount, compile_path
from starlette.types import ASGIApp, Receive, Scope, Send


@dataclass(frozen=True)
class Route:
    """One route of the application."""

    path: str
    #: None for whatever is below a folder.
    methods: frozenset[str] | None
    pattern: Pattern[str]
    convertors: Mapping[str, Convertor[Any]]
    context: RouteContext

    def takes(self, method: str, path: str) -> bool:
        """Whether a request goes to it."""
        return (self.methods is None or method in self.methods) and bool(self.pattern.match(path))

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that goes to it."""
        route, found = self.context.original_route, self.pattern.match(scope["path"])
        if isinstance(route, Mount) or found is None:
            _, below = route.matches(scope)
            scope.update(below)
            await route.handle(scope, receive, send)
            return
        scope["path_params"] = {
            name: self.convertors[name].convert(text) for name, text in found.groupdict().items()
        }
        scope["endpoint"] = self.context.endpoint
        scope["route"] = route
        await self.context.app(scope, receive, send)


class RouteTable:
    """All routes of an application, by the first part of their paths."""

    def __init__(self, app: FastAPI) -> None:
        """Take the routes that there are now."""
        self._near: dict[str, list[Route]] = {}
        for route in routes_of(app):
            self._near.setdefault(_first_part(route.path), []).append(route)

    def find(self, method: str, path: str) -> Route | None:
        """Return the route that a request goes to."""
        return next((one for one in self._beginning_as(path) if one.takes(method, path)), None)

    def methods(self, path: str) -> list[str]:
        """Return the methods that a path takes, which may be those of several routes."""
        found = [one for one in self._beginning_as(path) if one.pattern.match(path)]
        same = (one.methods or frozenset() for one in found if one.path == found[0].path)
        return sorted(frozenset().union(*same))

    def _beginning_as(self, path: str) -> Sequence[Route]:
        return self._near.get(_first_part(path), ())


def routes_of(app: FastAPI) -> list[Route]:
    """Return all routes of an application, in the order in which they are looked for."""
    found: list[Route] = []
    for one in iter_route_contexts(app.routes):
        path, methods = one.path or "/", frozenset(one.methods or ())
        if isinstance(one.original_route, Mount):
            pattern, _, convertors = compile_path(f"{path.rstrip('/')}/{{path:path}}")
            found.append(Route(path, None, pattern, convertors, one))
            continue
        pattern, _, convertors = compile_path(path)
        found.append(Route(path, methods, pattern, convertors, one))
    return found


class Straight:
    """Has a request answered by the route that the guard let it pass to, and by no other."""

    def __init__(self, router: ASGIApp) -> None:
        """Take the router in whose place it stands."""
        self._router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on.

        Raises:
            HTTPException: It goes to no route.
        """
        if scope["type"] != "http":
            await self._router(scope, receive, send)
            return
        state = scope.get("state", {})
        route: Route | None = state.get("route")
        if route is None:
            known = state.get("allowed")
            raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED if known else HTTPStatus.NOT_FOUND)
        await route.answer(scope, receive, send)


def _first_part(path: str) -> str:
    return path.split("/", 2)[1] if "/" in path else ""
