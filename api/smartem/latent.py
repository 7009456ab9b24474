"""Where models place squares and holes among those that look alike, and what that suggests."""

from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter

from api.errors import problems
from api.smartem.naming import ModelName
from api.state import Serving
from models.cryoem.smartem import latent, suggestions
from models.cryoem.smartem.prediction_views import LatentRepresentationResponse
from models.cryoem.smartem.responses import FoilHoleResponse, GridSquareResponse
from models.listing import Row

router = APIRouter(
    tags=["predictions"],
    responses=problems(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY),
)


@router.get("/prediction_model/{prediction_model_name}/grid/{grid_uuid}/latent_representation")
async def get_latent_rep(
    services: Serving, prediction_model_name: ModelName, grid_uuid: UUID
) -> list[LatentRepresentationResponse]:
    """List where a model places the squares of a grid, or its holes: each of which it told."""
    return await services.database.read(latent.on_grid, prediction_model_name, grid_uuid)


@router.get(
    "/prediction_model/{prediction_model_name}/gridsquare/{gridsquare_uuid}/latent_representation"
)
async def get_square_latent_rep(
    services: Serving, prediction_model_name: ModelName, gridsquare_uuid: UUID
) -> list[LatentRepresentationResponse]:
    """List where a model places the holes of a square that are not near a grid bar."""
    return await services.database.read(latent.on_square, prediction_model_name, gridsquare_uuid)


@router.get(
    "/grid/{grid_uuid}/prediction_model/{prediction_model_name}"
    "/latent_rep/{latent_rep_model_name}/suggested_squares",
    response_model=list[GridSquareResponse],
)
async def get_suggested_square_collections(
    services: Serving,
    grid_uuid: UUID,
    prediction_model_name: ModelName,
    latent_rep_model_name: ModelName,
) -> list[Row]:
    """Suggest the squares of a grid to image first, the best first.

    They are the better half of those predicted, by value times area; two at most of each
    cluster; none that is narrower than 60 pixels on the atlas.
    """
    return await services.database.read(
        suggestions.squares, grid_uuid, prediction_model_name, latent_rep_model_name
    )


@router.get(
    "/gridsquares/{gridsquare_uuid}/prediction_model/{prediction_model_name}"
    "/latent_rep/{latent_rep_model_name}/suggested_holes",
    response_model=list[FoilHoleResponse],
)
async def get_suggested_hole_collections(
    services: Serving,
    gridsquare_uuid: UUID,
    prediction_model_name: ModelName,
    latent_rep_model_name: ModelName,
) -> list[Row]:
    """Suggest the holes of a square to image first, the best first.

    They are the better half of those predicted; four at most of each cluster.
    """
    return await services.database.read(
        suggestions.holes, gridsquare_uuid, prediction_model_name, latent_rep_model_name
    )
