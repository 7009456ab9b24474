"""Answers to lists: a page, or all rows in a stream; with an ETag, and 304 where nothing changed.

Rows are read and written as JSON in threads, a few thousand at a time, each part in a
transaction of its own: a client that reads slowly holds no connection, and no list is ever in
memory as a whole.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from hashlib import blake2b
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

from fastapi import Request
from fastapi.responses import Response, StreamingResponse
from pydantic import JsonValue
from pydantic_core import to_json
from sqlmodel import Session

from api.errors import problems
from api.state import Services
from models import listing
from models.cryoem.smartem.filters import ListQuery
from models.database import Database
from models.listing import Asked, Listing

#: Rows of a page where a client pages but does not say how many.
DEFAULT_LIMIT: Final = 100
#: Rows of a stream's first part, small so that it begins at once, and of each further one.
_FIRST: Final = 500
_NEXT: Final = 4_000
_JSON: Final = "application/json"
#: What is answered belongs to who asks, and is asked about again each time.
_CACHING: Final = {"Cache-Control": "private, no-cache"}

#: An entity of which `fields` chose a part.
Chosen = dict[str, JsonValue]

_HEADERS: Final[dict[str, Any]] = {
    "ETag": {
        "description": "Give it as `If-None-Match` to hear whether anything changed.",
        "schema": {"type": "string"},
    },
    "Link": {
        "description": 'The next page (`rel="next"`); missing on the last one.',
        "schema": {"type": "string"},
    },
    "X-Next-Cursor": {
        "description": "`cursor` of the next page; missing on the last one.",
        "schema": {"type": "string"},
    },
}


def list_responses(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses of a list that fails with these, or for a bad parameter."""
    return {
        HTTPStatus.OK.value: {"headers": _HEADERS},
        HTTPStatus.NOT_MODIFIED.value: {"description": "Nothing changed since that `ETag`."},
        **problems(HTTPStatus.UNPROCESSABLE_ENTITY, *statuses),
    }


@dataclass(frozen=True)
class Parent:
    """Whose list it is."""

    listing: Listing
    uuid: UUID
    #: The column by which those of the list name it.
    named_by: Any


@dataclass(frozen=True)
class _Start:
    """The first part of an answer."""

    body: bytes
    cursor: str | None
    etag: str | None


async def answer(
    request: Request,
    services: Services,
    of: Listing,
    query: ListQuery,
    parent: Parent | None = None,
) -> Response:
    """Return a list as a plain JSON array: a page where one is asked for, else all of it.

    Raises:
        NotFound: There is no such parent.
        BadInput: There is no such field, or the cursor is of another list.
    """
    sort: str = getattr(query, "sort", "uuid")
    own = () if parent is None else (parent.named_by == parent.uuid,)
    asked = Asked(of.chosen(query.fields), sort, (*own, *query.where()))
    paged = query.limit is not None or query.cursor is not None
    count = (query.limit or DEFAULT_LIMIT) if paged else _FIRST
    start = await services.database.read(
        _start, of, asked, parent, count=count, cursor=query.cursor or None, whole=not paged
    )
    headers = dict(_CACHING)
    if start.etag is not None:
        headers["ETag"] = start.etag
        if matches(request, start.etag):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    if not paged and start.cursor is not None:
        parts = _stream(services.database, of, asked, start.body, start.cursor)
        return StreamingResponse(parts, media_type=_JSON, headers=headers)
    if start.cursor is not None:
        url = request.url.include_query_params(cursor=start.cursor, limit=count)
        # Relative: what the client calls us may be a proxy's business.
        headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
        headers["X-Next-Cursor"] = start.cursor
    return Response(start.body, media_type=_JSON, headers=headers)


def _start(
    session: Session,
    of: Listing,
    asked: Asked,
    parent: Parent | None,
    *,
    count: int,
    cursor: str | None,
    whole: bool,
) -> _Start:
    if parent is not None:
        listing.require(session, parent.listing, parent.uuid)
    # Before the rows are read: what changes meanwhile is newer than this tells.
    version = listing.version(session, of, asked.where) if whole else None
    rows = listing.read(session, of, asked, count=count, cursor=cursor)
    body = _json(rows.items)
    told: bytes | None = None
    if version is not None:
        told = f"{of.view.__name__} {version} {asked.sort} {asked.fields}".encode()
    elif rows.cursor is None or not whole:
        told = body + (rows.cursor or "").encode()
    return _Start(body, rows.cursor, None if told is None else _etag(told))


async def _stream(
    database: Database, of: Listing, asked: Asked, first: bytes, cursor: str
) -> AsyncIterator[bytes]:
    yield first[:-1]
    following: str | None = cursor
    while following is not None:
        body, following = await database.read(_more, of, asked, following)
        if body != b"[]":
            yield b"," + body[1:-1]
    yield b"]"


def _more(session: Session, of: Listing, asked: Asked, cursor: str) -> tuple[bytes, str | None]:
    rows = listing.read(session, of, asked, count=_NEXT, cursor=cursor)
    return _json(rows.items), rows.cursor


def _json(rows: list[listing.Row]) -> bytes:
    return to_json(rows, inf_nan_mode="null")


def _etag(told: bytes) -> str:
    return f'W/"{blake2b(told, digest_size=16).hexdigest()}"'


def matches(request: Request, etag: str) -> bool:
    """Whether the sender has what an ETag stands for already."""
    given = request.headers.get("If-None-Match", "")
    known = {one.strip().removeprefix("W/") for one in given.split(",")}
    return "*" in known or etag.removeprefix("W/") in known
