"""What is deleted by age, table by table, and which tables do not grow.

The condition of a rule is at once what is counted and what is deleted. Rules of one run do not
lean on one another: none makes rows fit for another, so that what is counted beforehand is what
is deleted afterwards.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, and_
from sqlmodel import SQLModel, col

from domains.retention import Age, Operation
from models.access.tables import Login, RefreshToken
from models.answers import Answer
from models.audit import AuditEntry
from models.cryoem.decision_tables import Prediction
from models.cryoem.instructions.tables import (
    AgentConnection,
    AgentLog,
    AgentSession,
    ConnectionStatus,
    Instruction,
    InstructionAck,
    LiveEvent,
)
from models.cryoem.processing_tables import (
    HoleGroupMember,
    Measurement,
)
from models.cryoem.weight_tables import ModelWeightHistory
from models.deliveries import Delivery
from models.drain import Drain
from models.inbox import InboxMessage
from models.outbox import OutboxMessage
from models.retention import conditions
from models.retention.conditions import Reckoning, before
from models.retention.tables import SessionRemoval
from models.visibility.owners import SessionOwner


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


#: In the order in which they are applied. What refers to something goes before it; but what is
#: deleted once nothing refers to it goes first, and so a run later, or the counts would be wrong.
RULES: Final = (
    Rule(SessionOwner, "owners of what is gone", Age.SESSIONS, conditions.owner_of_nothing),
    Rule(AgentSession, "agents' sessions", Age.SESSIONS, conditions.agent_at_nothing),
    Rule(
        AgentConnection,
        "silent streams closed",
        Age.CONNECTIONS,
        conditions.silent,
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
            conditions.old_instruction(of),
            conditions.acknowledged(),
            ~conditions.is_archived(col(Instruction.payload)),
        ),
        lambda of: {"payload": conditions.archived(of.now), "evidence": [], "extra": None},
        operation=Operation.INSTRUCTIONS,
    ),
    Rule(
        Instruction,
        "instructions without acknowledgement",
        Age.INSTRUCTIONS,
        lambda of: and_(conditions.old_instruction(of), ~conditions.acknowledged()),
        operation=Operation.INSTRUCTIONS,
    ),
    Rule(
        InstructionAck,
        "acknowledgements",
        Age.ACKNOWLEDGEMENTS,
        conditions.old_acknowledgement,
    ),
    Rule(AgentConnection, "closed streams", Age.INSTRUCTIONS, conditions.closed),
    Rule(AgentLog, "lines of agents' logs", Age.LOGS, conditions.old_line),
    Rule(LiveEvent, "events of the live stream", Age.NEWS, conditions.old_news),
    Rule(InboxMessage, "messages that came in", Age.MESSAGES, conditions.messages_in),
    Rule(OutboxMessage, "messages that left", Age.MESSAGES, conditions.messages_out),
    Rule(Drain, "keys that nobody works on", Age.MESSAGES, conditions.idle),
    Rule(Prediction, "predictions replaced", Age.HISTORY, conditions.replaced_prediction),
    Rule(Measurement, "measurements replaced", Age.HISTORY, conditions.replaced_measurement),
    Rule(ModelWeightHistory, "former weights", Age.HISTORY, conditions.old_weight),
    Rule(HoleGroupMember, "former members of groups", Age.HISTORY, conditions.replaced_member),
    Rule(RefreshToken, "refresh tokens", Age.SIGN_INS, conditions.token_run_out),
    Rule(Login, "sign-ins", Age.SIGN_INS, before(col(Login.expires_at), Age.SIGN_INS)),
    Rule(Answer, "answers", Age.REPEATS, before(col(Answer.answered_at), Age.REPEATS)),
    Rule(Delivery, "deliveries", Age.REPEATS, before(col(Delivery.stored_at), Age.REPEATS)),
    Rule(AuditEntry, "who changed what", Age.AUDIT, conditions.old_audit),
    Rule(
        SessionRemoval,
        "notes of deleted sessions",
        Age.AUDIT,
        before(col(SessionRemoval.ended_at), Age.AUDIT),
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
