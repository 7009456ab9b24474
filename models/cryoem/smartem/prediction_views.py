"""What SmartEM's clients write and get of models, predictions, weights and latent places."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field, StrictBool, model_validator

from domains.cryoem.manifests import Text
from models.cryoem.messages.base import Amount, Name, Probability
from models.cryoem.model_registry import ModelLevel
from models.paging import View

_Described = Annotated[Text, Field(max_length=10_000)]

# Models -------------------------------------------------------------------------------------


class QualityPredictionModelCreateRequest(BaseModel):
    """A model to make known."""

    name: Name = Field(description="As its messages say it.", examples=["hole-ranker"])
    description: _Described = Field("", description="What people say of it.")
    can_train: StrictBool = Field(False, description="Whether it can be trained.")
    can_infer: StrictBool = Field(True, description="Whether it predicts.")
    can_update: StrictBool = Field(False, description="Whether it learns while it predicts.")
    level: ModelLevel | None = Field(
        None, description="What it predicts for; null until its first prediction tells."
    )


class QualityPredictionModelUpdateRequest(BaseModel):
    """What is to be said of a model from now on; null, or left out, leaves a thing as it is."""

    description: _Described | None = Field(None, description="What people say of it.")
    can_train: StrictBool | None = Field(None, description="Whether it can be trained.")
    can_infer: StrictBool | None = Field(None, description="Whether it predicts.")
    can_update: StrictBool | None = Field(None, description="Whether it learns while it predicts.")
    level: ModelLevel | None = Field(None, description="What it predicts for.")


class QualityPredictionModelResponse(View):
    """A model that predicts."""

    name: str = Field(description="As its messages say it.", examples=["hole-ranker"])
    description: str = Field(description="What people say of it; may be empty.")
    can_train: bool = Field(description="Whether it can be trained.")
    can_infer: bool = Field(description="Whether it predicts.")
    can_update: bool = Field(description="Whether it learns while it predicts.")
    level: str | None = Field(
        description="gridsquare, foilhole or foilholegroup; null while not known."
    )


# Predictions --------------------------------------------------------------------------------


class QualityPredictionCreateRequest(BaseModel):
    """A prediction for one hole or one square."""

    value: Probability = Field(description="How good it should be, 0 to 1.", examples=[0.83])
    prediction_model_name: Name = Field(
        description="The model, which must be known.", examples=["hole-ranker"]
    )
    foilhole_uuid: UUID | None = Field(None, description="The hole; or else a square.")
    gridsquare_uuid: UUID | None = Field(None, description="The square; or else a hole.")
    metric_name: Name | None = Field(
        None, description="The quality metric that is predicted; null means overall."
    )

    @model_validator(mode="after")
    def _one_target(self) -> "QualityPredictionCreateRequest":
        if (self.foilhole_uuid is None) == (self.gridsquare_uuid is None):
            raise ValueError("give either foilhole_uuid or gridsquare_uuid")
        return self


class QualityPrediction(View):
    """A value that a model predicted for a square or hole."""

    id: int = Field(
        description="Number of the message that brought it; it may have brought others, too.",
        examples=[4711],
    )
    timestamp: datetime = Field(description="When that came in.", examples=["2026-03-02T10:15:02Z"])
    value: float = Field(description="How good it should be, 0 to 1.", examples=[0.83])
    prediction_model_name: str = Field(description="The model.", examples=["hole-ranker"])
    metric_name: str | None = Field(
        description="The quality metric that is predicted; null means overall."
    )
    foilhole_uuid: UUID | None = Field(description="The hole; null where it is for a square.")
    gridsquare_uuid: UUID | None = Field(description="The square, or the one that the hole is in.")


class QualityPredictionResponse(QualityPrediction):
    """A prediction in force."""


#: Model → what it predicted, the oldest first.
PredictionSeries = dict[str, list[QualityPrediction]]
#: Model → EPU's id of a hole → what the model predicted for it, the oldest first.
HolePredictionSeries = dict[str, dict[str, list[QualityPrediction]]]


class OverallQualityPrediction(View):
    """The overall score of a hole, and its place in the order, as of the grid's last refresh."""

    id: int | None = Field(description="Not in use, and null: the hole names it.")
    value: float = Field(description="0 to 1.", examples=[0.74])
    suggested_acquisition_index: int = Field(
        description="From 1 over the grid; 0 for a hole that is not to be collected.", examples=[12]
    )
    foilhole_uuid: UUID = Field(description="The hole.")
    gridsquare_uuid: UUID = Field(description="Its square.")
    grid_uuid: UUID = Field(description="Its grid.")


class QualityMetricsResponse(View):
    """All predictions, counted."""

    total_predictions: int = Field(description="How many values were predicted.", examples=[48112])
    average_quality: float | None = Field(description="Their mean; null where there are none.")
    min_quality: float | None = Field(description="The lowest; null where there are none.")
    max_quality: float | None = Field(description="The highest; null where there are none.")
    models_count: int = Field(description="How many models are known.", examples=[4])


# Weights ------------------------------------------------------------------------------------


class QualityPredictionModelWeight(View):
    """A model's weight on a grid after a measurement, or as a person set it."""

    id: int = Field(description="Number of the message that brought the measurement, or below 0.")
    grid_uuid: UUID = Field(description="The grid.")
    micrograph_uuid: UUID | None = Field(description="What was measured; null for nothing.")
    micrograph_quality: bool | None = Field(description="Whether that is good; null for nothing.")
    timestamp: datetime = Field(description="When it changed.")
    prediction_model_name: str = Field(description="The model.")
    metric_name: str | None = Field(description="The metric that it is for.")
    weight: float = Field(description="0 to 1; those of a metric sum to 1.", examples=[0.42])
    prediction_value: float | None = Field(description="What the model had predicted; or null.")
    quality_score: float | None = Field(description="Of the measurement, 0 to 1; or null.")


#: Model → its weights, the oldest first.
WeightSeries = dict[str, list[QualityPredictionModelWeight]]

# Latent places ------------------------------------------------------------------------------


class LatentRepresentationResponse(View):
    """Where a model places a square or hole among those that look alike."""

    gridsquare_uuid: UUID | str = Field(
        "", description="The square, or the one that the hole is in; empty where not known."
    )
    foilhole_uuid: UUID | str = Field("", description="The hole; empty where it is a square.")
    x: float | None = Field(description="First coordinate; null where the model told none.")
    y: float | None = Field(description="Second coordinate; null where the model told none.")
    index: int | None = Field(description="Its cluster; null where the model told none.")


# Processing feedback ------------------------------------------------------------------------


class MotionCorrectionCompletedRequest(BaseModel):
    """What motion correction found on a micrograph."""

    total_motion: Amount = Field(description="Å, of all frames together.", examples=[21.4])
    average_motion: Amount = Field(description="Å, between frames.", examples=[0.54])


class CtfEstimationCompletedRequest(BaseModel):
    """What CTF estimation found on a micrograph."""

    ctf_max_res: Amount = Field(description="Å, to which the CTF fits.", examples=[3.6])


class _RegisteredRequest(BaseModel):
    quality: StrictBool = Field(description="Whether it is better than what came before.")
    metric_name: Name | None = Field(
        None, description="The metric; null for that which the step measures."
    )


class MotionCorrectionRegisteredRequest(_RegisteredRequest):
    """That somebody judged the motion of a micrograph."""


class CtfEstimationRegisteredRequest(_RegisteredRequest):
    """That somebody judged the CTF of a micrograph."""


class ProcessingFeedbackPublishResponse(View):
    """That the message is stored, and will be worked on."""

    published: bool = Field(description="Always true: where it cannot be stored, that is an error.")
