"""Messages of the cryo-EM domain as they come in, one class per `event_type`.

Source: the RabbitMQ contract for the predictions, our own agent for the `epu.*` kinds.
Unknown extra fields are ignored at this edge (the contract says so); known ones are strict.
"""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from core.errors import MessageRejected
from domains.cryoem import ids
from domains.cryoem.manifests import (
    AtlasManifest,
    EpuSession,
    ImageManifest,
    ImageName,
    SquareManifest,
)

Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class Message(BaseModel):
    """Base of all messages."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    message_id: Annotated[str, Field(min_length=1, max_length=255)] | None = None


class _EpuMessage(Message):
    """What the agent read in one file; `observed_at` is the file's own modification time."""

    grid_uuid: UUID
    path: str
    observed_at: AwareDatetime


class EpuSessionMessage(_EpuMessage):
    """An EpuSession.dm was read."""

    event_type: Literal["epu.session"] = "epu.session"
    manifest: EpuSession


class EpuAtlasMessage(_EpuMessage):
    """An Atlas.dm was read."""

    event_type: Literal["epu.atlas"] = "epu.atlas"
    manifest: AtlasManifest


class EpuSquareMessage(_EpuMessage):
    """A Metadata/GridSquare_N.dm was read."""

    event_type: Literal["epu.square"] = "epu.square"
    manifest: SquareManifest


class EpuImageMessage(_EpuMessage):
    """An image manifest was read: of a square, a hole or a micrograph, as its name says."""

    event_type: Literal["epu.image"] = "epu.image"
    name: ImageName
    manifest: ImageManifest


class EpuFailureMessage(Message):
    """A file could not be read and is not expected to heal by itself."""

    event_type: Literal["epu.failure"] = "epu.failure"
    grid_uuid: UUID | None = None
    path: str
    reason: str
    observed_at: AwareDatetime


class SessionEndedMessage(Message):
    """The acquisition of a grid is over."""

    event_type: Literal["session.ended"] = "session.ended"
    grid_uuid: UUID
    reason: str = "finished"


class _Prediction(Message):
    prediction_model_name: Name
    prediction_value: Probability
    metric: Name | None = None


class SquarePrediction(_Prediction):
    """A model's prediction for a square, named by uuid or by grid and EPU id."""

    event_type: Literal["gridsquare.model_prediction"] = "gridsquare.model_prediction"
    gridsquare_uuid: UUID | None = None
    grid_uuid: UUID | None = None
    gridsquare_id: int | None = None

    @model_validator(mode="after")
    def _named(self) -> "SquarePrediction":
        if self.gridsquare_uuid is None and (self.grid_uuid is None or self.gridsquare_id is None):
            raise ValueError("give gridsquare_uuid, or grid_uuid and gridsquare_id")
        return self

    def target(self) -> UUID:
        """Return the square's uuid."""
        if self.gridsquare_uuid is not None:
            return self.gridsquare_uuid
        assert self.grid_uuid is not None and self.gridsquare_id is not None  # noqa: S101, PT018 (validated)
        return ids.square_uuid(self.grid_uuid, self.gridsquare_id)


class HolePrediction(_Prediction):
    """A model's prediction for a hole, named by uuid or by grid and EPU id."""

    event_type: Literal["foilhole.model_prediction"] = "foilhole.model_prediction"
    foilhole_uuid: UUID | None = None
    grid_uuid: UUID | None = None
    foilhole_id: int | None = None

    @model_validator(mode="after")
    def _named(self) -> "HolePrediction":
        if self.foilhole_uuid is None and (self.grid_uuid is None or self.foilhole_id is None):
            raise ValueError("give foilhole_uuid, or grid_uuid and foilhole_id")
        return self

    def target(self) -> UUID:
        """Return the hole's uuid."""
        if self.foilhole_uuid is not None:
            return self.foilhole_uuid
        assert self.grid_uuid is not None and self.foilhole_id is not None  # noqa: S101, PT018 (validated)
        return ids.hole_uuid(self.grid_uuid, self.foilhole_id)


class MultiHolePrediction(_Prediction):
    """One predicted value for many holes, named by uuids or by grid and EPU ids."""

    event_type: Literal["foilhole.model_multi_prediction"] = "foilhole.model_multi_prediction"
    foilhole_uuids: tuple[UUID, ...] = ()
    grid_uuid: UUID | None = None
    foilhole_ids: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _named(self) -> "MultiHolePrediction":
        if not self.foilhole_uuids and not (self.grid_uuid and self.foilhole_ids):
            raise ValueError("give foilhole_uuids, or grid_uuid and foilhole_ids; neither empty")
        return self

    def targets(self) -> tuple[UUID, ...]:
        """Return the holes' uuids, each once, in the order given."""
        named = (
            [ids.hole_uuid(self.grid_uuid, hole) for hole in self.foilhole_ids]
            if self.grid_uuid
            else []
        )
        return tuple(dict.fromkeys((*self.foilhole_uuids, *named)))


Prediction = SquarePrediction | HolePrediction | MultiHolePrediction
EpuMessage = EpuSessionMessage | EpuAtlasMessage | EpuSquareMessage | EpuImageMessage
AnyMessage = Annotated[
    Prediction | EpuMessage | EpuFailureMessage | SessionEndedMessage,
    Field(discriminator="event_type"),
]
_ADAPTER: TypeAdapter[AnyMessage] = TypeAdapter(AnyMessage)


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
        reasons.append(f"{field}: {item['msg']}")
    return MessageRejected("; ".join(reasons), fields=fields)
