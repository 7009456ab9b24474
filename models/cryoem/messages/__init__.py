"""Messages of the cryo-EM domain as they come in, one class per kind, by `event_type`.

Source: the RabbitMQ contract; our own agent for the `epu.*` kinds. Unknown extra fields are
ignored at this edge (the contract says so); known ones are strict. Nothing here needs a
database: the agent uses it, too.
"""

from typing import Annotated, Any, get_args

from pydantic import Field, TypeAdapter, ValidationError

from core.errors import MessageRejected
from models.cryoem.messages.base import Entity, Message, Reference
from models.cryoem.messages.epu import (
    EpuAtlasMessage,
    EpuFailureMessage,
    EpuImageMessage,
    EpuMessage,
    EpuSessionMessage,
    EpuSquareMessage,
    SessionEndedMessage,
)
from models.cryoem.messages.instructions import InstructionEvent
from models.cryoem.messages.lifecycle import (
    OURS,
    AcquisitionEvent,
    AtlasEvent,
    GridEvent,
    GridRegistered,
    HoleEvent,
    LifeCycle,
    MicrographEvent,
    SquareEvent,
    SquareLowmagEvent,
    SquareRegistered,
    TileEvent,
    deletes,
)
from models.cryoem.messages.measurements import (
    CtfEstimated,
    Measurement,
    MetricRegistered,
    MotionCorrected,
    ParticlesPicked,
    ParticlesSelected,
)
from models.cryoem.messages.predictions import (
    GroupCreate,
    GroupPrediction,
    HolePrediction,
    ModelParameter,
    MultiHolePrediction,
    Prediction,
    RefreshPredictions,
    SquarePrediction,
)

__all__ = [
    "EVENT_TYPES",
    "OURS",
    "AcquisitionEvent",
    "AnyMessage",
    "AtlasEvent",
    "CtfEstimated",
    "Entity",
    "EpuAtlasMessage",
    "EpuFailureMessage",
    "EpuImageMessage",
    "EpuMessage",
    "EpuSessionMessage",
    "EpuSquareMessage",
    "GridEvent",
    "GridRegistered",
    "GroupCreate",
    "GroupPrediction",
    "HoleEvent",
    "HolePrediction",
    "InstructionEvent",
    "LifeCycle",
    "Measurement",
    "Message",
    "MetricRegistered",
    "MicrographEvent",
    "ModelParameter",
    "MotionCorrected",
    "MultiHolePrediction",
    "ParticlesPicked",
    "ParticlesSelected",
    "Prediction",
    "Reference",
    "RefreshPredictions",
    "SessionEndedMessage",
    "SquareEvent",
    "SquareLowmagEvent",
    "SquarePrediction",
    "SquareRegistered",
    "TileEvent",
    "deletes",
    "parse",
    "parse_json",
]

AnyMessage = Annotated[
    Prediction
    | GroupCreate
    | GroupPrediction
    | ModelParameter
    | RefreshPredictions
    | Measurement
    | LifeCycle
    | GridRegistered
    | SquareRegistered
    | EpuMessage
    | EpuFailureMessage
    | SessionEndedMessage
    | MetricRegistered
    | InstructionEvent,
    Field(discriminator="event_type"),
]
_ADAPTER: TypeAdapter[AnyMessage] = TypeAdapter(AnyMessage)
#: Every event type that we take.
EVENT_TYPES: tuple[str, ...] = tuple(
    sorted(
        event_type
        for one in get_args(get_args(AnyMessage)[0])
        for event_type in get_args(one.model_fields["event_type"].annotation)
    )
)


def parse(body: object) -> AnyMessage:
    """Return the message that a JSON body holds.

    Raises:
        MessageRejected: Unknown event type, or a field that is missing or out of range;
            the error names each field.
    """
    try:
        return _ADAPTER.validate_python(body)
    except ValidationError as error:
        raise _rejected(error) from error


def parse_json(body: bytes | str) -> AnyMessage:
    """Return the message that JSON text holds; errors as `parse`."""
    try:
        return _ADAPTER.validate_json(body)
    except ValidationError as error:
        raise _rejected(error) from error


def _rejected(error: ValidationError) -> MessageRejected:
    # The discriminator's tag is the first part of a location; people think in fields.
    fields: list[str] = []
    reasons: list[str] = []
    for item in error.errors(include_url=False, include_context=False):
        location: tuple[Any, ...] = item["loc"]
        field = ".".join(str(part) for part in location[1:]) or "event_type"
        if item["type"] == "value_error":
            field = "message" if len(location) <= 1 else field
        fields.append(field)
        reasons.append(item["msg"])
    text = "; ".join(f"{field}: {reason}" for field, reason in zip(fields, reasons, strict=True))
    return MessageRejected(text, fields=fields, reasons=reasons)
