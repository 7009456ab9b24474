"""Make, show, change and delete acquisitions."""

from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter

from api.smartem.quick import QuickRoute
from api.smartem.writing import CHANGES, MAKES, SHOWS, Writing, change, delete, make, show
from api.state import Serving
from models.cryoem.messages import Entity
from models.cryoem.smartem.requests import AcquisitionCreateRequest, AcquisitionUpdateRequest
from models.cryoem.smartem.responses import AcquisitionResponse
from models.cryoem.smartem.views import ACQUISITIONS

router = APIRouter(tags=["acquisitions"], route_class=QuickRoute)


@router.post("/acquisitions", status_code=HTTPStatus.CREATED, responses=MAKES)
async def create_acquisition(
    writer: Writing, asked: AcquisitionCreateRequest
) -> AcquisitionResponse:
    """Make an acquisition known."""
    return await make(writer, Entity.ACQUISITION, None, asked, AcquisitionResponse)


@router.get("/acquisitions/{acquisition_uuid}", responses=SHOWS)
async def get_acquisition(services: Serving, acquisition_uuid: UUID) -> AcquisitionResponse:
    """Show an acquisition."""
    return await show(services, ACQUISITIONS, AcquisitionResponse, acquisition_uuid)


@router.put("/acquisitions/{acquisition_uuid}", responses=CHANGES)
async def update_acquisition(
    writer: Writing, acquisition_uuid: UUID, asked: AcquisitionUpdateRequest
) -> AcquisitionResponse:
    """Change an acquisition: what is not given stays."""
    return await change(writer, Entity.ACQUISITION, acquisition_uuid, asked, AcquisitionResponse)


@router.delete(
    "/acquisitions/{acquisition_uuid}", status_code=HTTPStatus.NO_CONTENT, responses=CHANGES
)
async def delete_acquisition(writer: Writing, acquisition_uuid: UUID) -> None:
    """Delete an acquisition and all that belongs to it; 409 while its session is held."""
    await delete(writer, Entity.ACQUISITION, acquisition_uuid)
