"""Which rows are too old, table by table: the conditions of `models.retention.rules`."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.orm import aliased
from sqlmodel import col

from domains.cryoem.instructions import Status
from domains.retention import Age, RetentionPolicy
from models.access.tables import Login, RefreshToken
from models.audit import AuditEntry
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
from models.cryoem.tables import Acquisition, Grid
from models.cryoem.weight_tables import ModelWeightHistory
from models.drain import Drain, DrainState
from models.inbox import InboxMessage
from models.outbox import OutboxMessage
from models.visibility.owners import SessionOwner

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


def old_acknowledgement(of: Reckoning) -> ColumnElement[bool]:
    """Return the condition of acknowledgements older than the audit period."""
    return and_(
        col(InstructionAck.created_at) < of.cutoff(Age.ACKNOWLEDGEMENTS),
        col(InstructionAck.session_id).not_in(_agents_left_alone(of)),
    )


def old_line(of: Reckoning) -> ColumnElement[bool]:
    """Return the condition of old lines of agents' logs."""
    return and_(
        col(AgentLog.created_at) < of.cutoff(Age.LOGS),
        col(AgentLog.session_id).not_in(_agents_left_alone(of)),
        _not_the_newest(col(AgentLog.id)),
    )


def owner_of_nothing(of: Reckoning) -> ColumnElement[bool]:
    """Return the condition of an owner of what is gone, or never came."""
    uuid = col(SessionOwner.uuid)
    return and_(
        col(SessionOwner.claimed_at) < of.cutoff(Age.SESSIONS),
        ~exists().where(col(Grid.uuid) == uuid),
        ~exists().where(col(Acquisition.uuid) == uuid),
        ~exists().where(col(AgentSession.session_id) == col(SessionOwner.key)),
    )


def old_audit(of: Reckoning) -> ColumnElement[bool]:
    """Return the condition of changes older than the audit period."""
    return and_(
        col(AuditEntry.at) < of.cutoff(Age.AUDIT),
        _not_the_newest(col(AuditEntry.seq)),
    )


def old_news(of: Reckoning) -> ColumnElement[bool]:
    """Return the condition of old events of the live stream."""
    return and_(
        col(LiveEvent.created_at) < of.cutoff(Age.NEWS),
        _not_the_newest(col(LiveEvent.seq)),
    )


def silent(of: Reckoning) -> ColumnElement[bool]:
    """Return the condition of streams of agents that have long said nothing."""
    return and_(
        col(AgentConnection.status) == ConnectionStatus.ACTIVE,
        col(AgentConnection.last_heartbeat_at) < of.cutoff(Age.CONNECTIONS),
    )


def closed(of: Reckoning) -> ColumnElement[bool]:
    """Return the condition of streams that were closed long ago."""
    return and_(
        col(AgentConnection.status) == ConnectionStatus.CLOSED,
        col(AgentConnection.closed_at) < of.cutoff(Age.INSTRUCTIONS),
        col(AgentConnection.session_id).not_in(_agents_left_alone(of)),
    )


def old_instruction(of: Reckoning) -> ColumnElement[bool]:
    """Return the condition of instructions of which nothing will become any more."""
    cutoff = of.cutoff(Age.INSTRUCTIONS)
    return and_(
        col(Instruction.created_at) < cutoff,
        or_(col(Instruction.status).in_(OVER), col(Instruction.expires_at) < cutoff),
        col(Instruction.session_id).not_in(_agents_left_alone(of)),
    )


def agent_at_nothing(of: Reckoning) -> ColumnElement[bool]:
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


def messages_in(of: Reckoning) -> ColumnElement[bool]:
    """Return the condition of old messages that nobody works on any more."""
    waits_in_vain = (DeliveryState.DONE, DeliveryState.DEAD, DeliveryState.WAITING)
    return and_(
        col(InboxMessage.state).in_(waits_in_vain),
        col(InboxMessage.received_at) < of.cutoff(Age.MESSAGES),
        col(InboxMessage.key).not_in(_keys(of)),
        _not_the_newest(col(InboxMessage.seq)),
    )


def messages_out(of: Reckoning) -> ColumnElement[bool]:
    """Return the condition of old rows of the outbox that will not be sent again."""
    return and_(
        col(OutboxMessage.state).in_(_DONE_WITH),
        col(OutboxMessage.created_at) < of.cutoff(Age.MESSAGES),
        col(OutboxMessage.key).not_in(_keys(of)),
        _not_the_newest(col(OutboxMessage.seq)),
    )


def idle(of: Reckoning) -> ColumnElement[bool]:
    """Return the condition of keys that nobody has worked on for long."""
    return and_(
        col(Drain.state) == DrainState.IDLE,
        col(Drain.expires_at) < of.cutoff(Age.MESSAGES),
        col(Drain.key).not_in(_keys(of)),
    )


def replaced_prediction(of: Reckoning) -> ColumnElement[bool]:
    """Return the condition of old predictions that are not in force."""
    current = exists().where(
        col(CurrentPrediction.target_uuid) == col(Prediction.target_uuid),
        col(CurrentPrediction.message_seq) == col(Prediction.message_seq),
    )
    return and_(
        col(Prediction.predicted_at) < of.cutoff(Age.HISTORY),
        _not_of(col(Prediction.grid_uuid), of),
        ~current,
    )


def replaced_measurement(of: Reckoning) -> ColumnElement[bool]:
    """Return the condition of old measurements that are not in force."""
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


def old_weight(of: Reckoning) -> ColumnElement[bool]:
    """Return the condition of weights of long ago."""
    return and_(
        col(ModelWeightHistory.changed_at) < of.cutoff(Age.HISTORY),
        _not_of(col(ModelWeightHistory.grid_uuid), of),
    )


def replaced_member(of: Reckoning) -> ColumnElement[bool]:
    """Return the condition of members of groups whose list was replaced."""
    return exists().where(
        col(HoleGroup.uuid) == col(HoleGroupMember.group_uuid),
        col(HoleGroup.message_seq) > col(HoleGroupMember.message_seq),
        col(HoleGroup.updated_at) < of.cutoff(Age.HISTORY),
        _not_of(col(HoleGroup.grid_uuid), of),
    )


def token_run_out(of: Reckoning) -> ColumnElement[bool]:
    """Return the condition of refresh tokens of sign-ins that have run out."""
    return exists().where(
        col(Login.uuid) == col(RefreshToken.login_uuid),
        col(Login.expires_at) < of.cutoff(Age.SIGN_INS),
    )


def before(column: Any, age: Age) -> Callable[[Reckoning], ColumnElement[bool]]:
    """Return the condition of rows whose moment is longer ago than an age."""
    return lambda of: column < of.cutoff(age)
