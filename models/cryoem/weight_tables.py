"""Tables from what is measured to the order of holes: statistics, weights, scores, plans.

What is counted, and when, says `docs/decisions/0011-weights-as-a-running-account.md`.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel

#: The database does not count it up.
_GIVEN = {"autoincrement": False}


class MetricStatistics(SQLModel, table=True):
    """What a metric measured so far on a grid (Welford); its row is locked by who adds to it."""

    __tablename__ = "metric_statistics"  # pyright: ignore[reportAssignmentType]

    grid_uuid: UUID = Field(foreign_key="grid.uuid", primary_key=True)
    metric_name: str = Field(primary_key=True)
    #: How many values.
    count: int = Field(sa_type=BigInteger)
    #: In the metric's unit.
    mean: float
    #: Sum of squared differences from the mean, in the metric's unit squared.
    m2: float
    updated_at: datetime


class ModelWeight(SQLModel, table=True):
    """The weights in force: those of one grid and metric sum to 1."""

    __tablename__ = "model_weight"  # pyright: ignore[reportAssignmentType]

    grid_uuid: UUID = Field(foreign_key="grid.uuid", primary_key=True)
    metric_name: str = Field(primary_key=True)
    model_name: str = Field(primary_key=True)
    weight: float
    updated_at: datetime


class ModelWeightHistory(SQLModel, table=True):
    """History: each weight after each judged measurement, or as a person set it.

    Written by the thousand a second, so it has no foreign keys.
    """

    __tablename__ = "model_weight_history"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        Index("ix_model_weight_history_grid", "grid_uuid", "model_name", "changed_at"),
    )

    #: The inbox message that brought the measurement; negative for what no message brought.
    message_seq: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs=_GIVEN)
    metric_name: str = Field(primary_key=True)
    model_name: str = Field(primary_key=True)
    grid_uuid: UUID
    #: NULL for what no measurement brought.
    micrograph_uuid: UUID | None = None
    #: How many values of the metric were judged by then: the order in which weights changed.
    step: int = Field(sa_type=BigInteger)
    #: After the change.
    weight: float
    #: What the model had predicted for the micrograph's hole; NULL where it had not.
    prediction: float | None = None
    #: Of the measurement, 0..1; NULL for what no measurement brought.
    quality: float | None = None
    changed_at: datetime


class InitialWeight(SQLModel, table=True):
    """What a model's weight begins with on each grid, before the weights of all sum to 1."""

    __tablename__ = "initial_weight"  # pyright: ignore[reportAssignmentType]

    model_name: str = Field(primary_key=True)
    #: Empty for every metric that has no row of its own: a key may hold no NULL.
    metric_name: str = Field(primary_key=True, default="")
    weight: float


class HoleScore(SQLModel, table=True):
    """The overall score of a hole and its place in the order, as of the grid's last refresh.

    Written by the ten thousand in one pass, so it has no foreign keys.
    """

    __tablename__ = "hole_score"  # pyright: ignore[reportAssignmentType]

    hole_uuid: UUID = Field(primary_key=True)
    grid_uuid: UUID = Field(index=True)
    #: 0..1: geometric mean over metrics of the weighted predictions.
    score: float
    #: From 1, dense over the grid; NULL for a hole that is not to be collected.
    suggested_acquisition_index: int | None = None
    #: Expected probability that the hole's micrograph is good, 0..1.
    expected: float
    #: Standard deviation of that.
    uncertainty: float
    #: Minutes that the move to the hole and its image are taken to cost.
    cost: float | None = None
    refreshed_at: datetime


class GridPlan(SQLModel, table=True):
    """How the order of a grid is made, when it was made last, and since when anew is asked for."""

    __tablename__ = "grid_plan"  # pyright: ignore[reportAssignmentType]

    grid_uuid: UUID = Field(foreign_key="grid.uuid", primary_key=True)
    #: `classic` or `adaptive`; NULL for what the settings say.
    planner: str | None = None
    #: NULL before the first time.
    refreshed_at: datetime | None = None
    #: When something changed that no refresh has seen yet; NULL when the order is up to date.
    refresh_wanted_at: datetime | None = None
