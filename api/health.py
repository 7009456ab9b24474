"""Whether it lives, and how it does."""

import asyncio
from typing import Final, Literal

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from api.errors import problems
from api.page import render
from api.state import Serving
from core.clock import utcnow
from core.errors import StorageUnavailable
from core.version import version
from models.cryoem.api_schemas import Status
from models.cryoem.queries.status import get_status

router = APIRouter(tags=["health"])

#: Seconds after which a silent database counts as gone.
_PATIENCE = 5.0


#: The version of SmartEM's API whose clients are at home here; they compare it with their own.
_SMARTEM_API: Final = "0.1.1"


class Version(BaseModel):
    """What it is."""

    service: Literal["athanor"] = Field(default="athanor", description="Its name.")
    version: str = Field(
        description="Version of SmartEM's API whose clients find here what they know.",
        examples=[_SMARTEM_API],
    )
    athanor: str = Field(description="Athanor's own version.", examples=["0.1.0"])


class Health(BaseModel):
    """It lives."""

    status: Literal["ok"] = Field(default="ok", description="The API answers.")
    database: Literal["ok"] = Field(default="ok", description="The database answers.")


@router.get("/health", responses=problems())
async def get_health(services: Serving) -> Health:
    """Tell whether the API and its database answer; 503 when the database does not."""
    try:
        await asyncio.wait_for(asyncio.to_thread(services.database.check), _PATIENCE)
    except TimeoutError as error:
        raise StorageUnavailable(f"The database gave no answer in {_PATIENCE:g} s.") from error
    return Health()


@router.get("/version", responses=problems())
async def get_version() -> Version:
    """Tell which API this is, for clients that compare it with what they were made for."""
    return Version(version=_SMARTEM_API, athanor=version())


@router.get("/status", responses=problems())
async def get_state(services: Serving) -> Status:
    """Show queues and their age, sessions, the latest decision, and latencies."""
    return await services.database.read(get_status, version=version(), now=utcnow())


@router.get("/", include_in_schema=False)
async def get_page(request: Request) -> HTMLResponse:
    """Show a page for people."""
    return HTMLResponse(render(request.app.openapi(), request.app.state.prefect_ui))
