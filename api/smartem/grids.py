"""Make, show, change, delete and register grids."""

from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter

from api.smartem.quick import QuickRoute
from api.smartem.writing import CHANGES, MAKES, SHOWS, Writing, change, delete, make, show
from api.state import Serving
from models.cryoem.messages import Entity
from models.cryoem.smartem.requests import GridCreateRequest, GridUpdateRequest
from models.cryoem.smartem.responses import GridResponse
from models.cryoem.smartem.views import GRIDS
from models.cryoem.smartem.writes import Register

router = APIRouter(tags=["grids"], route_class=QuickRoute)


@router.post(
    "/acquisitions/{acquisition_uuid}/grids", status_code=HTTPStatus.CREATED, responses=MAKES
)
async def create_acquisition_grid(
    writer: Writing, acquisition_uuid: UUID, asked: GridCreateRequest
) -> GridResponse:
    """Make a grid of an acquisition known: it becomes a session at Athena."""
    return await make(writer, Entity.GRID, acquisition_uuid, asked, GridResponse)


@router.get("/grids/{grid_uuid}", responses=SHOWS)
async def get_grid(services: Serving, grid_uuid: UUID) -> GridResponse:
    """Show a grid."""
    return await show(services, GRIDS, GridResponse, grid_uuid)


@router.put("/grids/{grid_uuid}", responses=CHANGES)
async def update_grid(writer: Writing, grid_uuid: UUID, asked: GridUpdateRequest) -> GridResponse:
    """Change a grid: what is not given stays."""
    return await change(writer, Entity.GRID, grid_uuid, asked, GridResponse)


@router.delete("/grids/{grid_uuid}", status_code=HTTPStatus.NO_CONTENT, responses=CHANGES)
async def delete_grid(writer: Writing, grid_uuid: UUID) -> None:
    """Delete a grid and all that belongs to it; 409 while its session is held."""
    await delete(writer, Entity.GRID, grid_uuid)


@router.post("/grids/{grid_uuid}/registered", responses=CHANGES)
async def grid_registered(writer: Writing, grid_uuid: UUID) -> bool:
    """Tell that all squares of a grid are known; it is decided then, and published."""
    await writer.write(Register(Entity.GRID, grid_uuid))
    return True
