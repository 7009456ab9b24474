"""The agent channel as services: each is one transaction, counted, and told to who listens.

For the API's routes, for flows and for commands alike. Pages and streams are told by the commit
itself (`models.cryoem.instructions.live`); the facility's broker by the outbox.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

from sqlmodel import Session

from core import metrics
from core.clock import utcnow
from core.instruction_settings import InstructionSettings
from core.settings import Settings
from domains.cryoem.instructions import Mode, Status, Thresholds
from messaging.launcher import Launcher
from models.cryoem.emitted import Emitted, emit_all
from models.cryoem.instructions import acking, connections, making, sessions
from models.cryoem.instructions.acking import Line
from models.cryoem.instructions.making import NewInstruction
from models.cryoem.instructions.sessions import NewSession
from models.cryoem.instructions.tables import AgentConnection, AgentSession, Instruction
from tasks.ringing import Bell, Ringable, ring

#: The event for Prefect's automations of an agent that went offline.
OFFLINE: Final = "athanor.cryoem.agent.offline"

CREATED: Final = "agent.instruction.created"
UPDATED: Final = "agent.instruction.updated"
_EXPIRED: Final = "agent.instruction.expired"


class Instructing(Ringable, Protocol):
    """What is needed; `blocks.resources.Resources` and the API's state are such."""

    @property
    def settings(self) -> Settings:
        """Thresholds, windows, and whether messages of ours are published."""
        ...

    @property
    def launcher(self) -> Launcher | None:
        """Creates runs and emits events; None where Prefect is not used."""
        ...


def default_thresholds(settings: InstructionSettings) -> Thresholds:
    """Return from which predictions on a new session acts."""
    return Thresholds(settings.square_forward, settings.square_skip, settings.hole_forward)


async def open_session(where: Instructing, new: NewSession) -> AgentSession:
    """Open a session of an agent.

    Raises:
        NotFound, BadInput, Conflict: As `sessions.open_session`.
    """
    return await where.database.write(sessions.open_session, new, now=utcnow())


async def change_session(
    where: Instructing, ident: str, *, mode: Mode | None, thresholds: Thresholds | None
) -> AgentSession:
    """Set a session's mode and thresholds, for what is made from now on."""
    return await where.database.write(
        sessions.change, ident, mode=mode, thresholds=thresholds, now=utcnow()
    )


async def end_session(where: Instructing, ident: str) -> AgentSession:
    """End a session: its stream closes, and what was not received is cancelled."""
    return await where.database.write(sessions.end, ident, now=utcnow())


async def make(
    where: Instructing, session_id: str, new: Sequence[NewInstruction]
) -> list[Instruction]:
    """Make instructions of one session; return those whose id was not known yet.

    In a dry run they are recorded only; in semi-auto each waits for `approve` or `reject`.

    Raises:
        NotFound, Conflict: There is no such session, or it has ended.
    """

    def work(session: Session) -> tuple[list[Instruction], list[Bell]]:
        made = making.make(session, session_id, new, now=utcnow())
        return made, tell(session, CREATED, made, where.settings)

    made, bells = await where.database.write(work)
    count(made)
    await ring(where, bells)
    return made


async def approve(where: Instructing, ident: UUID, *, by: str) -> Instruction:
    """Let an instruction go that waits for a person."""

    def work(session: Session) -> tuple[Instruction, list[Bell]]:
        found = making.approve(session, ident, by=by, now=utcnow())
        return found, tell(session, UPDATED, [found], where.settings, "approved")

    return await _changed(where, work)


async def reject(
    where: Instructing, ident: UUID, *, by: str, reason: str | None = None
) -> Instruction:
    """Cancel an instruction that waits for a person."""

    def work(session: Session) -> tuple[Instruction, list[Bell]]:
        found = making.reject(session, ident, by=by, reason=reason, now=utcnow())
        return found, tell(session, UPDATED, [found], where.settings)

    return await _changed(where, work)


async def cancel(
    where: Instructing, ident: UUID, *, by: str, reason: str | None = None
) -> Instruction:
    """Call an instruction off that its agent has not received."""

    def work(session: Session) -> tuple[Instruction, list[Bell]]:
        found = making.cancel(session, ident, by=by, reason=reason, now=utcnow())
        return found, tell(session, UPDATED, [found], where.settings)

    return await _changed(where, work)


async def heartbeat(where: Instructing, *, agent_id: str, session_id: str) -> AgentConnection:
    """Note that an agent lives."""
    return await where.database.write(
        acking.heartbeat, agent_id=agent_id, session_id=session_id, now=utcnow()
    )


async def keep_log(
    where: Instructing, *, agent_id: str, session_id: str, lines: Sequence[Line]
) -> int:
    """Store lines of an agent's log; return how many there were."""
    return await where.database.write(
        acking.keep_log, agent_id=agent_id, session_id=session_id, lines=lines, now=utcnow()
    )


async def expire(where: Instructing) -> list[Instruction]:
    """Expire what is out of time; to be called every half minute or so."""
    outcome = where.settings.instructions.outcome_seconds

    def work(session: Session) -> tuple[list[Instruction], list[Bell]]:
        found = making.expire(session, now=utcnow(), outcome_seconds=outcome)
        return found, tell(session, _EXPIRED, found, where.settings)

    found, bells = await where.database.write(work)
    count(found)
    await ring(where, bells)
    return found


async def report_offline(where: Instructing, *, now: datetime | None = None) -> list[AgentSession]:
    """Find agents that are heard of no more, say of an API that was killed, and report them."""
    gone = await where.database.write(
        connections.find_offline,
        now=now or utcnow(),
        stale_seconds=where.settings.instructions.offline_seconds,
    )
    report(where, gone)
    return gone


def report(where: Instructing, gone: Sequence[AgentSession]) -> None:
    """Count agents that went offline, and tell Prefect's automations."""
    for of in gone:
        metrics.AGENTS_OFFLINE.inc()
        if where.launcher is not None:
            payload = {
                "agent_id": of.agent_id,
                "session_id": of.session_id,
                "grid_uuid": "" if of.grid_uuid is None else str(of.grid_uuid),
            }
            where.launcher.emit(OFFLINE, f"athanor.agent.{of.agent_id}", payload)


async def _changed(where: Instructing, work: Any) -> Instruction:
    found, bells = await where.database.write(work)
    count([found])
    await ring(where, bells)
    return found


def count(instructions: Sequence[Instruction]) -> None:
    """Count instructions by the state that they have got into."""
    for one in instructions:
        metrics.INSTRUCTIONS.labels(
            "held" if one.held and one.status == Status.PENDING else one.status
        ).inc()


def tell(
    session: Session,
    event_type: str,
    instructions: Sequence[Instruction],
    settings: Settings,
    what: str = "",
) -> list[Bell]:
    """Put messages about instructions in the outbox; those of no grid have no key to go by."""
    told: list[Emitted] = []
    for one in instructions:
        of = session.get(AgentSession, one.session_id)
        if of is None or of.grid_uuid is None:
            continue
        fields = {
            "instruction_id": str(one.id),
            "session_id": one.session_id,
            "agent_id": one.agent_id,
        }
        cause = f"{one.id} {what or one.status}"
        told.append(Emitted(event_type, fields, str(of.grid_uuid), cause=cause))
    return emit_all(session, told, publish=settings.rabbitmq.publishes)
