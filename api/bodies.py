"""Read what POST /messages is sent: bounded while it comes in, gzip or plain, strict JSON."""

import math
import re
import zlib
from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus
from typing import Annotated, Any

import pydantic_core
from fastapi import Depends, Request

from api.errors import RequestRefused
from api.state import Serving
from tasks.intake import MessagesRejected, Problem

#: Tells zlib to expect a gzip header.
_GZIP = 16 + zlib.MAX_WBITS

#: Without one of these in its text, JSON holds neither infinite numbers nor NUL characters;
#: with one it may, and is looked through.
_SUSPECT = re.compile(rb"NaN|Infinity|\\u0000|[eE]\+?[0-9]{3}|[0-9]{300}")


async def _received(request: Request, services: Serving) -> list[Any]:
    """Return the JSON values that a request brings, one per message.

    Raises:
        RequestRefused: Too large, too many, none, not JSON, or in an encoding we do not know.
        MessagesRejected: A value that JSON does not have (NaN, infinity) or no database takes.
    """
    limits = services.settings.api
    body = await _read(request, limits.max_body_bytes)
    parsed = _parse(body)
    messages = parsed if isinstance(parsed, list) else [parsed]
    if len(messages) > limits.max_batch:
        raise RequestRefused(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"{len(messages)} messages are too many: send at most {limits.max_batch} at once.",
        )
    if not messages:
        raise RequestRefused(HTTPStatus.UNPROCESSABLE_ENTITY, "Send at least one message.")
    if _SUSPECT.search(body):
        _require_storable(messages)
    return messages


Received = Annotated[list[Any], Depends(_received)]


async def _read(request: Request, limit: int) -> bytes:
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise RequestRefused(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"Send JSON with Content-Type: application/json, not {kind or 'nothing'}.",
        )
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", "gzip", "x-gzip"}:
        raise RequestRefused(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Send the body plain or gzip, not {encoding}."
        )
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > limit:
        raise _too_large(limit)
    pieces = request.stream() if encoding == "identity" else _unzipped(request.stream(), limit)
    body = bytearray()
    async for piece in pieces:
        body += piece
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


def _too_large(limit: int) -> RequestRefused:
    return RequestRefused(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"The body is larger than {limit:,} bytes (counted unpacked). Send fewer messages at once.",
    )


async def _unzipped(pieces: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes]:
    """Yield the unpacked bytes; never more than one above the limit, however well packed."""
    unzip = zlib.decompressobj(_GZIP)
    left = limit + 1
    async for piece in pieces:
        waiting = piece
        while waiting and left:
            try:
                out = unzip.decompress(waiting, left)
            except zlib.error as error:
                raise RequestRefused(
                    HTTPStatus.BAD_REQUEST, f"The body is not gzip as its header says: {error}."
                ) from error
            left -= len(out)
            yield out
            waiting = unzip.unconsumed_tail or unzip.unused_data
            if unzip.eof and waiting:
                # gzip files may be joined.
                unzip = zlib.decompressobj(_GZIP)
        if not left:
            return
    if not unzip.eof:
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "The gzip body ends too early.")


def _parse(body: bytes) -> Any:
    try:
        return pydantic_core.from_json(body)
    except ValueError as error:
        raise RequestRefused(HTTPStatus.BAD_REQUEST, f"The body is not JSON: {error}.") from error


def _require_storable(messages: list[Any]) -> None:
    found = [
        Problem(index, (field,), f"{field}: {reason}", (reason,))
        for index, message in enumerate(messages)
        for field, reason in _unstorable(message, "")
    ]
    if found:
        raise MessagesRejected(found)


def _unstorable(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield the place of each value that cannot be stored, and why."""
    if isinstance(value, dict):
        for name, item in value.items():
            if "\x00" in name:
                yield path or "message", "a field's name has a NUL character"
            yield from _unstorable(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unstorable(item, f"{path}.{index}" if path else str(index))
    elif isinstance(value, float) and not math.isfinite(value):
        yield path or "message", "must be a finite number"
    elif isinstance(value, str) and "\x00" in value:
        yield path or "message", "must not have a NUL character"
