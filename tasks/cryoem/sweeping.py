"""The safety net: ring for whatever is stored and that nobody is at work on."""

from dataclasses import dataclass
from datetime import timedelta

from prefect import task
from sqlalchemy import select
from sqlmodel import Session, col

from blocks.resources import Resources, current
from core.clock import utcnow
from models import inbox
from models.cryoem import athena, decisions, waiting, wanting
from models.cryoem.emitted import PUBLISH
from models.cryoem.intake import AREAS, PREDICTIONS, SCORES
from models.inbox import InboxMessage
from models.outbox import FOR_EVER, OutboxMessage
from models.work import bury_exhausted, claimable
from tasks import measuring
from tasks.cryoem.areas import REGISTER_SESSION
from tasks.cryoem.sessions import CLOSE_SESSION
from tasks.dead_letters import dead_letters
from tasks.retrying import RETRIES
from tasks.ringing import Bell, ring


@dataclass(frozen=True)
class Swept:
    """What a sweep found to do."""

    bells: tuple[Bell, ...]
    buried: int
    woken: int
    launched: int = 0


@task(name="sweep", **RETRIES)
async def sweep_all() -> Swept:
    """Wake, bury and ring: what a lost ring, a crash or a closed Athena left behind."""
    here = current()
    found = await here.database.write(_look, here)
    measuring.buried(found.buried)
    if found.buried:
        reason = f"failed {here.settings.worker.max_attempts} times, or crashed its worker"
        here.emit(*dead_letters(found.buried, message_id="", kind="several", reason=reason))
    launched = await ring(here, found.bells)
    return Swept(found.bells, found.buried, found.woken, launched)


def _look(session: Session, here: Resources) -> Swept:
    now = utcnow()
    settings = here.settings
    attempts = settings.worker.max_attempts
    buried = bury_exhausted(session, InboxMessage, now=now, max_attempts=attempts)
    woken = waiting.wake_known(session, now=now)
    silent_since = now - timedelta(hours=settings.worker.idle_close_hours)
    bells = list(inbox.keys_with_work(session, now=now, max_attempts=attempts))
    bells += [
        (REGISTER_SESSION, str(grid))
        for grid in athena.grids_to_register(session, silent_since=silent_since)
    ]
    bells += [(AREAS, str(grid)) for grid in athena.grids_with_unregistered_areas(session)]
    settled = now - timedelta(seconds=settings.decisions.settle_seconds)
    bells += [(PREDICTIONS, str(g)) for g in decisions.grids_with_undecided(session, settled)]
    rested = now - timedelta(seconds=settings.decisions.refresh_seconds)
    bells += [(SCORES, str(g)) for g in wanting.grids_wanted(session, before=rested)]
    bells += _outbox_bells(session, publishes=settings.rabbitmq.publishes)
    return Swept(tuple(dict.fromkeys(bells)), buried, woken)


def _outbox_bells(session: Session, *, publishes: bool) -> list[Bell]:
    """Return what has messages to publish, or decisions for a session that Athena knows."""
    statement = (
        select(col(OutboxMessage.flow), col(OutboxMessage.key))
        .where(claimable(OutboxMessage, utcnow(), FOR_EVER))
        .distinct()
    )
    known = {str(grid) for grid in athena.registered_grids(session)}
    return [
        (flow, key)
        for flow, key in session.execute(statement)
        if (publishes if flow == PUBLISH else key in known)
    ]


@task(name="find silent sessions", **RETRIES)
async def ring_for_silent() -> int:
    """Ring `close-session` for sessions that ended or have long been silent."""
    here = current()
    silent_since = utcnow() - timedelta(hours=here.settings.worker.idle_close_hours)
    grids = await here.database.read(athena.grids_to_close, silent_since=silent_since)
    return await ring(here, [(CLOSE_SESSION, str(grid)) for grid in grids])
