"""What the API and the command line show: read-only views of the tables."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field

from models.cryoem.states import DecisionState, MessageState
from models.paging import View


class MessageSummary(View):
    """A message in the inbox."""

    id: UUID = Field(description="Our id of the message.")
    source: str = Field(description="Who sent it.")
    message_id: str | None = Field(description="The sender's id; unique per source.")
    kind: str = Field(description="Its event_type.")
    key: str = Field(description="The grid that it concerns; empty while that is not known.")
    state: MessageState = Field(
        description="pending, claimed (being worked on), waiting (for something that is not known "
        "yet), done, or dead (never possible as it is)."
    )
    attempts: int = Field(description="How often it was tried.")
    received_at: datetime = Field(description="When it was stored.")
    done_at: datetime | None = Field(description="When its work was done.")
    waiting_for: str | None = Field(description="Uuid or name that must become known first.")
    error: str | None = Field(description="Why it waits or is dead.")
    flow: str = Field(description="The deployment that works on it.")
    flow_run_id: str | None = Field(description="The Prefect flow run that did its work.")


class MessageDetail(MessageSummary):
    """A message with its content and what it led to."""

    payload: dict[str, Any] = Field(description="The message as stored.")
    predictions: int = Field(description="How many predicted values it brought.")
    decisions: list[UUID] = Field(
        description="Decisions that rest on them, newest first, at most 1,000."
    )


class SessionSummary(View):
    """An EPU session: the acquisition of one grid."""

    grid_uuid: UUID = Field(description="The grid; names the session everywhere here.")
    name: str = Field(description="EPU's name of the session.")
    started_at: datetime | None = Field(description="When the acquisition started.")
    ended_at: datetime | None = Field(description="When it ended; null while it goes on.")
    last_news_at: datetime | None = Field(description="When we last heard of it.")
    athena_session_id: UUID | None = Field(description="Athena's session; null until registered.")
    run_number: int | None = Field(description="Athena's acquisition run; null until started.")
    squares: int = Field(description="Grid squares known.")
    holes: int = Field(description="Foil holes known.")
    micrographs: int = Field(description="Micrographs known.")
    decisions_sent: int = Field(description="Decisions that Athena has.")
    decisions_pending: int = Field(description="Decisions on their way to Athena.")


class AthenaSessionView(View):
    """What Athena calls the grid."""

    session_id: UUID = Field(description="Athena's session id.")
    session_name: str = Field(description="Athena's session name.")
    grid_type: str = Field(description="The support film.")
    adopted: bool = Field(description="True when Athena had the session before we asked for it.")
    registered_at: datetime = Field(description="When we stored it.")
    run_number: int | None = Field(description="Number of the acquisition run.")
    run_started_at: datetime | None = Field(description="When the run started.")
    run_stopped_at: datetime | None = Field(description="When the run stopped.")
    stop_reason: str | None = Field(description="Why the run stopped.")


class Entities(View):
    """How many of each thing are known."""

    tiles: int = Field(description="Tiles of the atlas.")
    squares: int = Field(description="Grid squares.")
    holes: int = Field(description="Foil holes.")
    micrographs: int = Field(description="Micrographs.")


class DecisionCount(View):
    """Decisions of one type and what they said."""

    decision_type: str = Field(description="Athena's decision type.")
    decisions: int = Field(description="Decisions made, superseded ones included.")
    selected: int = Field(description="Squares or holes that the decisions in force select.")
    rejected: int = Field(description="Squares or holes that the decisions in force leave out.")


class SessionDetail(SessionSummary):
    """A session with all its counts."""

    acquisition_uuid: UUID = Field(description="Our id of the acquisition.")
    epu_id: str | None = Field(description="EPU's id of the session.")
    grid_name: str = Field(description="Name of the grid.")
    end_reason: str | None = Field(description="Why the acquisition ended.")
    instrument_model: str | None = Field(description="The microscope's model.")
    instrument_id: str | None = Field(description="The microscope's id.")
    software_version: str | None = Field(description="EPU's version.")
    storage_path: str | None = Field(description="Where EPU writes.")
    entities: Entities = Field(description="Counts by entity.")
    athena: AthenaSessionView | None = Field(description="What Athena knows; null until then.")
    areas_registered: dict[str, int] = Field(description="Areas confirmed by Athena, by type.")
    predictions: dict[str, int] = Field(description="Predicted values, by level.")
    decisions: list[DecisionCount] = Field(description="Decisions by type and value.")
    outbox: dict[str, int] = Field(description="Decisions by how far they are on their way.")
    inbox: dict[str, int] = Field(description="Messages about this grid, by state.")


class PredictionView(View):
    """A predicted value in force."""

    model: str = Field(description="The model that predicted.")
    metric: str | None = Field(description="The metric; null means overall.")
    value: float = Field(description="0 to 1.")
    predicted_at: datetime = Field(description="When its message came in.")


class AreaView(View):
    """What squares and holes have in common."""

    uuid: UUID = Field(description="Our id.")
    selected: bool | None = Field(description="EPU's own selection.")
    area_id: int | None = Field(description="Athena's id; null until given.")
    registered: bool = Field(description="Whether Athena has confirmed it.")
    predictions: list[PredictionView] = Field(description="Predictions in force, newest last.")
    deleted_at: datetime | None = Field(
        description="Since when it is said to exist no longer; it takes no part in decisions then."
    )


class SquareView(AreaView):
    """A grid square."""

    square_id: int = Field(description="EPU's id.")
    state: str | None = Field(description="EPU's state of it.")
    unusable: bool | None = Field(description="EPU found it unusable.")
    stage_x: float | None = Field(description="Stage x in metres.")
    stage_y: float | None = Field(description="Stage y in metres.")
    imaged_at: datetime | None = Field(description="When it was imaged.")
    holes: int = Field(description="Foil holes known on it.")
    holes_known_at: datetime | None = Field(description="Since when all of them are known.")


class HoleView(AreaView):
    """A foil hole."""

    square_uuid: UUID = Field(description="The square that it is on.")
    hole_id: int = Field(description="EPU's id.")
    is_near_grid_bar: bool | None = Field(description="Too near a grid bar to be collected.")
    quality: float | None = Field(description="EPU's own quality of it.")
    stage_x: float | None = Field(description="Stage x in metres.")
    stage_y: float | None = Field(description="Stage y in metres.")
    imaged_at: datetime | None = Field(description="When it was imaged.")


class MeasurementView(View):
    """What was last measured of one kind."""

    name: str = Field(description="As the message calls it, such as total_motion.")
    metric: str | None = Field(description="The quality metric that it is of, if any.")
    value: float = Field(description="In Å, or a number of particles.")
    quality: float | None = Field(
        description="0..1: how good beside the grid's values before it; null without a metric."
    )
    measured_at: datetime = Field(description="When its message came in.")


class MicrographView(View):
    """A micrograph: an exposure of a hole."""

    uuid: UUID = Field(description="Our id.")
    hole_uuid: UUID = Field(description="The hole that it shows.")
    stem: str = Field(description="Its file's name without ending.")
    acquired_at: datetime | None = Field(description="When it was taken.")
    exposure_time: float | None = Field(description="Seconds.")
    defocus: float | None = Field(description="Metres.")
    pixel_size: float | None = Field(description="Metres per pixel.")
    dose: float | None = Field(description="Electrons per square metre.")
    path: str | None = Field(description="Where its manifest was read.")
    measurements: list[MeasurementView] = Field(description="Current values, by name.")
    deleted_at: datetime | None = Field(description="Since when it is said to exist no longer.")


class DecisionSummary(View):
    """A decision and how far it is on its way to Athena."""

    id: UUID = Field(description="Our id and Athena's.")
    grid_uuid: UUID = Field(description="The grid that it concerns.")
    area_uuid: UUID = Field(description="The square that it is about; of squares, the atlas.")
    square_id: int | None = Field(description="EPU's id of that square.")
    decision_type: str = Field(description="Athena's decision type.")
    value: str = Field(
        description="true or false; of holes, how many of how many are selected; or an order."
    )
    details: str = Field(description="Why, in words.")
    decided_by: str = Field(description="What decided.")
    plugin_type: str = Field(description="Athena's plugin type.")
    made_at: datetime = Field(description="When it was made.")
    state: DecisionState = Field(description="How far it is on its way to Athena.")
    sent_at: datetime | None = Field(description="When Athena had confirmed it.")
    latency_seconds: float | None = Field(
        description="From the newest prediction that it rests on coming in to Athena having it."
    )


class BasisView(View):
    """A prediction that a decision rests on, and the message that brought it."""

    target_uuid: UUID = Field(description="The square or hole.")
    target_id: int | None = Field(description="EPU's id of the square or hole.")
    model: str = Field(description="The model that predicted.")
    metric: str | None = Field(description="The metric; null means overall.")
    value: float = Field(description="0 to 1.")
    predicted_at: datetime = Field(description="When its message came in.")
    message: UUID = Field(description="Our id of the message.")
    source: str | None = Field(description="Who sent it; null once the message is deleted.")
    message_id: str | None = Field(description="The sender's id of it.")


class OutboxView(View):
    """A decision's way out."""

    state: DecisionState = Field(description="How far it is.")
    attempts: int = Field(description="How often it was tried.")
    created_at: datetime = Field(description="When it was put in the outbox.")
    caused_at: datetime | None = Field(description="When the newest prediction came in.")
    sent_at: datetime | None = Field(description="When Athena had confirmed it.")
    error: str | None = Field(description="What went wrong last.")
    flow_run_id: str | None = Field(description="The Prefect flow run that sent it.")


class AthenaDecisionView(View):
    """A decision as Athena is told it."""

    session_id: UUID = Field(description="Athena's session.")
    area_id: int | None = Field(description="Athena's area; null until registered.")
    value: str | None = Field(description="decisionValue; null until all its areas are registered.")


class OrderedView(View):
    """A square or hole in an order of collection, and why it has this place."""

    position: int = Field(description="From 1 on.")
    target_uuid: UUID = Field(description="The square or hole.")
    target_id: int | None = Field(description="EPU's id of the square or hole.")
    expected: float = Field(
        description="Probability that a micrograph of the hole, or of the square's first, is good."
    )
    uncertainty: float = Field(description="Standard deviation of that; 0 where none is known.")
    cost: float = Field(description="Minutes that the move to it and its image are taken to cost.")


class DecisionDetail(DecisionSummary):
    """A decision with its trail: predictions, decision, outbox, Athena."""

    outcome: dict[UUID, bool] = Field(
        description="Selected or not, by square or hole; of an order, empty."
    )
    order: list[OrderedView] = Field(description="Of an order, the next squares or holes.")
    flow_run_id: str | None = Field(description="The Prefect flow run that made it.")
    predictions: list[BasisView] = Field(description="What it rests on, oldest first.")
    outbox: OutboxView | None = Field(description="Its way out.")
    athena: AthenaDecisionView | None = Field(description="As Athena is told; null until then.")


class QueueStatus(View):
    """How much is in a queue."""

    by_state: dict[str, int] = Field(description="Rows by state.")
    oldest_pending_at: datetime | None = Field(description="Since when the oldest waits for work.")
    oldest_pending_seconds: float | None = Field(description="For how long it does.")


class SessionsStatus(View):
    """How many sessions there are."""

    total: int = Field(description="All that are known.")
    running: int = Field(description="Those that have not ended.")


class LatencyStatus(View):
    """From a prediction coming in to Athena having the decision, in seconds."""

    decisions: int = Field(description="How many of the last 1,000 it is measured on.")
    p50_seconds: float | None = Field(description="Half are faster; null when there are none.")
    p95_seconds: float | None = Field(description="95 of 100 are faster; null as above.")


class Status(View):
    """The state of the whole."""

    version: str = Field(description="Athanor's version.")
    time: datetime = Field(description="When this was looked at.")
    inbox: QueueStatus = Field(description="Messages that came in.")
    outbox: QueueStatus = Field(description="What must leave.")
    sessions: SessionsStatus = Field(description="EPU sessions.")
    latest_decision: DecisionSummary | None = Field(description="The newest; null if none.")
    latency: LatencyStatus = Field(description="Of the last 1,000 decisions sent.")
