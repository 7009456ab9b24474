"""EPU sessions and what is known of their squares, holes and micrographs."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from api.errors import problems
from api.parameters import Cursor, Limit
from api.state import Serving
from models.cryoem.api_schemas import (
    HoleView,
    MicrographView,
    SessionDetail,
    SessionSummary,
    SquareView,
)
from models.cryoem.queries import entities, sessions
from models.paging import Page

router = APIRouter(prefix="/sessions", tags=["sessions"])

_ONE = problems(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY)


@router.get("", responses=problems(HTTPStatus.UNPROCESSABLE_ENTITY))
async def get_sessions(
    services: Serving, limit: Limit = 100, cursor: Cursor = None
) -> Page[SessionSummary]:
    """List sessions, the latest started first."""
    return await services.database.read(sessions.list_sessions, limit=limit, cursor=cursor)


@router.get("/{grid_uuid}", responses=_ONE)
async def get_session(services: Serving, grid_uuid: UUID) -> SessionDetail:
    """Show a session: counts by entity, what Athena knows, predictions, decisions, queues."""
    return await services.database.read(sessions.get_session, grid_uuid)


@router.get("/{grid_uuid}/squares", responses=_ONE)
async def get_squares(
    services: Serving, grid_uuid: UUID, limit: Limit = 100, cursor: Cursor = None
) -> Page[SquareView]:
    """List the grid squares of a session, with predictions in force, by EPU's id."""
    return await services.database.read(
        entities.list_squares, grid_uuid, limit=limit, cursor=cursor
    )


@router.get("/{grid_uuid}/holes", responses=_ONE)
async def get_holes(
    services: Serving,
    grid_uuid: UUID,
    square_uuid: Annotated[UUID | None, Query(description="Only of this square.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[HoleView]:
    """List the foil holes of a session or square, with predictions in force, by EPU's id."""
    return await services.database.read(
        entities.list_holes, grid_uuid, square=square_uuid, limit=limit, cursor=cursor
    )


@router.get("/{grid_uuid}/micrographs", responses=_ONE)
async def get_micrographs(
    services: Serving, grid_uuid: UUID, limit: Limit = 100, cursor: Cursor = None
) -> Page[MicrographView]:
    """List the micrographs of a session, by file name."""
    return await services.database.read(
        entities.list_micrographs, grid_uuid, limit=limit, cursor=cursor
    )
