"""What models predict for squares and holes: told, then and now, and overall."""

from functools import partial
from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api.errors import problems
from api.listing import Pages, answer_series, list_responses
from api.smartem.naming import MetricName, ModelName
from api.state import Serving
from models.cryoem.smartem import prediction_reads
from models.cryoem.smartem.prediction_views import (
    HolePredictionSeries,
    OverallQualityPrediction,
    PredictionSeries,
    QualityMetricsResponse,
    QualityPredictionCreateRequest,
    QualityPredictionResponse,
)
from tasks.cryoem.client_messages import take_prediction

router = APIRouter(tags=["predictions"])

_ONE = problems(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY)
_LIST = list_responses(HTTPStatus.NOT_FOUND)


@router.post("/quality_predictions", status_code=HTTPStatus.CREATED, responses=_ONE)
async def create_quality_prediction(
    services: Serving, asked: QualityPredictionCreateRequest
) -> QualityPredictionResponse:
    """Tell what a model predicts for one hole or one square.

    The model and the target must be known. It is stored as the message that it is, and worked
    on at once; many at a time take `POST /messages`.
    """
    return await take_prediction(services, asked)


@router.get("/quality_metrics", responses=problems())
async def get_quality_metrics(services: Serving) -> QualityMetricsResponse:
    """Count all values that were ever predicted."""
    return await services.database.read(prediction_reads.count_all)


@router.get(
    "/gridsquares/{gridsquare_uuid}/quality_predictions",
    response_model=PredictionSeries,
    responses=_LIST,
)
async def get_gridsquare_quality_prediction_time_series(
    request: Request, services: Serving, gridsquare_uuid: UUID, query: Pages
) -> Response:
    """Show all that each model ever predicted for a square, the oldest first."""
    find = partial(prediction_reads.square_series, square=gridsquare_uuid)
    return await answer_series(request, services, query, find)


@router.get(
    "/gridsquares/{gridsquare_uuid}/foilhole_quality_predictions",
    response_model=HolePredictionSeries,
    responses=_LIST,
)
async def get_foilhole_quality_prediction_time_series_for_gridsquare(
    request: Request, services: Serving, gridsquare_uuid: UUID, query: Pages
) -> Response:
    """Show all that each model ever predicted overall for the holes of a square, by EPU's id."""
    find = partial(prediction_reads.hole_series, square=gridsquare_uuid)
    return await answer_series(request, services, query, find)


@router.get(
    "/quality_metric/{metric_name}/gridsquares/{gridsquare_uuid}/foilhole_quality_predictions",
    response_model=HolePredictionSeries,
    responses=_LIST,
)
async def get_foilhole_quality_prediction_time_series_for_gridsquare_for_metric(
    request: Request,
    services: Serving,
    metric_name: MetricName,
    gridsquare_uuid: UUID,
    query: Pages,
) -> Response:
    """Show all that each model ever predicted of a metric for the holes of a square."""
    find = partial(prediction_reads.hole_series, square=gridsquare_uuid, metric=metric_name)
    return await answer_series(request, services, query, find)


@router.get(
    "/prediction_model/{prediction_model_name}/grid/{grid_uuid}/prediction",
    response_model=list[QualityPredictionResponse],
    responses=_LIST,
)
async def get_prediction_for_grid(
    request: Request,
    services: Serving,
    prediction_model_name: ModelName,
    grid_uuid: UUID,
    query: Pages,
) -> Response:
    """List the latest that a model predicts for each square of a grid.

    Where it predicts none, the same for each hole. What is not predicted is not listed.
    """
    find = partial(prediction_reads.predicted_on_grid, model=prediction_model_name, grid=grid_uuid)
    return await answer_series(request, services, query, find)


@router.get(
    "/prediction_model/{prediction_model_name}/gridsquare/{gridsquare_uuid}/prediction",
    response_model=list[QualityPredictionResponse],
    responses=_LIST,
)
async def get_prediction_for_gridsquare(
    request: Request,
    services: Serving,
    prediction_model_name: ModelName,
    gridsquare_uuid: UUID,
    query: Pages,
) -> Response:
    """List the latest that a model predicts for each hole of a square."""
    find = partial(
        prediction_reads.predicted_on_square, model=prediction_model_name, square=gridsquare_uuid
    )
    return await answer_series(request, services, query, find)


@router.get(
    "/gridsquare/{gridsquare_uuid}/overall_prediction",
    response_model=list[OverallQualityPrediction],
    responses=_LIST,
)
async def get_overall_prediction_for_gridsquare(
    request: Request, services: Serving, gridsquare_uuid: UUID, query: Pages
) -> Response:
    """List the overall scores of the holes of a square, and their places in the order."""
    find = partial(prediction_reads.overall, square=gridsquare_uuid)
    return await answer_series(request, services, query, find)
