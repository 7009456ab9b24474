"""Schemas of the Athena Decision Service API v1, under the names of the vendor's document.

Source: the vendor's OpenAPI document. It calls every property optional; here, those without
which a record means nothing are required, so that they cannot be forgotten. Unknown
properties are refused; whoever reads the service's answers relaxes that for itself.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from core.clock import as_utc


def _utc(value: datetime) -> datetime:
    """Return the instant in UTC; years 1 and 9999 have instants that no UTC datetime holds."""
    try:
        return as_utc(value)
    except OverflowError as exc:
        raise ValueError("time out of range") from exc


Int32 = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]
Time = Annotated[AwareDatetime, AfterValidator(_utc)]


class AlgorithmResultType(StrEnum):
    """What an algorithm result is about."""

    MOTION_CORRECTION = "motioncorrection"
    CTF = "ctf"
    GRID_SQUARE = "gridsquare"
    MICROGRAPH = "micrograph"
    ATLAS = "atlas"


class EngineState(StrEnum):
    """What the microscope's application does."""

    UNKNOWN = "unknown"
    IDLE = "idle"
    RUNNING = "running"


class AreaType(StrEnum):
    """What an area is."""

    GRID_SQUARE = "gridsquare"
    FOIL_HOLE = "foilhole"
    ATLAS = "atlas"
    PARTICLE = "particle"


class AcquisitionState(StrEnum):
    """How far the acquisition of an area is."""

    UNKNOWN = "unknown"
    IGNORE = "ignore"
    QUEUED = "queued"
    STARTED = "started"
    COMPLETED = "completed"
    SKIPPED = "skipped"


class DecisionType(StrEnum):
    """What is decided about an area."""

    INCLUDE = "include"
    FOCUS = "focus"
    STAGE_WAITING_TIME = "stageWaitingTime"
    ACQUISITION_ORDER = "acquisitionOrder"
    FOIL_HOLE_SELECTION = "foilHoleSelection"
    GRID_SQUARE_SELECTION = "gridSquareSelection"
    ICE_THICKNESS_FOIL_HOLE_PREDICTION = "iceThicknessFoilHolePrediction"
    AUTOMATIC_FOIL_HOLE_FINDING = "automaticFoilHoleFinding"


class PluginType(StrEnum):
    """Which plugin took a decision."""

    DEFAULT = "default"
    CUSTOM = "custom"
    DUMMY = "dummy"


class GridType(StrEnum):
    """The support film of a grid."""

    HOLEY_CARBON = "HoleyCarbon"
    HOLEY_GOLD = "HoleyGold"
    LACEY_CARBON = "LaceyCarbon"


class Record(BaseModel):
    """Base of all schemas: frozen, snake_case here and camelCase on the wire."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )


class ProblemDetails(Record):
    """Why a request failed (RFC 7807)."""

    type: str | None = None
    title: str | None = None
    status: Int32 | None = None
    detail: str | None = None
    instance: str | None = None
    extensions: Mapping[str, Any] | None = None


class Session(Record):
    """An application session: one grid's acquisition. Its name is unique in the service."""

    session_name: str
    session_id: UUID | None = None
    athena_id: str | None = None
    timestamp: Time | None = None
    grid_type: GridType = GridType.HOLEY_CARBON


class Area(Record):
    """A place on the grid; `id` is unique within its session, `parent_id` its square's id."""

    session_id: UUID
    id: Int32
    area_type: AreaType
    parent_id: Int32 | None = None


class AreaStateChange(Record):
    """The news that an area's acquisition changed state."""

    session_id: UUID
    area_id: Int32
    state: AcquisitionState


class AreaState(AreaStateChange):
    """A tracked state of an area; the service gives it an id and a time."""

    id: Int32 | None = None
    timestamp: Time | None = None


class DecisionRecord(Record):
    """A decision about an area. The service gives it an id when it has none.

    For a `foilHoleSelection` asked of a square, `decision_value` is a JSON list of
    `{"areaId": n, "result": "true" | "false"}` over its holes.
    """

    session_id: UUID
    area_id: Int32
    decision_type: DecisionType
    plugin_type: PluginType = PluginType.DEFAULT
    id: UUID | None = None
    decision_value: str | None = None
    decided_by: str | None = None
    details: str | None = None
    timestamp: Time | None = None


class AlgorithmResultRecord(Record):
    """What an algorithm found about an area.

    The document's values of `result` are objects without properties, which is how its
    generator writes C#'s `object`: any JSON value.
    """

    session_id: UUID
    area_id: Int32
    name: str | None = None
    result: Mapping[str, Any] | None = None
    timestamp: Time | None = None


class ApplicationStateChange(Record):
    """The news that the microscope's application changed state."""

    state: EngineState
    session_id: UUID | None = None
    area_id: Int32 | None = None
    details: str | None = None


class ApplicationState(ApplicationStateChange):
    """A tracked state of the microscope's application."""

    id: UUID | None = None
    timestamp: Time | None = None


class SmartPluginConfiguration(Record):
    """Whether a decision is left to our (custom) plugin."""

    plugin_name: str
    custom_plugin_selection: bool = False
    timestamp: Time | None = None


class DecisionServiceConfiguration(Record):
    """The selection of plugins."""

    id: UUID | None = None
    smart_plugin_configurations: tuple[SmartPluginConfiguration, ...] | None = None
    timestamp: Time | None = None


class NameValueRecord(Record):
    """A named value of a session or of one of its areas; the service gives it an id."""

    session_id: UUID
    name: str
    area_id: Int32 | None = None
    value: str | None = None
    id: Int32 | None = None
    timestamp: Time | None = None
    set_by: str | None = None


class RunStart(Record):
    """The news that an acquisition run started."""

    session_id: UUID


class RunStop(Record):
    """The news that an acquisition run stopped."""

    session_id: UUID
    run_number: Int32
    reason: str | None = None


class Run(Record):
    """An acquisition run of a session."""

    session_id: UUID
    run_number: Int32
    start_time: Time | None = None
    stop_time: Time | None = None
    stop_reason: str | None = None
