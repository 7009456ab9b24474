"""Decisions and their trails."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from api.errors import problems
from api.parameters import Cursor, Limit, text_filter
from api.state import Serving
from models.cryoem.api_schemas import DecisionDetail, DecisionSummary
from models.cryoem.queries.decisions import DecisionFilter, get_decision, list_decisions
from models.cryoem.states import DecisionState
from models.paging import Page

router = APIRouter(prefix="/decisions", tags=["decisions"])


@router.get("", responses=problems(HTTPStatus.UNPROCESSABLE_ENTITY))
async def get_decisions(
    services: Serving,
    grid_uuid: Annotated[UUID | None, Query(description="Only about this grid.")] = None,
    type: Annotated[  # noqa: A002 (the parameter's name)
        str | None, text_filter("Only of this decision type.", "foilHoleSelection")
    ] = None,
    state: Annotated[DecisionState | None, Query(description="Only in this state.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[DecisionSummary]:
    """List decisions, newest first, and how far each is on its way to Athena."""
    wanted = DecisionFilter(grid_uuid, type, state)
    return await services.database.read(list_decisions, wanted, limit=limit, cursor=cursor)


@router.get("/{id}", responses=problems(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY))
async def get_one_decision(services: Serving, id: UUID) -> DecisionDetail:  # noqa: A002 (the path's name)
    """Trace a decision: messages, predictions, decision, outbox, Athena."""
    return await services.database.read(get_decision, id)
