"""Answers to lists: a page, or all rows in a stream; with an ETag, and 304 where nothing changed.

Rows are read and written as JSON in threads, a few thousand at a time, each part in a
transaction of its own: a client that reads slowly holds no connection, and no list is ever in
memory as a whole.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from hashlib import blake2b
from http import HTTPStatus
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import JsonValue
from sqlmodel import Session

from api.errors import problems
from api.state import Services
from api.writing_lists import ListWriter
from models import listing, series
from models.cryoem.smartem.filters import ListQuery
from models.database import Database
from models.listing import Asked, Listing, Rows
from models.paging import PageQuery
from models.series import Series

#: Rows of a page where a client pages but does not say how many.
DEFAULT_LIMIT: Final = 100
#: Rows of a stream's first part, small so that it begins at once, and of each further one.
_FIRST: Final = 500
_NEXT: Final = 4_000
_JSON: Final = "application/json"
#: What is answered belongs to who asks, and is asked about again each time.
_CACHING: Final = {"Cache-Control": "private, no-cache"}

#: What a list in groups takes.
Pages = Annotated[PageQuery, Query()]
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
class Source:
    """What is answered with."""

    #: Gives up to a number of rows from a cursor on.
    read: Callable[[Session, int, str | None], Rows]
    #: How many groups each row is in.
    depth: int = 0
    #: A text that changes with every change of any row; None where nobody knows.
    version: str | None = None


#: Finds the source, or that it is not there; told whether all rows are asked for.
Opening = Callable[[Session, bool], Source]


@dataclass(frozen=True)
class _Start:
    """The first part of an answer."""

    source: Source
    writer: ListWriter
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

    def read(session: Session, count: int, cursor: str | None) -> Rows:
        return listing.read(session, of, asked, count=count, cursor=cursor)

    def opened(session: Session, whole: bool) -> Source:
        if parent is not None:
            listing.require(session, parent.listing, parent.uuid)
        version = listing.version(session, of, asked.where) if whole else None
        if version is not None:
            version = f"{of.view.__name__} {version} {asked.sort} {asked.fields}"
        return Source(read, version=version)

    return await respond(request, services, query, opened)


async def answer_series(
    request: Request, services: Services, query: PageQuery, find: Callable[[Session], Series]
) -> Response:
    """Return rows in groups as JSON objects of arrays: a page where one is asked for, else all.

    Raises:
        NotFound: What it is asked of is not there.
        CursorRejected: The cursor is of another list.
    """

    def opened(session: Session, _whole: bool) -> Source:
        found = find(session)

        def read(session: Session, count: int, cursor: str | None) -> Rows:
            return series.read(session, found, count=count, cursor=cursor)

        return Source(read, found.depth)

    return await respond(request, services, query, opened)


async def respond(
    request: Request, services: Services, query: PageQuery, opened: Opening
) -> Response:
    """Return a page of a source where one is asked for, else all of it, streamed."""
    paged = query.limit is not None or query.cursor is not None
    count = (query.limit or DEFAULT_LIMIT) if paged else _FIRST
    start = await services.database.read(
        _start, opened, count=count, cursor=query.cursor or None, whole=not paged
    )
    headers = dict(_CACHING)
    if start.etag is not None:
        headers["ETag"] = start.etag
        if matches(request, start.etag):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    if not paged and start.cursor is not None:
        parts = _stream(services.database, start, start.cursor)
        return StreamingResponse(parts, media_type=_JSON, headers=headers)
    if start.cursor is not None:
        url = request.url.include_query_params(cursor=start.cursor, limit=count)
        # Relative: what the client calls us may be a proxy's business.
        headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
        headers["X-Next-Cursor"] = start.cursor
    return Response(start.body + start.writer.end(), media_type=_JSON, headers=headers)


def _start(
    session: Session, opened: Opening, *, count: int, cursor: str | None, whole: bool
) -> _Start:
    # Its version is asked before the rows are read: what changes meanwhile is newer.
    source = opened(session, whole)
    writer = ListWriter(source.depth)
    body, following = _part(session, source, writer, count, cursor)
    told: bytes | None = None
    if source.version is not None:
        told = source.version.encode()
    elif following is None or not whole:
        told = body + (following or "").encode()
    return _Start(source, writer, body, following, None if told is None else _etag(told))


async def _stream(database: Database, start: _Start, cursor: str) -> AsyncIterator[bytes]:
    yield start.body
    following: str | None = cursor
    while following is not None:
        body, following = await database.read(_part, start.source, start.writer, _NEXT, following)
        yield body
    yield start.writer.end()


def _part(
    session: Session, source: Source, writer: ListWriter, count: int, cursor: str | None
) -> tuple[bytes, str | None]:
    rows = source.read(session, count, cursor)
    return writer.part(rows.items, rows.groups), rows.cursor


def _etag(told: bytes) -> str:
    return f'W/"{blake2b(told, digest_size=16).hexdigest()}"'


def matches(request: Request, etag: str) -> bool:
    """Whether the sender has what an ETag stands for already."""
    given = request.headers.get("If-None-Match", "")
    known = {one.strip().removeprefix("W/") for one in given.split(",")}
    return "*" in known or etag.removeprefix("W/") in known
