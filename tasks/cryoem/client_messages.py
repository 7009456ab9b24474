"""What clients say of one thing at a time: refused where that is not there, else a message.

A sensor's message may come before what it refers to, and waits; a client is told at once.
"""

from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlmodel import Session, col

from domains.cryoem.metrics import CTF, MOTION
from models.cryoem.emitted import emit
from models.cryoem.model_registry import known_metrics, known_model
from models.cryoem.smartem.known import known, known_by_any_name
from models.cryoem.smartem.prediction_views import (
    CtfEstimationCompletedRequest,
    CtfEstimationRegisteredRequest,
    MotionCorrectionCompletedRequest,
    MotionCorrectionRegisteredRequest,
    QualityPredictionCreateRequest,
    QualityPredictionResponse,
)
from models.cryoem.tables import Hole, Micrograph, Square
from models.inbox import InboxMessage
from tasks.intake import accept
from tasks.ringing import Bell, Ringable, ring

#: Who such messages come from.
SOURCE: Final = "http"

Measured = MotionCorrectionCompletedRequest | CtfEstimationCompletedRequest
Judged = MotionCorrectionRegisteredRequest | CtfEstimationRegisteredRequest


async def take_prediction(
    where: Ringable, asked: QualityPredictionCreateRequest
) -> QualityPredictionResponse:
    """Store a prediction, and see to it that a run works on it.

    Raises:
        NotFound: There is no such model, hole, square or metric.
    """
    squares: list[UUID] = []

    def check(session: Session) -> None:
        squares[:] = [_square(session, asked)]

    accepted = await accept(where, [_prediction(asked)], source=SOURCE, also=check)
    number, received_at = await where.database.read(_arrival, accepted.stored[0].id)
    return QualityPredictionResponse(
        id=number,
        timestamp=received_at,
        value=asked.value,
        prediction_model_name=asked.prediction_model_name,
        metric_name=asked.metric_name,
        foilhole_uuid=asked.foilhole_uuid,
        gridsquare_uuid=squares[0],
    )


async def take_measurement(where: Ringable, micrograph: UUID, asked: Measured) -> None:
    """Store what processing measured on a micrograph, and see to it that a run works on it.

    Raises:
        NotFound: There is no such micrograph.
    """

    def check(session: Session) -> None:
        known(session, Micrograph, micrograph)

    await accept(where, [_measurement(micrograph, asked)], source=SOURCE, also=check)


async def take_verdict(where: Ringable, micrograph: UUID, asked: Judged, *, publish: bool) -> None:
    """Store that somebody judged a micrograph, and tell who listens at the facility's broker.

    Args:
        where: What the inbox needs.
        micrograph: Which.
        asked: What they say.
        publish: `settings.rabbitmq.publishes`.

    Raises:
        NotFound: There is no such micrograph.
    """
    bells: list[Bell] = []
    event_type, fields = _verdict(micrograph, asked)
    # Said again, it is told again.
    cause = str(uuid4())

    def tell(session: Session) -> None:
        grid = str(known(session, Micrograph, micrograph).grid_uuid)
        bells[:] = emit(session, event_type, fields, grid, publish=publish, cause=cause)

    body = {"event_type": event_type, **fields}
    await accept(where, [body], source=SOURCE, message_ids=[cause], also=tell)
    await ring(where, bells)


def _square(session: Session, asked: QualityPredictionCreateRequest) -> UUID:
    """Return the square that a prediction is about; NotFound for what is not there."""
    known_model(session, asked.prediction_model_name)
    if asked.metric_name is not None:
        known_metrics(session, asked.metric_name)
    if asked.foilhole_uuid is not None:
        return known_by_any_name(session, Hole, asked.foilhole_uuid).square_uuid
    assert asked.gridsquare_uuid is not None  # noqa: S101 (validated)
    return known_by_any_name(session, Square, asked.gridsquare_uuid).uuid


def _prediction(asked: QualityPredictionCreateRequest) -> dict[str, Any]:
    target = (
        {"event_type": "gridsquare.model_prediction", "gridsquare_uuid": str(asked.gridsquare_uuid)}
        if asked.foilhole_uuid is None
        else {"event_type": "foilhole.model_prediction", "foilhole_uuid": str(asked.foilhole_uuid)}
    )
    return {
        **target,
        "prediction_model_name": asked.prediction_model_name,
        "prediction_value": asked.value,
        "metric": asked.metric_name,
    }


def _measurement(micrograph: UUID, asked: Measured) -> dict[str, Any]:
    if isinstance(asked, CtfEstimationCompletedRequest):
        return {
            "event_type": "ctf.completed",
            "micrograph_uuid": str(micrograph),
            "ctf_max_resolution_estimate": asked.ctf_max_res,
        }
    return {
        "event_type": "motion_correction.completed",
        "micrograph_uuid": str(micrograph),
        "total_motion": asked.total_motion,
        "average_motion": asked.average_motion,
    }


def _verdict(micrograph: UUID, asked: Judged) -> tuple[str, dict[str, Any]]:
    of_ctf = isinstance(asked, CtfEstimationRegisteredRequest)
    return "ctf.registered" if of_ctf else "motion_correction.registered", {
        "micrograph_uuid": str(micrograph),
        "quality": asked.quality,
        "metric_name": asked.metric_name or (CTF if of_ctf else MOTION),
    }


def _arrival(session: Session, ident: UUID) -> tuple[int, datetime]:
    """Return a message's number in order of arrival, and when it came in."""
    columns = select(col(InboxMessage.seq), col(InboxMessage.received_at))
    number, received_at = session.execute(columns.where(col(InboxMessage.id) == ident)).one()
    return number or 0, received_at
