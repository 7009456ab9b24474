"""Models that predict."""

from http import HTTPStatus

from fastapi import APIRouter

from api.errors import problems
from api.smartem.naming import ModelName
from api.state import Serving
from core.clock import utcnow
from models.cryoem.smartem import model_catalogue
from models.cryoem.smartem.prediction_views import (
    QualityPredictionModelCreateRequest,
    QualityPredictionModelResponse,
    QualityPredictionModelUpdateRequest,
)

router = APIRouter(prefix="/prediction_models", tags=["models"])

_ONE = problems(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY)


@router.get("", responses=problems())
async def get_prediction_models(services: Serving) -> list[QualityPredictionModelResponse]:
    """List the models, by name."""
    return await services.database.read(model_catalogue.list_models)


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    responses=problems(HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY),
)
async def create_prediction_model(
    services: Serving, asked: QualityPredictionModelCreateRequest
) -> QualityPredictionModelResponse:
    """Make a model known, before its first prediction does."""
    return await services.database.write(model_catalogue.create_model, asked, now=utcnow())


@router.get("/{name}", responses=_ONE)
async def get_prediction_model(
    services: Serving, name: ModelName
) -> QualityPredictionModelResponse:
    """Show a model."""
    return await services.database.read(model_catalogue.get_model, name)


@router.put("/{name}", responses=_ONE)
async def update_prediction_model(
    services: Serving, name: ModelName, asked: QualityPredictionModelUpdateRequest
) -> QualityPredictionModelResponse:
    """Change what is said of a model; what is null or left out stays as it is."""
    return await services.database.write(model_catalogue.update_model, name, asked)


@router.delete(
    "/{name}",
    status_code=HTTPStatus.NO_CONTENT,
    responses=problems(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY),
)
async def delete_prediction_model(services: Serving, name: ModelName) -> None:
    """Forget a model that has said nothing yet.

    One that has predicted or learned stays (409): decisions may rest on it, and each can be
    traced to its model.
    """
    await services.database.write(model_catalogue.delete_model, name)
