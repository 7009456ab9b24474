"""How models are weighed on a grid."""

from functools import partial
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from api.listing import answer_series, list_responses
from api.state import Serving
from models.cryoem.smartem import weight_reads
from models.cryoem.smartem.prediction_views import WeightSeries
from models.cryoem.smartem.weight_reads import WeightQuery

router = APIRouter(tags=["models"])


@router.get(
    "/grid/{grid_uuid}/model_weights",
    response_model=WeightSeries,
    responses=list_responses(HTTPStatus.NOT_FOUND),
)
async def get_model_weights_for_grid(
    request: Request,
    services: Serving,
    grid_uuid: UUID,
    query: Annotated[WeightQuery, Query()],
) -> Response:
    """Show all weights that each model ever had on a grid, the oldest first."""
    find = partial(weight_reads.weight_series, grid=grid_uuid, metric=query.metric)
    return await answer_series(request, services, query, find)
