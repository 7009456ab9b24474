"""Make, show, change and delete foil holes."""

from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter

from api.smartem.quick import QuickRoute
from api.smartem.writing import CHANGES, MAKES, SHOWS, Writing, change, delete, make_all, show
from api.state import Serving
from models.cryoem.messages import Entity
from models.cryoem.smartem.requests import FoilHoleCreateRequest, FoilHoleUpdateRequest
from models.cryoem.smartem.responses import FoilHoleResponse
from models.cryoem.smartem.views import HOLES

router = APIRouter(tags=["holes"], route_class=QuickRoute)


@router.post(
    "/gridsquares/{gridsquare_uuid}/foilholes", status_code=HTTPStatus.CREATED, responses=MAKES
)
async def create_gridsquare_foilhole(
    writer: Writing, gridsquare_uuid: UUID, asked: list[FoilHoleCreateRequest]
) -> list[FoilHoleResponse]:
    """Make holes of a square known, all of them or none: they become areas at Athena."""
    return await make_all(writer, Entity.HOLE, gridsquare_uuid, asked, FoilHoleResponse)


@router.get("/foilholes/{foilhole_uuid}", responses=SHOWS)
async def get_foilhole(services: Serving, foilhole_uuid: UUID) -> FoilHoleResponse:
    """Show a hole."""
    return await show(services, HOLES, FoilHoleResponse, foilhole_uuid)


@router.put("/foilholes/{foilhole_uuid}", responses=CHANGES)
async def update_foilhole(
    writer: Writing, foilhole_uuid: UUID, asked: FoilHoleUpdateRequest
) -> FoilHoleResponse:
    """Change a hole: what is not given stays."""
    return await change(writer, Entity.HOLE, foilhole_uuid, asked, FoilHoleResponse)


@router.delete("/foilholes/{foilhole_uuid}", status_code=HTTPStatus.NO_CONTENT, responses=CHANGES)
async def delete_foilhole(writer: Writing, foilhole_uuid: UUID) -> None:
    """Delete a hole and all that belongs to it; 409 while its session is held."""
    await delete(writer, Entity.HOLE, foilhole_uuid)
