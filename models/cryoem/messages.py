"""Messages of the cryo-EM domain as they come in, one class per `event_type`.

Source: the RabbitMQ contract for the predictions, our own agent for the `epu.*` kinds.
Unknown extra fields are ignored at this edge (the contract says so); known ones are strict.
"""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
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
    Moment,
    SquareManifest,
    Text,
)

#: Strict: a text or a truth value is no prediction, though it might be read as a number.
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)]
Name = Annotated[Text, Field(min_length=1, max_length=200)]


def _either(*ways: dict[str, str]) -> ConfigDict:
    """Return the configuration whose JSON schema asks for one of several sets of fields."""
    return ConfigDict(
        json_schema_extra={
            "anyOf": [
                {
                    "required": list(way),
                    "properties": {
                        name: {"type": kind, **({"minItems": 1} if kind == "array" else {})}
                        for name, kind in way.items()
                    },
                }
                for way in ways
            ]
        }
    )


class Message(BaseModel):
    """Base of all messages."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    message_id: Annotated[Text, Field(min_length=1, max_length=255)] | None = Field(
        None, description="Your own id of the message: sent again, it is stored once per source."
    )


class _EpuMessage(Message):
    """What the agent read in one file; `observed_at` is the file's own modification time."""

    grid_uuid: UUID = Field(description="The grid that the session images.")
    path: Text = Field(description="Where the file was read.")
    observed_at: Moment = Field(description="The file's own modification time.")


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
    grid_uuid: UUID | None = Field(None, description="The grid, when it is known.")
    path: Text = Field(description="The file that could not be read.")
    reason: Text = Field(description="Why, in words for a person.")
    observed_at: Moment = Field(description="The file's own modification time.")


class SessionEndedMessage(Message):
    """The acquisition of a grid is over."""

    event_type: Literal["session.ended"] = "session.ended"
    grid_uuid: UUID = Field(description="The grid whose acquisition is over.")
    reason: Text = Field("finished", description="Why it is over; Athena is told.")


class _Prediction(Message):
    prediction_model_name: Name = Field(description="The model that predicts.")
    prediction_value: Probability = Field(description="How good it should be, 0 to 1.")
    metric: Name | None = Field(
        None, description="The quality metric that is predicted; none means overall."
    )


class SquarePrediction(_Prediction):
    """A model's prediction for a square, named by uuid or by grid and EPU id."""

    event_type: Literal["gridsquare.model_prediction"] = "gridsquare.model_prediction"
    model_config = _either(
        {"gridsquare_uuid": "string"}, {"grid_uuid": "string", "gridsquare_id": "integer"}
    )

    gridsquare_uuid: UUID | None = Field(None, description="The square, by Athanor's uuid.")
    grid_uuid: UUID | None = Field(None, description="The grid, where EPU's id names the square.")
    gridsquare_id: int | None = Field(None, description="The square, by EPU's id.")

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
    model_config = _either(
        {"foilhole_uuid": "string"}, {"grid_uuid": "string", "foilhole_id": "integer"}
    )

    foilhole_uuid: UUID | None = Field(None, description="The hole, by Athanor's uuid.")
    grid_uuid: UUID | None = Field(None, description="The grid, where EPU's id names the hole.")
    foilhole_id: int | None = Field(None, description="The hole, by EPU's id.")

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
    model_config = _either(
        {"foilhole_uuids": "array"}, {"grid_uuid": "string", "foilhole_ids": "array"}
    )

    foilhole_uuids: tuple[UUID, ...] = Field((), description="The holes, by Athanor's uuids.")
    grid_uuid: UUID | None = Field(None, description="The grid, where EPU's ids name the holes.")
    foilhole_ids: tuple[int, ...] = Field((), description="The holes, by EPU's ids.")

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
        reasons.append(item["msg"])
    text = "; ".join(f"{field}: {reason}" for field, reason in zip(fields, reasons, strict=True))
    return MessageRejected(text, fields=fields, reasons=reasons)
