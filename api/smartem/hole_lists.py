"""Lists of foil holes and micrographs."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from sqlmodel import col

from api.listing import Chosen, Parent, answer, list_responses
from api.state import Serving
from models.cryoem.smartem.filters import (
    HoleQuery,
    HolesOfSquare,
    MicrographQuery,
    MicrographsOfHole,
)
from models.cryoem.smartem.responses import FoilHoleResponse, MicrographResponse
from models.cryoem.smartem.views import HOLES, MICROGRAPHS, SQUARES
from models.cryoem.tables import Hole, Micrograph

router = APIRouter()


@router.get(
    "/foilholes",
    response_model=list[FoilHoleResponse] | list[Chosen],
    responses=list_responses(),
    tags=["holes"],
)
async def list_foilholes(
    request: Request, services: Serving, query: Annotated[HoleQuery, Query()]
) -> Response:
    """List foil holes."""
    return await answer(request, services, HOLES, query)


@router.get(
    "/gridsquares/{gridsquare_uuid}/foilholes",
    response_model=list[FoilHoleResponse] | list[Chosen],
    responses=list_responses(HTTPStatus.NOT_FOUND),
    tags=["holes"],
)
async def list_foilholes_of_gridsquare(
    request: Request,
    services: Serving,
    gridsquare_uuid: UUID,
    query: Annotated[HolesOfSquare, Query()],
) -> Response:
    """List the foil holes of a square."""
    parent = Parent(SQUARES, gridsquare_uuid, col(Hole.square_uuid))
    return await answer(request, services, HOLES, query, parent)


@router.get(
    "/micrographs",
    response_model=list[MicrographResponse] | list[Chosen],
    responses=list_responses(),
    tags=["micrographs"],
)
async def list_micrographs(
    request: Request, services: Serving, query: Annotated[MicrographQuery, Query()]
) -> Response:
    """List micrographs, with what was measured on each last."""
    return await answer(request, services, MICROGRAPHS, query)


@router.get(
    "/foilholes/{foilhole_uuid}/micrographs",
    response_model=list[MicrographResponse] | list[Chosen],
    responses=list_responses(HTTPStatus.NOT_FOUND),
    tags=["micrographs"],
)
async def list_micrographs_of_foilhole(
    request: Request,
    services: Serving,
    foilhole_uuid: UUID,
    query: Annotated[MicrographsOfHole, Query()],
) -> Response:
    """List the micrographs of a hole."""
    parent = Parent(HOLES, foilhole_uuid, col(Micrograph.hole_uuid))
    return await answer(request, services, MICROGRAPHS, query, parent)
