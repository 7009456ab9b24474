"""Signing in and out, and who one is."""

import base64
import binascii
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from api.access import signing_in
from api.access.state import Accessing, Asking
from api.access.views import Me, Tokens, TokenWanted
from api.errors import RequestRefused, problems

router = APIRouter(prefix="/auth", tags=["access"])

_FAILURES = problems(
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.TOO_MANY_REQUESTS,
)


@router.post("/token", responses=_FAILURES)
async def post_token(
    request: Request,
    response: Response,
    access: Accessing,
    wanted: Annotated[TokenWanted, Form()],
) -> Tokens:
    """Sign in (OAuth 2): a person by password or refresh token, a machine client by its secret.

    A client may send name and secret as `Authorization: Basic …` instead.
    """
    response.headers["Cache-Control"] = "no-store"
    address = _address(request)
    match wanted:
        case TokenWanted(grant_type="password", username=str(name), password=str(password)):
            given = await signing_in.by_password(access, name, password, address=address)
        case TokenWanted(grant_type="refresh_token", refresh_token=str(token)):
            given = await signing_in.by_refresh_token(access, token, address=address)
        case TokenWanted(grant_type="client_credentials", scope=scope):
            name, secret = _client(request, wanted.client_id, wanted.client_secret)
            given = await signing_in.by_client_secret(
                access, name, secret, scope.split(), address=address
            )
        case _:
            raise RequestRefused(
                HTTPStatus.BAD_REQUEST,
                "Send `username` and `password`, or `refresh_token`, as their `grant_type` asks.",
            )
    return Tokens.model_validate(given)


@router.post("/refresh", responses=_FAILURES)
async def post_refresh(
    request: Request,
    response: Response,
    access: Accessing,
    refresh_token: Annotated[
        str, Form(max_length=8_192, description="The one that came with the last tokens.")
    ],
) -> Tokens:
    """Give the next tokens for a refresh token, which can be used once."""
    response.headers["Cache-Control"] = "no-store"
    given = await signing_in.by_refresh_token(access, refresh_token, address=_address(request))
    return Tokens.model_validate(given)


@router.post("/revoke", responses=problems(HTTPStatus.UNPROCESSABLE_ENTITY))
async def post_revoke(
    access: Accessing,
    token: Annotated[str, Form(max_length=8_192, description="A refresh or access token.")],
) -> None:
    """Sign out: end this token and all that came of the same signing in (RFC 7009)."""
    await signing_in.revoke(access, token)


@router.get("/me", responses=problems())
async def get_me(caller: Asking) -> Me:
    """Show who is asking, and what they may do."""
    return Me(
        name=caller.name,
        kind=caller.kind,
        role=caller.role,
        permissions=sorted(caller.permissions),
        organisations=None if caller.organisations is None else sorted(caller.organisations),
    )


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _client(request: Request, name: str | None, secret: str | None) -> tuple[str, str]:
    scheme, _, basic = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            name, _, secret = base64.b64decode(basic, validate=True).decode().partition(":")
        except (binascii.Error, ValueError) as error:
            raise RequestRefused(
                HTTPStatus.BAD_REQUEST, "`Authorization: Basic` is not name:secret in base64."
            ) from error
    if not name or not secret:
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "Send `client_id` and `client_secret`.")
    return name, secret
