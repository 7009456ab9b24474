"""What is deleted by age, table by table, and which tables do not grow.

The condition of a rule is at once what is counted and what is deleted. Rules of one run do not
lean on one another: none makes rows fit for another, so that what is counted beforehand is what
is deleted afterwards.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.orm import aliased
from sqlmodel import SQLModel, col

from domains.cryoem.instructions import Status
from domains.retention import Age, Operation, RetentionPolicy
from models.access.tables import Login, RefreshToken
from models.answers import Answer
from models.base import DeliveryState
from models.cryoem.decision_tables import CurrentPrediction, Prediction
from models.cryoem.instructions.tables import (
    AgentConnection,
    AgentLog,
    AgentSession,
    ConnectionStatus,
    Instruction,
    InstructionAck,
    LiveEvent,
    SessionStatus,
)
from models.cryoem.processing_tables import (
    CurrentMeasurement,
    HoleGroup,
    HoleGroupMember,
    Measurement,
)
from models.cryoem.tables import Grid
from models.cryoem.weight_tables import ModelWeightHistory
from models.deliveries import Delivery
from models.drain import Drain, DrainState
from models.inbox import InboxMessage
from models.outbox import OutboxMessage
from models.retention.tables import SessionRemoval

#: An instruction that nothing will become of any more.
OVER: Final = (
    Status.PROCESSED,
    Status.FAILED,
    Status.DECLINED,
    Status.EXPIRED,
    Status.CANCELLED,
)
_DONE_WITH: Final = (DeliveryState.DONE, DeliveryState.SUPERSEDED, DeliveryState.DEAD)


@dataclass(frozen=True)
class Reckoning:
    """What one run of retention goes by."""

    policy: RetentionPolicy
    now: datetime
    #: Sessions that are held.
    held: frozenset[UUID]
    #: Sessions that go on.
    going_on: frozenset[UUID]
    #: Sessions that are deleted as a whole, which so are no business of the rules.
    leaving: frozenset[UUID]

    def cutoff(self, age: Age) -> datetime:
        """Return the moment before which things of a kind are let go of."""
        return self.policy.cutoff(age, self.now)

    def elsewhere(self, *, running: bool = False) -> list[UUID]:
        """Return the sessions that a rule leaves alone; with `running`, also those going on."""
        return sorted(self.held | self.leaving | (self.going_on if running else frozenset()))


@dataclass(frozen=True)
class Rule:
    """What becomes of old rows of a table."""

    table: type[SQLModel]
    what: str
    age: Age
    #: Which rows; it has no list of parameters but that of sessions.
    condition: Callable[[Reckoning], ColumnElement[bool]]
    #: Columns that are set instead of deleting the rows.
    change: Callable[[Reckoning], Mapping[str, Any]] | None = None
    #: What may be asked for alone; a cleanup does everything.
    operation: Operation = Operation.CLEANUP


def archived(now: datetime) -> dict[str, Any]:
    """Return what takes the place of a payload."""
    return {"archived": True, "archived_at": now.isoformat()}


def acknowledged() -> ColumnElement[bool]:
    """Return the condition that an agent said something of an instruction."""
    return exists().where(col(InstructionAck.instruction_id) == col(Instruction.id))


def is_archived(column: Any) -> ColumnElement[bool]:
    """Return the condition that a payload was archived."""
    return column["archived_at"].as_string().is_not(None)


def _not_of(column: Any, of: Reckoning) -> ColumnElement[bool]:
    return column.not_in(of.elsewhere(running=True))


def _keys(of: Reckoning) -> list[str]:
    return [str(grid) for grid in of.elsewhere(running=True)]


def _not_the_newest(column: Any) -> ColumnElement[bool]:
    # SQLite counts on from the largest number that is there: were the newest row deleted, the
    # next would get its number, and be taken for older than what refers to it.
    newest = aliased(column.class_)
    return column < select(func.max(getattr(newest, column.key))).scalar_subquery()


def _agents_left_alone(of: Reckoning) -> Any:
    """Return the sessions of agents at microscopes whose sessions are held or deleted whole."""
    grids = of.elsewhere()
    acquisitions = select(col(Grid.acquisition_uuid)).where(col(Grid.uuid).in_(grids))
    return select(col(AgentSession.session_id)).where(
        or_(
            col(AgentSession.grid_uuid).in_(grids),
            col(AgentSession.acquisition_uuid).in_(acquisitions),
        )
    )


def _old_acknowledgement(of: Reckoning) -> ColumnElement[bool]:
    return and_(
        col(InstructionAck.created_at) < of.cutoff(Age.ACKNOWLEDGEMENTS),
        col(InstructionAck.session_id).not_in(_agents_left_alone(of)),
    )


def _old_line(of: Reckoning) -> ColumnElement[bool]:
    return and_(
        col(AgentLog.created_at) < of.cutoff(Age.LOGS),
        col(AgentLog.session_id).not_in(_agents_left_alone(of)),
        _not_the_newest(col(AgentLog.id)),
    )


def _old_news(of: Reckoning) -> ColumnElement[bool]:
    return and_(
        col(LiveEvent.created_at) < of.cutoff(Age.NEWS),
        _not_the_newest(col(LiveEvent.seq)),
    )


def _silent(of: Reckoning) -> ColumnElement[bool]:
    return and_(
        col(AgentConnection.status) == ConnectionStatus.ACTIVE,
        col(AgentConnection.last_heartbeat_at) < of.cutoff(Age.CONNECTIONS),
    )


def _closed(of: Reckoning) -> ColumnElement[bool]:
    return and_(
        col(AgentConnection.status) == ConnectionStatus.CLOSED,
        col(AgentConnection.closed_at) < of.cutoff(Age.INSTRUCTIONS),
        col(AgentConnection.session_id).not_in(_agents_left_alone(of)),
    )


def _old_instruction(of: Reckoning) -> ColumnElement[bool]:
    cutoff = of.cutoff(Age.INSTRUCTIONS)
    return and_(
        col(Instruction.created_at) < cutoff,
        or_(col(Instruction.status).in_(OVER), col(Instruction.expires_at) < cutoff),
        col(Instruction.session_id).not_in(_agents_left_alone(of)),
    )


def _agent_at_nothing(of: Reckoning) -> ColumnElement[bool]:
    """Return the condition of an agent's session of which nothing is left, at no microscope's."""
    mine = col(AgentSession.session_id)
    return and_(
        col(AgentSession.grid_uuid).is_(None),
        col(AgentSession.acquisition_uuid).is_(None),
        col(AgentSession.status) == SessionStatus.ENDED,
        col(AgentSession.last_activity_at) < of.cutoff(Age.SESSIONS),
        ~exists().where(col(Instruction.session_id) == mine),
        ~exists().where(col(AgentConnection.session_id) == mine),
    )


def _messages_in(of: Reckoning) -> ColumnElement[bool]:
    waits_in_vain = (DeliveryState.DONE, DeliveryState.DEAD, DeliveryState.WAITING)
    return and_(
        col(InboxMessage.state).in_(waits_in_vain),
        col(InboxMessage.received_at) < of.cutoff(Age.MESSAGES),
        col(InboxMessage.key).not_in(_keys(of)),
        _not_the_newest(col(InboxMessage.seq)),
    )


def _messages_out(of: Reckoning) -> ColumnElement[bool]:
    return and_(
        col(OutboxMessage.state).in_(_DONE_WITH),
        col(OutboxMessage.created_at) < of.cutoff(Age.MESSAGES),
        col(OutboxMessage.key).not_in(_keys(of)),
        _not_the_newest(col(OutboxMessage.seq)),
    )


def _idle(of: Reckoning) -> ColumnElement[bool]:
    return and_(
        col(Drain.state) == DrainState.IDLE,
        col(Drain.expires_at) < of.cutoff(Age.MESSAGES),
        col(Drain.key).not_in(_keys(of)),
    )


def _replaced_prediction(of: Reckoning) -> ColumnElement[bool]:
    current = exists().where(
        col(CurrentPrediction.target_uuid) == col(Prediction.target_uuid),
        col(CurrentPrediction.message_seq) == col(Prediction.message_seq),
    )
    return and_(
        col(Prediction.predicted_at) < of.cutoff(Age.HISTORY),
        _not_of(col(Prediction.grid_uuid), of),
        ~current,
    )


def _replaced_measurement(of: Reckoning) -> ColumnElement[bool]:
    current = exists().where(
        col(CurrentMeasurement.micrograph_uuid) == col(Measurement.micrograph_uuid),
        col(CurrentMeasurement.name) == col(Measurement.name),
        col(CurrentMeasurement.message_seq) == col(Measurement.message_seq),
    )
    return and_(
        col(Measurement.measured_at) < of.cutoff(Age.HISTORY),
        _not_of(col(Measurement.grid_uuid), of),
        ~current,
    )


def _old_weight(of: Reckoning) -> ColumnElement[bool]:
    return and_(
        col(ModelWeightHistory.changed_at) < of.cutoff(Age.HISTORY),
        _not_of(col(ModelWeightHistory.grid_uuid), of),
    )


def _replaced_member(of: Reckoning) -> ColumnElement[bool]:
    return exists().where(
        col(HoleGroup.uuid) == col(HoleGroupMember.group_uuid),
        col(HoleGroup.message_seq) > col(HoleGroupMember.message_seq),
        col(HoleGroup.updated_at) < of.cutoff(Age.HISTORY),
        _not_of(col(HoleGroup.grid_uuid), of),
    )


def _token_run_out(of: Reckoning) -> ColumnElement[bool]:
    return exists().where(
        col(Login.uuid) == col(RefreshToken.login_uuid),
        col(Login.expires_at) < of.cutoff(Age.SIGN_INS),
    )


def _before(column: Any, age: Age) -> Callable[[Reckoning], ColumnElement[bool]]:
    return lambda of: column < of.cutoff(age)


#: In the order in which they are applied. What refers to something goes before it; but what is
#: deleted once nothing refers to it goes first, and so a run later, or the counts would be wrong.
RULES: Final = (
    Rule(AgentSession, "agents' sessions", Age.SESSIONS, _agent_at_nothing),
    Rule(
        AgentConnection,
        "silent streams closed",
        Age.CONNECTIONS,
        _silent,
        lambda of: {
            "status": ConnectionStatus.CLOSED.value,
            "closed_at": of.now,
            "close_reason": f"silent for more than {of.policy.connections}",
        },
        operation=Operation.CONNECTIONS,
    ),
    Rule(
        Instruction,
        "payloads archived",
        Age.INSTRUCTIONS,
        lambda of: and_(
            _old_instruction(of), acknowledged(), ~is_archived(col(Instruction.payload))
        ),
        lambda of: {"payload": archived(of.now), "evidence": [], "extra": None},
        operation=Operation.INSTRUCTIONS,
    ),
    Rule(
        Instruction,
        "instructions without acknowledgement",
        Age.INSTRUCTIONS,
        lambda of: and_(_old_instruction(of), ~acknowledged()),
        operation=Operation.INSTRUCTIONS,
    ),
    Rule(
        InstructionAck,
        "acknowledgements",
        Age.ACKNOWLEDGEMENTS,
        _old_acknowledgement,
    ),
    Rule(AgentConnection, "closed streams", Age.INSTRUCTIONS, _closed),
    Rule(AgentLog, "lines of agents' logs", Age.LOGS, _old_line),
    Rule(LiveEvent, "events of the live stream", Age.NEWS, _old_news),
    Rule(InboxMessage, "messages that came in", Age.MESSAGES, _messages_in),
    Rule(OutboxMessage, "messages that left", Age.MESSAGES, _messages_out),
    Rule(Drain, "keys that nobody works on", Age.MESSAGES, _idle),
    Rule(Prediction, "predictions replaced", Age.HISTORY, _replaced_prediction),
    Rule(Measurement, "measurements replaced", Age.HISTORY, _replaced_measurement),
    Rule(ModelWeightHistory, "former weights", Age.HISTORY, _old_weight),
    Rule(HoleGroupMember, "former members of groups", Age.HISTORY, _replaced_member),
    Rule(RefreshToken, "refresh tokens", Age.SIGN_INS, _token_run_out),
    Rule(Login, "sign-ins", Age.SIGN_INS, _before(col(Login.expires_at), Age.SIGN_INS)),
    Rule(Answer, "answers", Age.REPEATS, _before(col(Answer.answered_at), Age.REPEATS)),
    Rule(Delivery, "deliveries", Age.REPEATS, _before(col(Delivery.stored_at), Age.REPEATS)),
    Rule(
        SessionRemoval,
        "notes of deleted sessions",
        Age.AUDIT,
        _before(col(SessionRemoval.ended_at), Age.AUDIT),
    ),
)

#: Tables that hold a row for each thing that people set up, and why they do not grow by use.
STAYING: Final[Mapping[str, str]] = {
    "access_user": "one row a person, made and disabled by hand",
    "machine_client": "one row a program, made and disabled by hand",
    "api_key": "one row a key, made and revoked by hand",
    "prediction_model": "one row a model",
    "quality_metric": "one row a metric, with the schema",
    "initial_weight": "one row a model and metric",
    "session_restore": "one row a session that was brought back, deleted with it",
    "session_hold": "one row a session that somebody holds, deleted when it is released",
}
