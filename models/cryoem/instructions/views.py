"""What the API shows and takes of the agent channel."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from domains.cryoem.instructions import Ack, Held, InstructionType, Mode, Priority, Status
from domains.cryoem.manifests import Finite, Text
from models.cryoem.api_schemas import DecisionDetail
from models.cryoem.instructions.tables import SessionStatus
from models.cryoem.messages.base import Name, storable
from models.cryoem.smartem.requests import When
from models.paging import View

_JsonObject = Annotated[dict[str, Any], AfterValidator(storable)]
_Line = Annotated[Text, Field(max_length=10_000)]
_Threshold = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)]
#: EPU's number of a square or hole, as a number or as its digits.
_Ident = Annotated[int, Field(ge=0, lt=2**63)] | Name
_Idents = Annotated[list[_Ident], Field(min_length=1, max_length=100_000)]


class _Given(BaseModel):
    """Base of what is sent to us: nothing unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ThresholdsGiven(_Given):
    """From which predictions on a session acts."""

    square_forward: _Threshold = Field(
        0.8, description="A square predicted so well or better goes forward."
    )
    square_skip: _Threshold = Field(
        0.3, description="A square predicted so badly or worse is skipped."
    )
    hole_forward: _Threshold = Field(
        0.8, description="A hole predicted so well or better goes forward."
    )

    @model_validator(mode="after")
    def _in_order(self) -> "ThresholdsGiven":
        if not self.square_skip < self.square_forward:
            raise ValueError("square_skip must be less than square_forward")
        return self


class NewAgentSession(_Given):
    """A session of an agent to open."""

    agent_id: Name = Field(description="The agent that is instructed.", examples=["m01-epu"])
    session_id: Name | None = Field(
        None, description="An id of your own; one is made where there is none."
    )
    grid_uuid: UUID | None = Field(None, description="The grid that it is about.")
    acquisition_uuid: UUID | None = Field(
        None, description="The acquisition that it is about; the grid's, where that is given."
    )
    name: Name | None = Field(None, description="What people call it.")
    description: _Line | None = Field(None, description="What it is for.")
    experimental_parameters: _JsonObject | None = Field(
        None, description="Whatever else is to be kept with it."
    )
    mode: Mode | None = Field(
        None,
        description="dry-run (recorded only), semi-auto (a person approves each) or auto; "
        "the settings say what is meant without.",
    )
    thresholds: ThresholdsGiven | None = Field(
        None, description="The settings say what is meant without."
    )


class AgentSessionChange(_Given):
    """What to change of a session, for instructions made from then on."""

    mode: Mode | None = Field(None, description="dry-run, semi-auto or auto.")
    thresholds: ThresholdsGiven | None = Field(None, description="All three, or none.")


class AgentSessionView(View):
    """A session of an agent."""

    session_id: str = Field(description="Its id.")
    agent_id: str = Field(description="The agent that is instructed.")
    acquisition_uuid: UUID | None = Field(description="The acquisition that it is about.")
    grid_uuid: UUID | None = Field(description="The grid that it is about.")
    name: str | None = Field(description="What people call it.")
    description: str | None = Field(description="What it is for.")
    experimental_parameters: dict[str, Any] | None = Field(description="Kept with it.")
    mode: Mode = Field(description="dry-run, semi-auto or auto.")
    square_forward: float = Field(description="Squares predicted so well go forward.")
    square_skip: float = Field(description="Squares predicted so badly are skipped.")
    hole_forward: float = Field(description="Holes predicted so well go forward.")
    status: SessionStatus = Field(description="active, or ended.")
    connected: bool = Field(description="Whether its agent has a stream open.")
    last_sequence: int = Field(description="Number of its newest instruction.")
    created_at: datetime = Field(description="When it was opened.")
    ended_at: datetime | None = Field(description="When it ended.")
    last_activity_at: datetime = Field(description="When something was last done with it.")


class _Squares(_Given):
    gridsquare_ids: _Idents
    priority: Priority | None = None
    reason: _Line | None = None


class _Skip(_Given):
    gridsquare_ids: _Idents
    reason: _Line | None = None


class _Holes(_Given):
    gridsquare_id: _Ident
    foilhole_ids: _Idents
    priority: Priority | None = None
    reason: _Line | None = None


class _Position(_Given):
    x: Finite | None = None
    y: Finite | None = None
    z: Finite | None = None


class _Move(_Given):
    stage_position: _Position
    speed: Annotated[Finite, Field(gt=0)] | Name | None = None


class _Image(_Given):
    image_params: _JsonObject


#: What the payload of each type must be; the others take any object.
_PAYLOADS: dict[InstructionType, type[_Given]] = {
    InstructionType.REORDER_SQUARES: _Squares,
    InstructionType.SKIP_SQUARES: _Skip,
    InstructionType.REORDER_HOLES: _Holes,
    InstructionType.MOVE_STAGE: _Move,
    InstructionType.TAKE_IMAGE: _Image,
}


class NewInstructionGiven(_Given):
    """An instruction to make."""

    session_id: Name = Field(description="The session whose agent is instructed.")
    instruction_type: InstructionType = Field(description="What it is told to do.")
    payload: _JsonObject = Field(
        default_factory=dict, description="What the type asks for; see docs/agent-channel.md."
    )
    priority: Priority = Field(Priority.NORMAL, description="urgent, high, normal or low.")
    reason: _Line | None = Field(None, description="Why.")
    expires_in_seconds: float | None = Field(
        None, gt=0, le=31_536_000, description="When it makes no sense any more, from now on."
    )
    metadata: _JsonObject | None = Field(None, description="Passed on to the agent.")
    idempotency_key: Name | None = Field(
        None, description="Sent again with the same key, it is made once per session."
    )

    @model_validator(mode="after")
    def _payload_fits(self) -> "NewInstructionGiven":
        kind = _PAYLOADS.get(self.instruction_type)
        if kind is not None:
            kind.model_validate(self.payload)
        return self


class Judgement(_Given):
    """Why somebody approves, rejects or cancels."""

    reason: _Line | None = Field(None, description="Shown in the trail.")


class InstructionView(View):
    """An instruction, and how far it is."""

    instruction_id: UUID = Field(description="Its id.")
    session_id: str = Field(description="The session that it is for.")
    agent_id: str = Field(description="The agent that it is for.")
    instruction_type: str = Field(description="What the agent is told to do.")
    payload: dict[str, Any] = Field(description="With what.")
    sequence_number: int = Field(description="Counts up per session.")
    priority: Priority = Field(description="urgent, high, normal or low.")
    status: Status = Field(
        description="pending, sent, received, processed, failed, declined, expired or cancelled."
    )
    held: Held | None = Field(
        description="Why a pending one is not sent: approval (a person is waited for) or dry-run."
    )
    reason: str | None = Field(description="Why it was made.")
    created_at: datetime = Field(description="When it was made.")
    created_by: str = Field(description="Who made it.")
    expires_at: datetime = Field(description="When it makes no sense any more.")
    sent_at: datetime | None = Field(description="When its bytes first left.")
    sends: int = Field(description="How often it was sent.")
    received_at: datetime | None = Field(description="When its agent said that it has it.")
    acknowledged_at: datetime | None = Field(description="When its agent first said anything.")
    finished_at: datetime | None = Field(description="When it was over.")
    ended_because: str | None = Field(description="Why it was cancelled or has expired.")
    judged_by: str | None = Field(description="Who approved or rejected it.")
    judged_at: datetime | None = Field(description="When.")
    decision_id: UUID | None = Field(description="The decision that it follows.")
    threshold: float | None = Field(description="The threshold that was reached.")
    metadata: dict[str, Any] | None = Field(description="Passed on to the agent.")
    flow_run_id: str | None = Field(description="The Prefect flow run behind it.")


class EvidenceView(View):
    """A prediction that an instruction rests on, as it was then."""

    target_uuid: UUID = Field(description="Our uuid of the square or hole.")
    target_id: int = Field(description="EPU's number of it.")
    value: float = Field(description="What was predicted.")
    model_name: str = Field(description="The model.")
    model_version: str | None = Field(description="Its version, where its messages tell.")
    message_uuid: UUID | None = Field(description="The message that brought it.")
    decision_id: UUID | None = Field(None, description="What was decided on it.")
    source: str | None = Field(None, description="Who sent that message.")
    message_id: str | None = Field(None, description="The sender's id of it.")
    received_at: datetime | None = Field(None, description="When it came in.")


class AckView(View):
    """What an agent said."""

    status: Ack = Field(description="received, processed, failed or declined.")
    accepted: bool = Field(description="False where it contradicted what was known.")
    result: str | None = Field(description="What the agent did.")
    error_message: str | None = Field(description="What went wrong.")
    processing_time_ms: int | None = Field(description="How long it took.")
    processed_at: datetime | None = Field(description="When, by the agent's clock.")
    created_at: datetime = Field(description="When we were told.")


class InstructionDetail(InstructionView):
    """An instruction with its trail: messages, predictions, decision, what its agent said."""

    evidence: list[EvidenceView] = Field(description="The predictions that it rests on.")
    decision: DecisionDetail | None = Field(description="The decision that it follows.")
    acknowledgements: list[AckView] = Field(description="What its agent said, oldest first.")
    outcome: str | None = Field(
        description="What the agent did, or what went wrong; null until it is over."
    )


class AckGiven(_Given):
    """What an agent says of an instruction: at once how it went, or first that it has it."""

    status: Ack = Field(description="received, processed, failed or declined.")
    result: _Line | None = Field(None, description="What the agent did.")
    error_message: _Line | None = Field(None, description="What went wrong.")
    processing_time_ms: Annotated[int, Field(ge=0, lt=2**63)] | None = Field(
        None, description="How long it took."
    )
    processed_at: When | None = Field(None, description="When, by the agent's clock.")


class AckAnswer(View):
    """That an acknowledgement was taken."""

    status: str = Field(description="success.")
    instruction_id: str = Field(description="The instruction.")
    acknowledged_at: str = Field(description="When it was taken; of a repeat, the first time.")
    agent_id: str = Field(description="The agent.")
    session_id: str = Field(description="The session.")


class HeartbeatAnswer(View):
    """That a heartbeat was taken."""

    status: str = Field(description="success.")
    agent_id: str = Field(description="The agent.")
    session_id: str = Field(description="The session.")
    heartbeat_timestamp: datetime = Field(description="When it was taken.")
    connection_id: str = Field(description="The agent's open stream.")


class LogEntry(BaseModel):
    """A line of an agent's log."""

    model_config = ConfigDict(frozen=True)

    timestamp: When = Field(description="When it was written.")
    level: Annotated[Text, Field(max_length=50)] = Field(description="Such as INFO.")
    logger_name: Annotated[Text, Field(max_length=500)] = Field(description="Who wrote it.")
    message: Annotated[Text, Field(max_length=100_000)] = Field(description="What it says.")


class LogBatch(BaseModel):
    """Lines of an agent's log."""

    model_config = ConfigDict(frozen=True)

    logs: list[LogEntry] = Field(description="At most 500.")


class LogAnswer(View):
    """How many lines were stored: all of them."""

    stored: int = Field(description="How many.")


class AgentLogView(View):
    """A stored line of an agent's log."""

    timestamp: datetime = Field(description="When it was written, by the agent's clock.")
    level: str = Field(description="Such as INFO.")
    logger_name: str = Field(description="Who wrote it.")
    message: str = Field(description="What it says.")
    created_at: datetime = Field(description="When it was stored.")
