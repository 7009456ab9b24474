"""What image processing tells of micrographs."""

from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter

from api.errors import problems
from api.state import Serving
from models.cryoem.smartem.prediction_views import (
    CtfEstimationCompletedRequest,
    CtfEstimationRegisteredRequest,
    MotionCorrectionCompletedRequest,
    MotionCorrectionRegisteredRequest,
    ProcessingFeedbackPublishResponse,
)
from tasks.cryoem.client_messages import take_measurement, take_verdict

router = APIRouter(
    prefix="/micrographs/{micrograph_uuid}",
    tags=["processing"],
    responses=problems(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY),
)

_STORED = ProcessingFeedbackPublishResponse(published=True)


@router.post("/motion_correction/completed", status_code=HTTPStatus.ACCEPTED)
async def publish_micrograph_motion_correction_completed(
    services: Serving, micrograph_uuid: UUID, asked: MotionCorrectionCompletedRequest
) -> ProcessingFeedbackPublishResponse:
    """Tell the motion that was found on a micrograph: it is stored, judged and weighs models."""
    await take_measurement(services, micrograph_uuid, asked)
    return _STORED


@router.post("/motion_correction/registered", status_code=HTTPStatus.ACCEPTED)
async def publish_micrograph_motion_correction_registered(
    services: Serving, micrograph_uuid: UUID, asked: MotionCorrectionRegisteredRequest
) -> ProcessingFeedbackPublishResponse:
    """Tell that somebody else judged the motion of a micrograph: it is kept, and published."""
    publish = services.settings.rabbitmq.publishes
    await take_verdict(services, micrograph_uuid, asked, publish=publish)
    return _STORED


@router.post("/ctf_estimation/completed", status_code=HTTPStatus.ACCEPTED)
async def publish_micrograph_ctf_estimation_completed(
    services: Serving, micrograph_uuid: UUID, asked: CtfEstimationCompletedRequest
) -> ProcessingFeedbackPublishResponse:
    """Tell to which resolution the CTF of a micrograph fits: stored, judged, weighs models."""
    await take_measurement(services, micrograph_uuid, asked)
    return _STORED


@router.post("/ctf_estimation/registered", status_code=HTTPStatus.ACCEPTED)
async def publish_micrograph_ctf_estimation_registered(
    services: Serving, micrograph_uuid: UUID, asked: CtfEstimationRegisteredRequest
) -> ProcessingFeedbackPublishResponse:
    """Tell that somebody else judged the CTF of a micrograph: it is kept, and published."""
    publish = services.settings.rabbitmq.publishes
    await take_verdict(services, micrograph_uuid, asked, publish=publish)
    return _STORED
