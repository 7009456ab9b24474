"""Which error becomes which status, told as a problem document (RFC 9457)."""

import logging
import math
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from core.errors import (
    AthanorError,
    BadInput,
    Conflict,
    CursorRejected,
    IssuerUnavailable,
    MessageRejected,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    StorageUnavailable,
    TooManyAttempts,
)
from tasks.cryoem.imaging.gallery import GalleryBusy
from tasks.intake import MessagesRejected

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

#: When to try again after the database could not be used, in seconds.
_RETRY_AFTER = "5"


class RequestRefused(AthanorError):
    """A request that has no meaning here, whatever the database holds."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        self.status = status
        super().__init__(detail)


class NotRetryable(AthanorError):
    """The message is neither dead nor waiting."""


#: The first class that fits decides.
_STATUSES: Sequence[tuple[type[AthanorError], HTTPStatus]] = (
    (BadInput, HTTPStatus.UNPROCESSABLE_ENTITY),
    (NotFound, HTTPStatus.NOT_FOUND),
    (NotRetryable, HTTPStatus.CONFLICT),
    (Conflict, HTTPStatus.CONFLICT),
    (StorageUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (GalleryBusy, HTTPStatus.SERVICE_UNAVAILABLE),
    (NotAuthenticated, HTTPStatus.UNAUTHORIZED),
    (NotPermitted, HTTPStatus.FORBIDDEN),
    (TooManyAttempts, HTTPStatus.TOO_MANY_REQUESTS),
    (IssuerUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (AthanorError, HTTPStatus.INTERNAL_SERVER_ERROR),
)


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    index: int | None = Field(default=None, description="Which message of the list, from 0.")
    field: str = Field(description="The field, with dots where it is nested.")
    reason: str = Field(description="What is wrong with it.")


class Problem(BaseModel):
    """Why a request failed (RFC 9457)."""

    type: str = Field(
        default="about:blank", description="Kind of the problem; none but the status."
    )
    title: str = Field(description="The status in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What is wrong and what to do.")
    instance: str = Field(description="The path that was asked for.")
    errors: list[FieldProblem] | None = Field(default=None, description="Each wrong field.")


def problems(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses of a route that fails with these, or for want of a database."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status.value: {"description": status.phrase, "content": content}
        for status in (*statuses, HTTPStatus.SERVICE_UNAVAILABLE)
    }


def install(app: FastAPI) -> None:
    """Have all errors that somebody thought of answered by problem documents."""
    app.add_exception_handler(AthanorError, answer_to)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)


def answer_to(request: Request, error: Exception) -> JSONResponse:
    """Return the answer to a request that ended in an error of ours."""
    if isinstance(error, RequestRefused):
        return _problem(request, error.status, str(error))
    status = next(status for kind, status in _STATUSES if isinstance(error, kind))
    return _problem(
        request, status, str(error), errors=_fields(error), headers=_headers(status, error)
    )


async def unexpected(request: Request, error: Exception) -> JSONResponse:
    """Return the answer to a request that ended in an error that nobody thought of."""
    # The error is raised again after this answer, and the server logs it, but not whose it is.
    logger.error(
        "Failed to answer %s %s",
        request.method,
        request.url.path[:200],
        exc_info=error,
        extra={"action": "request_failed"},
    )
    detail = "Something went wrong inside Athanor. Its log says what, under this X-Request-ID."
    return _problem(request, HTTPStatus.INTERNAL_SERVER_ERROR, detail)


def _headers(status: HTTPStatus, error: Exception) -> dict[str, str] | None:
    match status, error:
        case HTTPStatus.SERVICE_UNAVAILABLE, _:
            return {"Retry-After": _RETRY_AFTER}
        case _, TooManyAttempts(seconds=seconds):
            return {"Retry-After": str(math.ceil(seconds))}
        case _, NotAuthenticated():
            # What is wrong with a token is in the document; a header takes no such text.
            return {"WWW-Authenticate": 'Bearer realm="athanor"'}
        case _, NotPermitted(permission=str(lacking)):
            challenge = f'Bearer realm="athanor", error="insufficient_scope", scope="{lacking}"'
            return {"WWW-Authenticate": challenge}
        case _:
            return None


def _fields(error: Exception) -> list[FieldProblem] | None:
    if isinstance(error, CursorRejected):
        return [FieldProblem(field="cursor", reason=str(error))]
    if not isinstance(error, MessagesRejected):
        if not isinstance(error, MessageRejected) or not error.reasons:
            return None
        pairs = zip(error.fields, error.reasons, strict=True)
        return [FieldProblem(field=field, reason=reason) for field, reason in pairs]
    return [
        FieldProblem(index=problem.index, field=field, reason=reason)
        for problem in error.problems
        for field, reason in zip(problem.fields, problem.reasons, strict=True)
    ]


def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 (registered for it alone)
    errors = [
        FieldProblem(field=".".join(str(part) for part in item["loc"][1:]), reason=item["msg"])
        for item in error.errors()
    ]
    detail = "; ".join(f"{one.field}: {one.reason}" for one in errors)
    return _problem(request, HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=errors)


def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 (registered for it alone)
    status = HTTPStatus(error.status_code)
    detail = {
        HTTPStatus.NOT_FOUND: f"There is nothing at {request.url.path}. See /docs.",
        HTTPStatus.METHOD_NOT_ALLOWED: f"{request.url.path} does not take {request.method}.",
    }.get(status, str(error.detail))
    headers = error.headers
    allowed: list[str] = getattr(request.state, "allowed", [])
    if status is HTTPStatus.METHOD_NOT_ALLOWED and allowed:
        # By itself it would name the methods of one route of the path.
        headers = {"Allow": ", ".join(allowed)}
    return _problem(request, status, detail, headers=headers)


def _problem(
    request: Request,
    status: HTTPStatus,
    detail: str,
    *,
    errors: list[FieldProblem] | None = None,
    headers: Any = None,
) -> JSONResponse:
    body = Problem(
        title=status.phrase,
        status=status.value,
        detail=detail,
        instance=request.url.path,
        errors=errors,
    )
    return JSONResponse(
        body.model_dump(exclude_none=True),
        status_code=status.value,
        headers=headers,
        media_type=MEDIA_TYPE,
    )
