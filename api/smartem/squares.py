"""Make, show, change, delete and register grid squares."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from api.smartem.quick import QuickRoute
from api.smartem.writing import CHANGES, MAKES, SHOWS, Writing, change, delete, make, make_all, show
from api.state import Serving
from models.cryoem.messages import Entity
from models.cryoem.smartem.requests import (
    GridSquareBatchCreateRequest,
    GridSquareCreateRequest,
    GridSquareUpdateRequest,
)
from models.cryoem.smartem.responses import GridSquareBatchCreateResponse, GridSquareResponse
from models.cryoem.smartem.views import SQUARES
from models.cryoem.smartem.writes import Register

router = APIRouter(tags=["squares"], route_class=QuickRoute)


@router.post("/grids/{grid_uuid}/gridsquares", status_code=HTTPStatus.CREATED, responses=MAKES)
async def create_grid_gridsquare(
    writer: Writing, grid_uuid: UUID, asked: GridSquareCreateRequest
) -> GridSquareResponse:
    """Make a square of a grid known: it becomes an area at Athena."""
    return await make(writer, Entity.SQUARE, grid_uuid, asked, GridSquareResponse)


@router.post(
    "/grids/{grid_uuid}/gridsquares/batch", status_code=HTTPStatus.CREATED, responses=MAKES
)
async def create_grid_gridsquares_batch(
    writer: Writing, grid_uuid: UUID, asked: GridSquareBatchCreateRequest
) -> GridSquareBatchCreateResponse:
    """Make up to 1,000 squares of a grid known, all of them or none."""
    return GridSquareBatchCreateResponse(
        gridsquares=await make_all(
            writer, Entity.SQUARE, grid_uuid, asked.gridsquares, GridSquareResponse
        )
    )


@router.get("/gridsquares/{gridsquare_uuid}", responses=SHOWS)
async def get_gridsquare(services: Serving, gridsquare_uuid: UUID) -> GridSquareResponse:
    """Show a square."""
    return await show(services, SQUARES, GridSquareResponse, gridsquare_uuid)


@router.put("/gridsquares/{gridsquare_uuid}", responses=CHANGES)
async def update_gridsquare(
    writer: Writing, gridsquare_uuid: UUID, asked: GridSquareUpdateRequest
) -> GridSquareResponse:
    """Change a square: what is not given stays."""
    return await change(writer, Entity.SQUARE, gridsquare_uuid, asked, GridSquareResponse)


@router.delete(
    "/gridsquares/{gridsquare_uuid}", status_code=HTTPStatus.NO_CONTENT, responses=CHANGES
)
async def delete_gridsquare(writer: Writing, gridsquare_uuid: UUID) -> None:
    """Delete a square and all that belongs to it; 409 while its session is held."""
    await delete(writer, Entity.SQUARE, gridsquare_uuid)


@router.post("/gridsquares/{gridsquare_uuid}/registered", responses=CHANGES)
async def gridsquare_registered(
    writer: Writing,
    gridsquare_uuid: UUID,
    count: Annotated[
        int | None, Query(ge=0, le=2**53, description="How many holes; published with it.")
    ] = None,
) -> bool:
    """Tell that all holes of a square are known; its status says so then, and it is published."""
    await writer.write(Register(Entity.SQUARE, gridsquare_uuid, count))
    return True
