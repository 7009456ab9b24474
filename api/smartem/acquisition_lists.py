"""Lists of acquisitions and grids."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from sqlmodel import col

from api.listing import Chosen, Parent, answer, list_responses
from api.state import Serving
from models.cryoem.smartem.filters import AcquisitionQuery, GridQuery, GridsOfAcquisition
from models.cryoem.smartem.responses import (
    AcquisitionGridCountResponse,
    AcquisitionResponse,
    GridResponse,
)
from models.cryoem.smartem.views import ACQUISITIONS, GRID_COUNTS, GRIDS
from models.cryoem.tables import Grid

router = APIRouter()


@router.get(
    "/acquisitions",
    response_model=list[AcquisitionResponse] | list[Chosen],
    responses=list_responses(),
    tags=["acquisitions"],
)
async def list_acquisitions(
    request: Request, services: Serving, query: Annotated[AcquisitionQuery, Query()]
) -> Response:
    """List acquisitions."""
    return await answer(request, services, ACQUISITIONS, query)


@router.get(
    "/acquisitions/grid-counts",
    response_model=list[AcquisitionGridCountResponse] | list[Chosen],
    responses=list_responses(),
    tags=["acquisitions"],
)
async def count_grids(
    request: Request, services: Serving, query: Annotated[AcquisitionQuery, Query()]
) -> Response:
    """Count the grids of each acquisition, and those that are done."""
    return await answer(request, services, GRID_COUNTS, query)


@router.get(
    "/acquisitions/{acquisition_uuid}/grids",
    response_model=list[GridResponse] | list[Chosen],
    responses=list_responses(HTTPStatus.NOT_FOUND),
    tags=["grids"],
)
async def list_grids_of_acquisition(
    request: Request,
    services: Serving,
    acquisition_uuid: UUID,
    query: Annotated[GridsOfAcquisition, Query()],
) -> Response:
    """List the grids of an acquisition."""
    parent = Parent(ACQUISITIONS, acquisition_uuid, col(Grid.acquisition_uuid))
    return await answer(request, services, GRIDS, query, parent)


@router.get(
    "/grids",
    response_model=list[GridResponse] | list[Chosen],
    responses=list_responses(),
    tags=["grids"],
)
async def list_grids(
    request: Request, services: Serving, query: Annotated[GridQuery, Query()]
) -> Response:
    """List grids."""
    return await answer(request, services, GRIDS, query)
