"""Put what the agent read into the tables, and end sessions."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from prefect import task
from prefect.runtime import flow_run
from sqlmodel import Session

from blocks.resources import current
from core.clock import utcnow
from core.errors import MessageRejected
from domains.cryoem import ids
from models import inbox
from models.cryoem import athena, completeness, lifecycle, messages, session_life
from models.cryoem.emitted import Emitted, emit_all
from models.cryoem.entities import apply_epu
from models.cryoem.instructions import live
from models.cryoem.intake import AREAS
from models.cryoem.messages import (
    EpuAtlasMessage,
    EpuImageMessage,
    EpuMessage,
    EpuSquareMessage,
    GridRegistered,
    LifeCycle,
    SessionEndedMessage,
    SquareRegistered,
)
from models.drain import DrainLease
from models.inbox import Received
from tasks.cryoem.areas import push_areas
from tasks.dead_letters import Event
from tasks.draining import Drained
from tasks.inbox import Outcome, drain_inbox
from tasks.retrying import RETRIES
from tasks.ringing import Bell

#: Events that automations in prefect.yaml act on.
DISCOVERED = "athanor.cryoem.session.discovered"
ENDED = "athanor.cryoem.session.ended"
REGISTERED = "athanor.cryoem.grid.registered"


class EntityHandler:
    """Upserts what files and events tell of a grid; wakes what waited for the new."""

    def __init__(self, grid: UUID, *, publish: bool) -> None:
        """Take the grid, and whether to tell the facility's broker what is complete."""
        self._grid = grid
        self._publish = publish

    def __call__(self, session: Session, batch: Sequence[Received]) -> Outcome:
        """Handle a batch: files first, as events may be about what they show."""
        now = utcnow()
        parsed = [(message, messages.parse_json(message.text)) for message in batch]
        outcome = Outcome()
        files = [(message, one) for message, one in parsed if isinstance(one, EpuMessage)]
        if files:
            outcome.add(self._store(session, files, now))
        events = [(message, one) for message, one in parsed if isinstance(one, LifeCycle)]
        if events:
            lived = lifecycle.apply(session, events, now=now)
            outcome.done += lived.done
            outcome.waiting += lived.waiting
            outcome.bells += self._wake(session, lived.new, now)
            outcome.notes["events of entities"] = len(lived.done)
        told = [
            (message, one)
            for message, one in parsed
            if isinstance(one, GridRegistered | SquareRegistered)
        ]
        if told:
            complete = completeness.apply(session, told, now=now)
            outcome.done += complete.done
            outcome.waiting += complete.waiting
            outcome.events += [about(REGISTERED, grid) for grid in complete.grids]
        outcome.done += [message for message, one in parsed if isinstance(one, SessionEndedMessage)]
        left = len(batch) - len(outcome.done) - len(outcome.waiting)
        if left:
            raise MessageRejected(f"event_type: {left} messages tell of no entity")
        _end_or_reopen(session, [one for _, one in parsed], outcome)
        if outcome.done:
            outcome.news = live.grid_changed(session, self._grid)
        return outcome

    def _store(
        self, session: Session, files: Sequence[tuple[Received, EpuMessage]], now: datetime
    ) -> Outcome:
        said = [one for _, one in files]
        applied = apply_epu(session, said, now=now, seqs=[message.seq for message, _ in files])
        outcome = Outcome(done=[message for message, _ in files])
        outcome.notes = {name: count.new for name, count in applied.counts.items() if count.new}
        new = (*applied.new_grids, *applied.new_areas, *applied.new_others)
        outcome.bells = self._wake(session, new, now)
        outcome.events = [about(DISCOVERED, grid) for grid in applied.new_grids]
        told: list[Emitted] = []
        listed = {
            ids.square_uuid(one.grid_uuid, one.manifest.square_id): len(one.manifest.holes)
            for one in said
            if isinstance(one, EpuSquareMessage) and one.manifest.holes
        }
        squares = {applied.names.get(uuid, uuid): count for uuid, count in listed.items()}
        for square in completeness.note_holes(session, squares, now=now):
            fields = {"uuid": square, "grid_uuid": self._grid, "count": squares[square]}
            told.append(Emitted("gridsquare.registered", fields, str(self._grid)))
        if not all(isinstance(one, EpuImageMessage) for one in said) and completeness.note_squares(
            session, self._grid, now=now
        ):
            outcome.events.append(about(REGISTERED, self._grid))
            told.append(Emitted("grid.registered", {"grid_uuid": self._grid}, str(self._grid)))
        outcome.bells += emit_all(session, told, publish=self._publish)
        return outcome

    def _wake(self, session: Session, new: Sequence[UUID], now: datetime) -> list[Bell]:
        grid = str(self._grid)
        known = [str(one) for one in new]
        return [(flow, grid) for flow in inbox.wake(session, known, key=grid, now=now)]


def about(event: str, grid: UUID) -> Event:
    """Return an event about a grid, for automations."""
    return event, f"athanor.grid.{grid}", {"grid_uuid": str(grid)}


def _end_or_reopen(
    session: Session, parsed: Sequence[messages.AnyMessage], outcome: Outcome
) -> None:
    """End sessions as told, and open those again that have gone on since."""
    newest: dict[UUID, datetime] = {}
    for one in parsed:
        # An atlas belongs to several sessions.
        if isinstance(one, EpuMessage) and not isinstance(one, EpuAtlasMessage):
            newest[one.grid_uuid] = max(one.observed_at, newest.get(one.grid_uuid, one.observed_at))
    for grid, at in newest.items():
        if session_life.reopen(session, grid, newest_file=at):
            outcome.events.append(about(DISCOVERED, grid))
    for one in parsed:
        if not isinstance(one, SessionEndedMessage):
            continue
        grid, last = one.grid_uuid, one.last_file_at
        athena.get_grid(session, grid)
        if last is not None and grid in newest and newest[grid] > last:
            # It has gone on since that was said.
            continue
        session_life.end(session, grid, at=last or utcnow(), reason=one.reason)
        outcome.events.append(about(ENDED, grid))


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
        handler=EntityHandler(grid_uuid, publish=here.settings.rabbitmq.publishes),
        flow_run_id=flow_run.id,
        idle=register,
        linger_seconds=linger_seconds,
    )
