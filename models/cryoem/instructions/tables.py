"""Tables of the agent channel, and the news that pages are shown live."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index, text
from sqlmodel import Field, SQLModel

from domains.cryoem.instructions import Mode, Priority, Status
from models.base import json_field, sequence_field


class SessionStatus(StrEnum):
    """Whether an agent's session goes on."""

    ACTIVE = "active"
    ENDED = "ended"


class ConnectionStatus(StrEnum):
    """Whether a stream is open."""

    ACTIVE = "active"
    CLOSED = "closed"


class AgentSession(SQLModel, table=True):
    """What one agent is instructed for: a session at a microscope."""

    __tablename__ = "agent_session"  # pyright: ignore[reportAssignmentType]

    session_id: str = Field(primary_key=True)
    agent_id: str = Field(index=True)
    acquisition_uuid: UUID | None = Field(default=None, foreign_key="acquisition.uuid", index=True)
    grid_uuid: UUID | None = Field(default=None, foreign_key="grid.uuid", index=True)
    name: str | None = None
    description: str | None = None
    experimental_parameters: dict[str, Any] | None = json_field(nullable=True)
    mode: str = Mode.DRY_RUN
    square_forward: float
    square_skip: float
    hole_forward: float
    status: str = SessionStatus.ACTIVE
    #: Of its newest instruction. Raised in the transaction that makes one, which so holds the row.
    last_sequence: int = Field(default=0, sa_type=BigInteger)
    #: The stream that may send; a newer one takes its place.
    connection_id: str | None = None
    created_at: datetime = Field(index=True)
    ended_at: datetime | None = None
    last_activity_at: datetime


class AgentConnection(SQLModel, table=True):
    """A stream of instructions, open or closed."""

    __tablename__ = "agent_connection"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        Index("ix_agent_connection_status", "status", "last_heartbeat_at"),
        Index("ix_agent_connection_created_at", "created_at"),
    )

    connection_id: str = Field(primary_key=True)
    session_id: str = Field(foreign_key="agent_session.session_id", index=True)
    agent_id: str
    connection_type: str = "sse"
    client_info: dict[str, Any] | None = json_field(nullable=True)
    status: str = ConnectionStatus.ACTIVE
    created_at: datetime
    #: When the agent was last heard of: an acknowledgement, a heartbeat, a byte that it took.
    last_heartbeat_at: datetime
    closed_at: datetime | None = None
    close_reason: str | None = None


class Instruction(SQLModel, table=True):
    """Something that an agent is told to do, and what became of it."""

    __table_args__ = (
        Index(
            "uq_instruction_session_id_sequence_number",
            "session_id",
            "sequence_number",
            unique=True,
        ),
        # What is done is what there is most of.
        Index(
            "ix_instruction_open",
            "session_id",
            "status",
            postgresql_where=text("status IN ('pending', 'sent', 'received')"),
            sqlite_where=text("status IN ('pending', 'sent', 'received')"),
        ),
        Index("ix_instruction_created_at", "created_at", "id"),
    )

    id: UUID = Field(primary_key=True)
    session_id: str = Field(foreign_key="agent_session.session_id")
    agent_id: str
    instruction_type: str
    payload: dict[str, Any] = json_field()
    sequence_number: int = Field(sa_type=BigInteger)
    priority: str = Priority.NORMAL
    status: str = Status.PENDING
    #: Why it is not sent: `approval` or `dry-run`; NULL when it may be.
    held: str | None = None
    created_at: datetime
    #: Who made it: a person or a machine by name, or Athanor.
    created_by: str
    expires_at: datetime
    #: The stream that took it last. It is taken before its bytes leave and sent after.
    claimed_by: str | None = None
    sent_at: datetime | None = None
    sends: int = 0
    #: When to send it again, unless it is acknowledged before.
    next_send_at: datetime | None = None
    received_at: datetime | None = None
    #: When its agent first said anything of it.
    acknowledged_at: datetime | None = None
    finished_at: datetime | None = None
    #: Why it was cancelled or has expired.
    ended_because: str | None = None
    #: Who approved or rejected it, and when.
    judged_by: str | None = None
    judged_at: datetime | None = None
    decision_id: UUID | None = Field(default=None, index=True)
    reason: str | None = None
    threshold: float | None = None
    #: The predictions that it rests on, as `domains.cryoem.instructions.Evidence`.
    evidence: list[dict[str, Any]] = json_field()
    #: What its maker adds for the agent; sent as `metadata`.
    extra: dict[str, Any] | None = json_field(nullable=True)
    #: The flow run that made it, or that waits for a person.
    flow_run_id: str | None = None


class InstructionAck(SQLModel, table=True):
    """What an agent said of an instruction; kept even when it was refused."""

    __tablename__ = "instruction_ack"  # pyright: ignore[reportAssignmentType]

    id: UUID = Field(primary_key=True)
    instruction_id: UUID = Field(foreign_key="instruction.id", index=True)
    session_id: str
    agent_id: str
    status: str
    #: False where it contradicted what was known, such as an outcome of what was cancelled.
    accepted: bool
    result: str | None = None
    error_message: str | None = None
    processing_time_ms: int | None = Field(default=None, sa_type=BigInteger)
    processed_at: datetime | None = None
    created_at: datetime = Field(index=True)


class AgentLog(SQLModel, table=True):
    """A line of an agent's log."""

    __tablename__ = "agent_log"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (Index("ix_agent_log_session_id", "session_id", "id"),)

    id: int | None = sequence_field()
    session_id: str
    agent_id: str
    timestamp: datetime
    level: str
    logger_name: str
    message: str
    created_at: datetime = Field(index=True)


class LiveEvent(SQLModel, table=True):
    """Something that pages are shown as it happens, kept for those that come back.

    Written in the transaction of what it tells of, under a lock: so that whoever has read up
    to a `seq` has missed none before it.
    """

    __tablename__ = "live_event"  # pyright: ignore[reportAssignmentType]

    seq: int | None = sequence_field()
    event_type: str
    agent_id: str | None = None
    session_id: str | None = None
    acquisition_uuid: UUID | None = None
    #: As it is shown; for `processing.metric` the micrographs only, whose values are looked up.
    data: dict[str, Any] = json_field()
    created_at: datetime = Field(index=True)
