"""What models say: predictions for squares, holes and groups of holes, and their parameters."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, model_validator

from domains.cryoem import ids
from domains.cryoem.manifests import Text
from models.cryoem.messages.base import (
    Entity,
    Message,
    Name,
    Number,
    Probability,
    Reference,
    either,
)


class _Prediction(Message):
    prediction_model_name: Name = Field(description="The model that predicts.")
    prediction_value: Probability = Field(description="How good it should be, 0 to 1.")
    metric: Name | None = Field(
        None, description="The quality metric that is predicted; none means overall."
    )


class SquarePrediction(_Prediction):
    """A model's prediction for a square, named by uuid or by grid and EPU id."""

    event_type: Literal["gridsquare.model_prediction"] = "gridsquare.model_prediction"
    model_config = either(
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
    model_config = either(
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
    model_config = either(
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


class GroupCreate(Message):
    """A named group of holes; sent again for the same group, the latest list counts."""

    event_type: Literal["foilhole.group_create"] = "foilhole.group_create"
    model_config = either({"foilhole_uuids": "array"}, {"foilhole_ids": "array"})

    grid_uuid: UUID = Field(description="The grid that the holes are on.")
    group_uuid: UUID = Field(description="Your uuid of the group.")
    foilhole_uuids: tuple[UUID, ...] = Field((), description="The holes, by Athanor's uuids.")
    foilhole_ids: tuple[int, ...] = Field((), description="The holes, by EPU's ids.")
    name: Name | None = Field(None, description="What people call the group.")

    @model_validator(mode="after")
    def _named(self) -> "GroupCreate":
        if not self.foilhole_uuids and not self.foilhole_ids:
            raise ValueError("give foilhole_uuids or foilhole_ids, not empty")
        return self

    def targets(self) -> tuple[UUID, ...]:
        """Return the holes' uuids, each once, in the order given."""
        named = (ids.hole_uuid(self.grid_uuid, hole) for hole in self.foilhole_ids)
        return tuple(dict.fromkeys((*self.foilhole_uuids, *named)))


class GroupPrediction(_Prediction):
    """One predicted value for all holes that are in a group when it is handled."""

    event_type: Literal["foilhole.group_model_prediction"] = "foilhole.group_model_prediction"

    group_uuid: UUID = Field(description="The group, as its group_create named it.")
    grid_uuid: UUID | None = Field(None, description="The grid that the group is on.")

    def references(self) -> tuple[Reference, ...]:
        """Return what tells the grid."""
        return (Reference(Entity.GROUP, self.group_uuid),)


class ModelParameter(Message):
    """What a model learned about a grid: latent coordinates, clusters, or anything of a number."""

    event_type: Literal["grid.model_parameter_update"] = "grid.model_parameter_update"

    grid_uuid: UUID = Field(description="The grid that it was learned on.")
    prediction_model_name: Name = Field(description="The model.")
    group: Annotated[Text, Field(max_length=200)] = Field(
        "", description="What the key belongs to, such as `coordinates:<uuid>`, `cluster_indices`."
    )
    key: Name = Field(description="Name of the parameter within the group.")
    value: Number = Field(description="Its value.")
    metric: Name | None = Field(None, description="The metric that it is for; none means all.")


class RefreshPredictions(Message):
    """Decide a grid anew from the predictions in force."""

    event_type: Literal["refresh.predictions"] = "refresh.predictions"

    grid_uuid: UUID = Field(description="The grid.")
    group: Annotated[Text, Field(max_length=200)] = Field(
        "", description="Accepted and stored; the whole grid is decided anew."
    )


Prediction = SquarePrediction | HolePrediction | MultiHolePrediction
