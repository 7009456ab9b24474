"""Put what the agent read into the tables, and end sessions."""

from collections.abc import Sequence
from uuid import UUID

from prefect import task
from prefect.runtime import flow_run
from sqlalchemy import update
from sqlmodel import Session, col

from blocks.resources import current
from core.clock import utcnow
from models import inbox
from models.cryoem import athena, messages
from models.cryoem.entities import apply_epu
from models.cryoem.intake import AREAS
from models.cryoem.messages import EpuMessage, SessionEndedMessage
from models.cryoem.tables import Acquisition
from models.drain import DrainLease
from models.inbox import InboxMessage
from tasks.cryoem.areas import push_areas
from tasks.draining import Drained
from tasks.inbox import Outcome, drain_inbox
from tasks.retrying import RETRIES

#: Events that automations in prefect.yaml act on.
DISCOVERED = "athanor.cryoem.session.discovered"
ENDED = "athanor.cryoem.session.ended"


def handle(session: Session, batch: Sequence[InboxMessage]) -> Outcome:
    """Upsert entities; wake what waited for the new ones."""
    now = utcnow()
    parsed = [messages.parse(message.payload) for message in batch]
    outcome = Outcome(done=list(batch))
    files = [one for one in parsed if isinstance(one, EpuMessage)]
    if files:
        applied = apply_epu(session, files, now=now)
        outcome.notes = {name: count.new for name, count in applied.counts.items() if count.new}
        grid = str(files[0].grid_uuid)
        known = [str(area) for area in (*applied.new_grids, *applied.new_areas)]
        outcome.bells = [(flow, grid) for flow in inbox.wake(session, known, key=grid, now=now)]
        for new in applied.new_grids:
            outcome.events.append((DISCOVERED, f"athanor.grid.{new}", {"grid_uuid": str(new)}))
    for one in parsed:
        if isinstance(one, SessionEndedMessage):
            _end(session, one)
            outcome.events.append(
                (ENDED, f"athanor.grid.{one.grid_uuid}", {"grid_uuid": str(one.grid_uuid)})
            )
    return outcome


def _end(session: Session, message: SessionEndedMessage) -> None:
    _, acquisition = athena.get_grid(session, message.grid_uuid)
    session.execute(
        update(Acquisition)
        .where(col(Acquisition.uuid) == acquisition.uuid, col(Acquisition.ended_at).is_(None))
        .values(ended_at=utcnow(), end_reason=message.reason)
        .execution_options(synchronize_session=False)
    )


@task(name="store entities and register areas", **RETRIES)
async def drain_entities(grid_uuid: UUID, *, linger_seconds: float | None = None) -> Drained:
    """Store squares, holes and micrographs as their files come in, and tell Athena of areas.

    Files are stored first, so that an Athena which does not answer keeps none of them waiting.
    """
    here = current()

    async def register(_lease: DrainLease, drained: Drained) -> None:
        drained.count("areas at Athena", await push_areas(here, grid_uuid))

    return await drain_inbox(
        here,
        flow=AREAS,
        key=str(grid_uuid),
        handler=handle,
        flow_run_id=flow_run.id,
        idle=register,
        linger_seconds=linger_seconds,
    )
