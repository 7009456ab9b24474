"""How models are weighed on a grid."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter

from api.errors import problems
from api.parameters import text_filter
from api.state import Serving
from models.cryoem.smartem import weight_reads
from models.cryoem.smartem.prediction_views import WeightSeries

router = APIRouter(tags=["models"])


@router.get(
    "/grid/{grid_uuid}/model_weights",
    responses=problems(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY),
)
async def get_model_weights_for_grid(
    services: Serving,
    grid_uuid: UUID,
    metric: Annotated[str | None, text_filter("Only for this metric.", "ctfmaxresolution")] = None,
) -> WeightSeries:
    """Show all weights that each model ever had on a grid, the oldest first."""
    return await services.database.read(weight_reads.weight_series, grid_uuid, metric=metric)
