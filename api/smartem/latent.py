"""Where models place squares and holes among those that look alike, and what that suggests."""

from functools import partial
from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api.errors import problems
from api.listing import Pages, answer_series, list_responses
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


@router.get(
    "/prediction_model/{prediction_model_name}/grid/{grid_uuid}/latent_representation",
    response_model=list[LatentRepresentationResponse],
    responses=list_responses(),
)
async def get_latent_rep(
    request: Request,
    services: Serving,
    prediction_model_name: ModelName,
    grid_uuid: UUID,
    query: Pages,
) -> Response:
    """List where a model places the squares of a grid, or its holes: each of which it told."""
    find = partial(latent.on_grid, model=prediction_model_name, grid=grid_uuid)
    return await answer_series(request, services, query, find)


@router.get(
    "/prediction_model/{prediction_model_name}/gridsquare/{gridsquare_uuid}/latent_representation",
    response_model=list[LatentRepresentationResponse],
    responses=list_responses(),
)
async def get_square_latent_rep(
    request: Request,
    services: Serving,
    prediction_model_name: ModelName,
    gridsquare_uuid: UUID,
    query: Pages,
) -> Response:
    """List where a model places the holes of a square that are not near a grid bar."""
    find = partial(latent.on_square, model=prediction_model_name, square=gridsquare_uuid)
    return await answer_series(request, services, query, find)


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
