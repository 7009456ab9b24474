"""Writes are asked for hundreds of times a second: the usual one is read and answered in one step.

FastAPI makes objects of a body and validates these, and looks for forms, cookies, headers and
dependencies of every request: that is most of what a small write takes. It still answers whatever
is not usual, such as what is wrong.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, get_type_hints

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.types import Scope

from api.smartem.writing import Writing, writer_of

_JSON = b"application/json"

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class QuickRoute(APIRoute):
    """A route that takes ids in its path and JSON, and has a writer; any other is as usual."""

    @property
    def is_quick(self) -> bool:
        """Whether it is such a route."""
        return _reader_of(self) is not None

    def get_route_handler(self) -> Handler:
        """Return what answers a request."""
        usual, reader = super().get_route_handler(), _reader_of(self)
        if reader is None:
            return usual
        written: TypeAdapter[Any] = TypeAdapter(get_type_hints(self.endpoint)["return"])
        status = self.status_code or HTTPStatus.OK.value

        async def answer(request: Request) -> Response:
            values = await reader.read(request)
            if values is None:
                return await usual(request)
            made = await self.endpoint(**values)
            return Response(written.dump_json(made), status, media_type=_JSON.decode())

        return answer


@dataclass(frozen=True)
class _Reader:
    """Reads what an endpoint takes: a writer, ids and a body, each by the name of its parameter."""

    writer: str
    ids: dict[str, TypeAdapter[Any]]
    body: tuple[str, TypeAdapter[Any]]

    async def read(self, request: Request) -> dict[str, Any] | None:
        """Return the endpoint's parameters; None for what is not usual."""
        if not _is_json(request.scope):
            return None
        name, kind = self.body
        given = request.path_params
        try:
            values = {one: of.validate_python(given[one]) for one, of in self.ids.items()}
            values[name] = kind.validate_json(await request.body())
        except ValidationError:
            return None
        values[self.writer] = writer_of(request)
        return values


def _reader_of(route: APIRoute) -> _Reader | None:
    kinds = get_type_hints(route.endpoint, include_extras=True)
    del kinds["return"]
    writers = [name for name, kind in kinds.items() if kind == Writing]
    ids = {name: TypeAdapter(kinds[name]) for name in route.param_convertors}
    bodies = [name for name in kinds if name not in ids and name not in writers]
    if len(writers) != 1 or len(bodies) != 1 or not route.dependant.body_params:
        return None
    return _Reader(writers[0], ids, (bodies[0], TypeAdapter(kinds[bodies[0]])))


def _is_json(scope: Scope) -> bool:
    return any(name == b"content-type" and value == _JSON for name, value in scope["headers"])
