"""Make, show, change and delete atlases and their tiles, and link tiles with squares."""

from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter

from api.errors import RequestRefused
from api.smartem.quick import QuickRoute
from api.smartem.writing import CHANGES, MAKES, SHOWS, Writing, change, delete, make, only, show
from api.state import Serving
from models.cryoem.messages import Entity
from models.cryoem.smartem.requests import (
    AtlasCreateRequest,
    AtlasTileCreateRequest,
    AtlasTileUpdateRequest,
    AtlasUpdateRequest,
    GridSquarePositionRequest,
)
from models.cryoem.smartem.responses import (
    AtlasResponse,
    AtlasTileGridSquarePositionResponse,
    AtlasTileResponse,
)
from models.cryoem.smartem.views import ATLASES, TILES
from models.cryoem.smartem.writes import Link

router = APIRouter(tags=["atlases"], route_class=QuickRoute)


@router.post("/grids/{grid_uuid}/atlas", status_code=HTTPStatus.CREATED, responses=MAKES)
async def create_grid_atlas(
    writer: Writing, grid_uuid: UUID, asked: AtlasCreateRequest
) -> AtlasResponse:
    """Make the atlas of a grid known, with its tiles: all of it, or nothing."""
    return await make(writer, Entity.ATLAS, grid_uuid, asked, AtlasResponse)


@router.get("/atlases/{atlas_uuid}", responses=SHOWS)
async def get_atlas(services: Serving, atlas_uuid: UUID) -> AtlasResponse:
    """Show an atlas."""
    return await show(services, ATLASES, AtlasResponse, atlas_uuid)


@router.put("/atlases/{atlas_uuid}", responses=CHANGES)
async def update_atlas(
    writer: Writing, atlas_uuid: UUID, asked: AtlasUpdateRequest
) -> AtlasResponse:
    """Change an atlas: what is not given stays."""
    return await change(writer, Entity.ATLAS, atlas_uuid, asked, AtlasResponse)


@router.delete("/atlases/{atlas_uuid}", status_code=HTTPStatus.NO_CONTENT, responses=CHANGES)
async def delete_atlas(writer: Writing, atlas_uuid: UUID) -> None:
    """Delete an atlas and all that belongs to it; 409 while its session is held."""
    await delete(writer, Entity.ATLAS, atlas_uuid)


@router.post("/atlases/{atlas_uuid}/tiles", status_code=HTTPStatus.CREATED, responses=MAKES)
async def create_atlas_tile_for_atlas(
    writer: Writing, atlas_uuid: UUID, asked: AtlasTileCreateRequest
) -> AtlasTileResponse:
    """Make a tile of an atlas known."""
    return await make(writer, Entity.TILE, atlas_uuid, asked, AtlasTileResponse)


@router.get("/atlas-tiles/{tile_uuid}", responses=SHOWS)
async def get_atlas_tile(services: Serving, tile_uuid: UUID) -> AtlasTileResponse:
    """Show a tile of an atlas."""
    return await show(services, TILES, AtlasTileResponse, tile_uuid)


@router.put("/atlas-tiles/{tile_uuid}", responses=CHANGES)
async def update_atlas_tile(
    writer: Writing, tile_uuid: UUID, asked: AtlasTileUpdateRequest
) -> AtlasTileResponse:
    """Change a tile of an atlas: what is not given stays."""
    return await change(writer, Entity.TILE, tile_uuid, asked, AtlasTileResponse)


@router.delete("/atlas-tiles/{tile_uuid}", status_code=HTTPStatus.NO_CONTENT, responses=CHANGES)
async def delete_atlas_tile(writer: Writing, tile_uuid: UUID) -> None:
    """Delete a tile of an atlas and all that belongs to it; 409 while its session is held."""
    await delete(writer, Entity.TILE, tile_uuid)


@router.post(
    "/atlas-tiles/{tile_uuid}/gridsquares/{gridsquare_uuid}",
    status_code=HTTPStatus.CREATED,
    responses=MAKES,
)
async def link_atlas_tile_to_gridsquare(
    writer: Writing, tile_uuid: UUID, gridsquare_uuid: UUID, asked: GridSquarePositionRequest
) -> AtlasTileGridSquarePositionResponse:
    """Tell where a square lies on a tile; told again, the latest counts."""
    if asked.gridsquare_uuid not in (None, gridsquare_uuid):
        raise RequestRefused(
            HTTPStatus.UNPROCESSABLE_ENTITY, "gridsquare_uuid: is not the square of the path."
        )
    result = await writer.write(Link(tile_uuid, ((gridsquare_uuid, asked),)))
    return AtlasTileGridSquarePositionResponse.model_validate(only(result))


@router.post(
    "/atlas-tiles/{tile_uuid}/gridsquares", status_code=HTTPStatus.CREATED, responses=MAKES
)
async def link_atlas_tile_to_gridsquares(
    writer: Writing, tile_uuid: UUID, asked: list[GridSquarePositionRequest]
) -> list[AtlasTileGridSquarePositionResponse]:
    """Tell where squares lie on a tile, all of them or none; each names its square."""
    named = [(one.gridsquare_uuid, one) for one in asked if one.gridsquare_uuid is not None]
    if len(named) < len(asked):
        raise RequestRefused(
            HTTPStatus.UNPROCESSABLE_ENTITY, "gridsquare_uuid: must be given for each square."
        )
    result = await writer.write(Link(tile_uuid, tuple(named)))
    return [AtlasTileGridSquarePositionResponse.model_validate(one) for one in result.shown]
