"""Tables of what models and image processing tell besides predictions.

Where one message replaces what another said, `message_seq` decides: the later to come in counts.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel

from models.base import json_field

#: The database does not count it up.
_GIVEN = {"autoincrement": False}


class HoleGroup(SQLModel, table=True):
    """A named group of holes."""

    __tablename__ = "hole_group"  # pyright: ignore[reportAssignmentType]

    #: Given by its sender.
    uuid: UUID = Field(primary_key=True)
    grid_uuid: UUID = Field(foreign_key="grid.uuid", index=True)
    name: str | None = None
    message_seq: int = Field(sa_type=BigInteger)
    message_uuid: UUID
    updated_at: datetime


class HoleGroupMember(SQLModel, table=True):
    """That a message named a hole as one of a group; the group's own says which list counts."""

    __tablename__ = "hole_group_member"  # pyright: ignore[reportAssignmentType]

    group_uuid: UUID = Field(foreign_key="hole_group.uuid", primary_key=True)
    message_seq: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs=_GIVEN)
    hole_uuid: UUID = Field(foreign_key="hole.uuid", primary_key=True, index=True)


class ModelParameter(SQLModel, table=True):
    """The latest value of what a model learned about a grid."""

    __tablename__ = "model_parameter"  # pyright: ignore[reportAssignmentType]

    grid_uuid: UUID = Field(foreign_key="grid.uuid", primary_key=True)
    model_name: str = Field(primary_key=True)
    #: Empty for all metrics: a key may hold no NULL.
    metric_name: str = Field(primary_key=True, default="")
    #: What the key belongs to, such as `coordinates:<uuid>`; may be empty.
    parameter_group: str = Field(primary_key=True, default="")
    key: str = Field(primary_key=True)
    value: float
    message_seq: int = Field(sa_type=BigInteger)
    message_uuid: UUID
    updated_at: datetime


class Measurement(SQLModel, table=True):
    """History: each value that image processing measured on a micrograph."""

    __table_args__ = (Index("ix_measurement_micrograph", "micrograph_uuid", "message_seq"),)

    #: The inbox message that brought it.
    message_seq: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs=_GIVEN)
    #: The message's name of the value, such as `total_motion`; Å, or a number of particles.
    name: str = Field(primary_key=True)
    micrograph_uuid: UUID
    grid_uuid: UUID
    #: The quality metric that the value is of; NULL for one that is only kept.
    metric_name: str | None = None
    value: float
    #: How good it is beside the grid's values before it, 0..1; NULL without a quality metric.
    quality: float | None = None
    #: How what is measured is distributed, where the message tells.
    distribution: dict[str, Any] | None = json_field(nullable=True)
    message_uuid: UUID
    #: When that message came in.
    measured_at: datetime


class CurrentMeasurement(SQLModel, table=True):
    """The latest value of each kind per micrograph."""

    __tablename__ = "current_measurement"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (Index("ix_current_measurement_grid", "grid_uuid", "metric_name"),)

    micrograph_uuid: UUID = Field(primary_key=True)
    name: str = Field(primary_key=True)
    grid_uuid: UUID
    metric_name: str | None = None
    value: float
    quality: float | None = None
    distribution: dict[str, Any] | None = json_field(nullable=True)
    message_seq: int = Field(sa_type=BigInteger)
    message_uuid: UUID
    measured_at: datetime
