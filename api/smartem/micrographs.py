"""Make, show, change and delete micrographs."""

from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter

from api.smartem.quick import QuickRoute
from api.smartem.writing import CHANGES, MAKES, SHOWS, Writing, change, delete, make, show
from api.state import Serving
from models.cryoem.messages import Entity
from models.cryoem.smartem.requests import MicrographCreateRequest, MicrographUpdateRequest
from models.cryoem.smartem.responses import MicrographResponse
from models.cryoem.smartem.views import MICROGRAPHS

router = APIRouter(tags=["micrographs"], route_class=QuickRoute)


@router.post(
    "/foilholes/{foilhole_uuid}/micrographs", status_code=HTTPStatus.CREATED, responses=MAKES
)
async def create_foilhole_micrograph(
    writer: Writing, foilhole_uuid: UUID, asked: MicrographCreateRequest
) -> MicrographResponse:
    """Make a micrograph of a hole known."""
    return await make(writer, Entity.MICROGRAPH, foilhole_uuid, asked, MicrographResponse)


@router.get("/micrographs/{micrograph_uuid}", responses=SHOWS)
async def get_micrograph(services: Serving, micrograph_uuid: UUID) -> MicrographResponse:
    """Show a micrograph."""
    return await show(services, MICROGRAPHS, MicrographResponse, micrograph_uuid)


@router.put("/micrographs/{micrograph_uuid}", responses=CHANGES)
async def update_micrograph(
    writer: Writing, micrograph_uuid: UUID, asked: MicrographUpdateRequest
) -> MicrographResponse:
    """Change a micrograph: what is not given stays."""
    return await change(writer, Entity.MICROGRAPH, micrograph_uuid, asked, MicrographResponse)


@router.delete(
    "/micrographs/{micrograph_uuid}", status_code=HTTPStatus.NO_CONTENT, responses=CHANGES
)
async def delete_micrograph(writer: Writing, micrograph_uuid: UUID) -> None:
    """Delete a micrograph and all that belongs to it; 409 while its session is held."""
    await delete(writer, Entity.MICROGRAPH, micrograph_uuid)
