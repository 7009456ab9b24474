"""How what httpx raises and the service answers become our errors: one table, one function each."""

from collections.abc import Mapping
from enum import Enum, auto
from http import HTTPStatus

import httpx
from pydantic import ValidationError

from core.errors import (
    AthenaConflict,
    AthenaError,
    AthenaNotFound,
    AthenaOutcomeUnknown,
    AthenaRejected,
    AthenaUnavailable,
)
from models.athena import ProblemDetails

#: Requests that may be sent again whatever became of them.
SAFE_TO_REPEAT = frozenset({"GET", "PUT", "DELETE"})

#: Statuses by which a server says that it has not begun.
_NOT_BEGUN = frozenset({HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS})

_BY_STATUS: Mapping[int, type[AthenaError]] = {
    HTTPStatus.BAD_REQUEST: AthenaRejected,
    HTTPStatus.NOT_FOUND: AthenaNotFound,
    HTTPStatus.CONFLICT: AthenaConflict,
}

#: Longest piece of an answer that is not ProblemDetails quoted in a message.
_EXCERPT = 200


class Failure(Enum):
    """How far a request got that httpx could not complete."""

    NOT_SENT = auto()
    MIDWAY = auto()
    OURS = auto()


#: Every exception class of httpx.
FAILURES: Mapping[type[Exception], Failure] = {
    httpx.ConnectError: Failure.NOT_SENT,  # refused, no such host, TLS handshake
    httpx.ConnectTimeout: Failure.NOT_SENT,
    httpx.PoolTimeout: Failure.NOT_SENT,
    httpx.ProxyError: Failure.NOT_SENT,
    httpx.ReadTimeout: Failure.MIDWAY,
    httpx.WriteTimeout: Failure.MIDWAY,
    httpx.ReadError: Failure.MIDWAY,
    httpx.WriteError: Failure.MIDWAY,
    httpx.CloseError: Failure.MIDWAY,
    httpx.RemoteProtocolError: Failure.MIDWAY,
    # h11 says so of a bad header before sending, but also of a connection closed under it.
    httpx.LocalProtocolError: Failure.MIDWAY,
    httpx.DecodingError: Failure.MIDWAY,
    # Bases: what a later httpx derives from them is taken for the worst until it is known.
    httpx.TimeoutException: Failure.MIDWAY,
    httpx.NetworkError: Failure.MIDWAY,
    httpx.ProtocolError: Failure.MIDWAY,
    httpx.TransportError: Failure.MIDWAY,
    httpx.RequestError: Failure.MIDWAY,
    httpx.HTTPError: Failure.MIDWAY,
    # What only a wrong address, or a use of httpx that is not ours, can raise.
    httpx.UnsupportedProtocol: Failure.OURS,
    httpx.InvalidURL: Failure.OURS,
    httpx.TooManyRedirects: Failure.OURS,
    httpx.HTTPStatusError: Failure.OURS,
    httpx.CookieConflict: Failure.OURS,
    httpx.StreamError: Failure.OURS,
    httpx.StreamClosed: Failure.OURS,
    httpx.StreamConsumed: Failure.OURS,
    httpx.ResponseNotRead: Failure.OURS,
    httpx.RequestNotRead: Failure.OURS,
}


def from_httpx(error: Exception, method: str, path: str) -> AthenaError:
    """Return our error for an exception of httpx."""
    failure = next(FAILURES[base] for base in type(error).__mro__ if base in FAILURES)
    message = f"{method} {path}: {type(error).__name__}: {error}".rstrip(": ")
    if failure is Failure.OURS:
        return AthenaError(message)
    if failure is Failure.NOT_SENT or method in SAFE_TO_REPEAT:
        return AthenaUnavailable(message)
    return AthenaOutcomeUnknown(message)


def from_answer(answer: httpx.Response, method: str, path: str) -> AthenaError:
    """Return our error for an answer that is not a success."""
    status = answer.status_code
    message = f"{method} {path}: {status} {_reason(answer)}"
    return _kind(status, method)(message, status=status)


def _kind(status: int, method: str) -> type[AthenaError]:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status in _NOT_BEGUN:
        return AthenaUnavailable
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return AthenaUnavailable if method in SAFE_TO_REPEAT else AthenaOutcomeUnknown
    return AthenaError


def _reason(answer: httpx.Response) -> str:
    """Return title and detail of the answer's ProblemDetails, else the beginning of its text."""
    try:
        problem = ProblemDetails.model_validate_json(answer.content, extra="ignore")
    except ValidationError:
        return answer.text[:_EXCERPT] or answer.reason_phrase
    said = [part for part in (problem.title, problem.detail) if part]
    return ": ".join(said) or answer.reason_phrase
