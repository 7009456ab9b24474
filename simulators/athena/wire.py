"""How requests are read and answers written: as ASP.NET Core does, which made the document."""

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from enum import Enum
from http import HTTPStatus
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Path, Query, Request, Response
from pydantic import BeforeValidator, TypeAdapter, ValidationError

from models.athena import ProblemDetails, Record

R = TypeVar("R", bound=Record)

#: Where the contract's paths begin.
API = "/api/v1"

#: What C# makes of an id that was not given.
NO_SESSION = UUID(int=0)

#: Media types of bodies: these and any `application/*+json`.
_JSON = frozenset({"application/json", "text/json"})

_INT32: Mapping[str, Any] = {"ge": -(2**31), "le": 2**31 - 1}


def _empty_as_none(value: object) -> object:
    """Read an empty or `null` query parameter as none."""
    return None if value in {"", "null"} else value


SessionId = Annotated[UUID, Path(alias="sessionId")]
AreaIdQuery = Annotated[int, Query(alias="areaId", **_INT32)]
ParentAreaIdQuery = Annotated[int, Query(alias="parentAreaId", **_INT32)]
OptionalInt = Annotated[int | None, BeforeValidator(_empty_as_none)]
Int32Path = Annotated[int, Path(**_INT32)]


class Problem(Exception):
    """A request that gets ProblemDetails for an answer."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        self.status = status
        self.detail = detail
        super().__init__(detail)

    def answer(self) -> Response:
        """Return the answer."""
        problem = ProblemDetails(
            title=self.status.phrase, status=self.status.value, detail=self.detail
        )
        return answer(problem.model_dump_json(by_alias=True, exclude_none=True), self.status)


def rejected(detail: str) -> Problem:
    """Return a 400."""
    return Problem(HTTPStatus.BAD_REQUEST, detail)


def not_found(detail: str) -> Problem:
    """Return a 404."""
    return Problem(HTTPStatus.NOT_FOUND, detail)


def conflict(detail: str) -> Problem:
    """Return a 409."""
    return Problem(HTTPStatus.CONFLICT, detail)


def answer(body: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Return JSON text as an answer."""
    return Response(body, status_code=status, media_type="application/json")


def answers(bodies: Iterable[str], status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Return JSON texts as one list."""
    return answer(f"[{','.join(bodies)}]", status)


def nothing() -> Response:
    """Return a 204."""
    return Response(status_code=HTTPStatus.NO_CONTENT)


def body_of(record: Record) -> str:
    """Return the record as it is stored and sent; what is not set is left out."""
    return record.model_dump_json(by_alias=True, exclude_none=True)


def one(kind: type[R]) -> Callable[[Request], Awaitable[R]]:
    """Return a dependency that reads a body holding one record."""
    adapter = TypeAdapter(kind)
    defaults = _defaults(kind)

    async def read(request: Request) -> R:
        value = await _json(request)
        return _parse(adapter, {} if value is None else value, defaults)

    return read


def many(kind: type[R]) -> Callable[[Request], Awaitable[tuple[R, ...]]]:
    """Return a dependency that reads a body holding a list; none and null read as empty."""
    adapter = TypeAdapter(tuple[kind, ...])  # pyright: ignore[reportInvalidTypeForm] (made here)
    defaults = _defaults(kind)

    async def read(request: Request) -> tuple[R, ...]:
        value = await _json(request)
        return _parse(adapter, [] if value is None else value, defaults)

    return read


async def _json(request: Request) -> Any:
    content = await request.body()
    if not content:
        return None
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media not in _JSON and not (media.startswith("application/") and media.endswith("+json")):
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"The body is {media!r}, not JSON.")
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as exc:
        raise rejected(f"The body is not JSON: {exc}") from exc


def _parse(adapter: TypeAdapter[Any], value: Any, defaults: Mapping[str, Any]) -> Any:
    items = value if isinstance(value, list) else [value]
    filled = [_filled(item, defaults) if isinstance(item, dict) else item for item in items]
    if not isinstance(value, list):
        (filled,) = filled
    try:
        return adapter.validate_json(json.dumps(filled), strict=True, by_alias=True, by_name=False)
    except ValidationError as exc:
        raise rejected(describe(exc.errors(include_url=False, include_input=False))) from exc


def _filled(item: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the item with what is missing; null is missing where it is text, else refused."""
    given = {k: v for k, v in item.items() if v is not None or defaults.get(k) != ""}
    return {**defaults, **given}


def describe(errors: Iterable[Mapping[str, Any]]) -> str:
    """Return the errors of pydantic as one sentence per property."""
    return " ".join(f"{'.'.join(map(str, one['loc'])) or 'body'}: {one['msg']}." for one in errors)


def _defaults(kind: type[Record]) -> Mapping[str, Any]:
    """Return what C# makes of missing properties: 0, the empty id, the first name."""
    return {
        field.alias or name: _default_of(field.annotation)
        for name, field in kind.model_fields.items()
        if field.is_required()
    }


def _default_of(annotation: Any) -> Any:
    if annotation is UUID:
        return str(NO_SESSION)
    if annotation is str:
        return ""
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        # Our enumerations keep the document's order, in which the first name is number 0.
        return next(iter(annotation)).value
    return 0
