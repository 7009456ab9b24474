"""Tell agents what follows from decisions, and ask a person where one has to approve."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import select
from sqlmodel import Session, col

from core.clock import utcnow
from core.settings import Settings
from domains.cryoem.instructions import Held, Status
from domains.cryoem.policy import Selection
from models.cryoem.instructions import following
from models.cryoem.instructions.following import Followed
from models.cryoem.instructions.tables import Instruction
from tasks.cryoem import instructing
from tasks.ringing import Bell

#: The event for Prefect's automations of instructions that wait for a person; one for many.
AWAITING: Final = "athanor.cryoem.instruction.awaiting"

#: Name, resource and payload of an event.
Event = tuple[str, str, dict[str, str]]


@dataclass
class Instructed:
    """What to do after the commit of new instructions."""

    made: int = 0
    bells: list[Bell] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


def instruct(
    session: Session,
    settings: Settings,
    made: Collection[Selection],
    *,
    flow_run_id: str | None,
) -> Instructed:
    """Make the instructions that follow from decisions, in their transaction.

    Call it last: what it locks, streams and pages wait for.
    """
    done = Instructed()
    if not made:
        return done
    found = following.follow(
        session,
        made,
        expires_in=settings.instructions.expire_seconds,
        now=utcnow(),
        flow_run_id=flow_run_id,
    )
    for one in found:
        done.made += len(one.made)
        done.bells += instructing.tell(session, instructing.CREATED, one.made, settings)
        done.bells += instructing.tell(session, instructing.UPDATED, one.taken_back, settings)
        instructing.count([*one.made, *one.taken_back])
        if event := _asks(session, one):
            done.events.append(event)
    return done


def _asks(session: Session, one: Followed) -> Event | None:
    """Return the event that has a person asked, unless one is asked about earlier ones now."""
    held = [made for made in one.made if made.held == Held.APPROVAL]
    if not held:
        return None
    earlier = session.scalar(
        select(col(Instruction.id))
        .where(
            col(Instruction.session_id) == one.of.session_id,
            col(Instruction.status) == Status.PENDING,
            col(Instruction.held) == Held.APPROVAL,
            col(Instruction.sequence_number) < held[0].sequence_number,
        )
        .limit(1)
    )
    if earlier is not None:
        # `expire-instructions` asks about these once that is answered.
        return None
    payload = {"session_id": one.of.session_id, "through": str(held[-1].sequence_number)}
    return AWAITING, f"athanor.agent.{one.of.agent_id}", payload
