"""Tables from prediction to decision, and what Athena knows of our entities."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel

from models.base import json_field

#: The database does not count it up.
_GIVEN = {"autoincrement": False}


class Level(StrEnum):
    """What a prediction is about."""

    SQUARE = "gridsquare"
    HOLE = "foilhole"


class PredictionModel(SQLModel, table=True):
    """A model that predicts; made known by its first prediction, or registered by name."""

    __tablename__ = "prediction_model"  # pyright: ignore[reportAssignmentType]

    name: str = Field(primary_key=True)
    description: str | None = None
    level: str | None = None
    # As a client says; NULL for what its messages alone tell: that it predicts.
    can_train: bool | None = None
    can_infer: bool | None = None
    can_update: bool | None = None
    first_seen_at: datetime


class QualityMetric(SQLModel, table=True):
    """A metric that is measured on micrographs and predicted by models."""

    __tablename__ = "quality_metric"  # pyright: ignore[reportAssignmentType]

    name: str = Field(primary_key=True)
    description: str
    unit: str | None = None
    larger_is_better: bool


class Prediction(SQLModel, table=True):
    """History: each value that a model predicted for a square or hole.

    Written by the thousand a second, so it has no key but the order of arrival, and no
    foreign keys: what it names is looked up in the same transaction.
    """

    __table_args__ = (Index("ix_prediction_target", "target_uuid", "message_seq"),)

    #: The inbox message that brought it.
    message_seq: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs=_GIVEN)
    target_uuid: UUID = Field(primary_key=True)
    grid_uuid: UUID
    level: str
    model_name: str
    metric_name: str | None = None
    value: float
    message_uuid: UUID
    #: When that message came in.
    predicted_at: datetime


class CurrentPrediction(SQLModel, table=True):
    """The latest value per square or hole, model and metric."""

    __tablename__ = "current_prediction"  # pyright: ignore[reportAssignmentType]
    # Whether a model predicts for a metric on a grid is told by one look into the index.
    __table_args__ = (
        Index("ix_current_prediction_grid", "grid_uuid", "level", "model_name", "metric_name"),
    )

    target_uuid: UUID = Field(primary_key=True)
    model_name: str = Field(primary_key=True)
    #: Empty for a prediction over all metrics: a key may hold no NULL.
    metric_name: str = Field(primary_key=True, default="")
    grid_uuid: UUID
    level: str
    value: float
    message_seq: int = Field(sa_type=BigInteger)
    message_uuid: UUID
    predicted_at: datetime


class Decision(SQLModel, table=True):
    """What we decided; the outbox row of the same id tells whether Athena has it."""

    #: UUIDv5 of grid, area, type and the predictions that it rests on; Athena's id too.
    id: UUID = Field(primary_key=True)
    grid_uuid: UUID = Field(foreign_key="grid.uuid", index=True)
    area_uuid: UUID = Field(index=True)
    level: str
    decision_type: str
    #: What was decided, in our terms: {"selected": bool} or {"holes": {hole uuid: bool}}.
    outcome: dict[str, Any] = json_field()
    #: What it rests on: uuid of the square or hole → `seq` of the message that predicted it.
    basis: dict[str, int] = json_field()
    plugin_type: str
    decided_by: str
    details: str
    made_at: datetime = Field(index=True)
    flow_run_id: str | None = None


class AthenaSession(SQLModel, table=True):
    """What Athena calls a grid of ours."""

    __tablename__ = "athena_session"  # pyright: ignore[reportAssignmentType]

    grid_uuid: UUID = Field(foreign_key="grid.uuid", primary_key=True)
    session_id: UUID = Field(unique=True)
    session_name: str
    grid_type: str
    #: True when Athena had the session before we asked for it.
    adopted: bool
    registered_at: datetime
    run_number: int | None = None
    run_started_at: datetime | None = None
    run_stopped_at: datetime | None = None
    stop_reason: str | None = None


class AthenaArea(SQLModel, table=True):
    """What Athena calls a square or hole of ours: an int32, unique within the session."""

    __tablename__ = "athena_area"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        Index("uq_athena_area_grid_uuid_area_id", "grid_uuid", "area_id", unique=True),
        Index("ix_athena_area_unregistered", "grid_uuid", "registered_at"),
    )

    area_uuid: UUID = Field(primary_key=True)
    grid_uuid: UUID = Field(foreign_key="grid.uuid")
    area_id: int
    area_type: str
    parent_area_id: int | None = None
    #: NULL until Athena has confirmed it.
    registered_at: datetime | None = None
