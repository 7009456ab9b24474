"""What stands before the routes, from the outside in: each request runs through all of it."""

from typing import Final

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.errors import ServerErrorMiddleware

from api.access.guard import Guard
from api.audited import Audited
from api.errors import unexpected
from api.headers import Headers
from api.limits import Limits
from api.route_table import Straight
from core.settings import Settings
from models.database import Database

#: What a page of another site may send.
_ASKED_WITH: Final = (
    "Athanor-Organisation",
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-None-Match",
    "Last-Event-ID",
)


def stand_before(app: FastAPI, settings: Settings, database: Database) -> None:
    """Have every request given an id, followed, asked who sends it, and measured, in this order."""
    limits = settings.limits
    # What is added last is met first.
    app.add_middleware(Limits, limits=limits, max_body_bytes=settings.api.max_body_bytes)
    app.add_middleware(Guard, access=app.state.access)
    app.add_middleware(Audited, database=database)
    # Starlette's own stands before all of these, and what it answers has neither id nor headers.
    app.add_middleware(ServerErrorMiddleware, handler=unexpected)
    if limits.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=limits.cors_origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=[*_ASKED_WITH],
            expose_headers=["ETag", "Link", "Retry-After", "X-Next-Cursor", "X-Request-ID"],
        )
    app.add_middleware(Headers, limits=limits)
    # As a router's own middleware, behind all that FastAPI puts before its router.
    app.router.middleware_stack = Straight(app.router.middleware_stack)
