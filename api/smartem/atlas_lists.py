"""Lists of atlases and their tiles."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from sqlmodel import col

from api.errors import problems
from api.listing import Chosen, Parent, answer, list_responses
from api.state import Serving
from models.cryoem.smartem.filters import AtlasQuery, TileQuery, TilesOfAtlas
from models.cryoem.smartem.responses import AtlasResponse, AtlasTileResponse
from models.cryoem.smartem.views import ATLASES, TILES, atlas_of
from models.cryoem.tables import AtlasTile

router = APIRouter()


@router.get(
    "/atlases",
    response_model=list[AtlasResponse] | list[Chosen],
    responses=list_responses(),
    tags=["atlases"],
)
async def list_atlases(
    request: Request, services: Serving, query: Annotated[AtlasQuery, Query()]
) -> Response:
    """List atlases, each with its tiles."""
    return await answer(request, services, ATLASES, query)


@router.get(
    "/atlases/{atlas_uuid}/tiles",
    response_model=list[AtlasTileResponse] | list[Chosen],
    responses=list_responses(HTTPStatus.NOT_FOUND),
    tags=["atlases"],
)
async def list_tiles_of_atlas(
    request: Request,
    services: Serving,
    atlas_uuid: UUID,
    query: Annotated[TilesOfAtlas, Query()],
) -> Response:
    """List the tiles of an atlas."""
    parent = Parent(ATLASES, atlas_uuid, col(AtlasTile.atlas_uuid))
    return await answer(request, services, TILES, query, parent)


@router.get(
    "/atlas-tiles",
    response_model=list[AtlasTileResponse] | list[Chosen],
    responses=list_responses(),
    tags=["atlases"],
)
async def list_tiles(
    request: Request, services: Serving, query: Annotated[TileQuery, Query()]
) -> Response:
    """List atlas tiles."""
    return await answer(request, services, TILES, query)


@router.get(
    "/grids/{grid_uuid}/atlas",
    responses=problems(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY),
    tags=["atlases"],
)
async def get_grid_atlas(services: Serving, grid_uuid: UUID) -> AtlasResponse:
    """Show the atlas of a grid, with its tiles."""
    return await services.database.read(atlas_of, grid_uuid)
