"""Lists of grid squares."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from sqlmodel import col

from api.listing import Chosen, Parent, answer, list_responses
from api.state import Serving
from models.cryoem.smartem.filters import SquareQuery, SquaresOfGrid
from models.cryoem.smartem.responses import GridSquareResponse
from models.cryoem.smartem.views import GRIDS, SQUARES
from models.cryoem.tables import Square

router = APIRouter()


@router.get(
    "/gridsquares",
    response_model=list[GridSquareResponse] | list[Chosen],
    responses=list_responses(),
    tags=["squares"],
)
async def list_gridsquares(
    request: Request, services: Serving, query: Annotated[SquareQuery, Query()]
) -> Response:
    """List grid squares."""
    return await answer(request, services, SQUARES, query)


@router.get(
    "/grids/{grid_uuid}/gridsquares",
    response_model=list[GridSquareResponse] | list[Chosen],
    responses=list_responses(HTTPStatus.NOT_FOUND),
    tags=["squares"],
)
async def list_gridsquares_of_grid(
    request: Request,
    services: Serving,
    grid_uuid: UUID,
    query: Annotated[SquaresOfGrid, Query()],
) -> Response:
    """List the squares of a grid."""
    parent = Parent(GRIDS, grid_uuid, col(Square.grid_uuid))
    return await answer(request, services, SQUARES, query, parent)
