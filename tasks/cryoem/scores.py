"""Make a grid's scores, order and selections anew, once for however many ask for it."""

from collections.abc import Sequence
from datetime import timedelta
from time import monotonic
from uuid import UUID

from prefect import task
from prefect.runtime import flow_run
from sqlmodel import Session

from blocks.resources import Resources, current
from core.clock import utcnow
from core.errors import MessageRejected
from domains.cryoem.planners import PlannerName
from models import drain, inbox
from models.cryoem import athena, messages, refreshing, wanting
from models.cryoem.decisions import SUBMIT
from models.cryoem.intake import AREAS, SCORES
from models.cryoem.lookup import grids_of
from models.cryoem.messages import Entity, RefreshPredictions
from models.cryoem.refreshing import Prepared, Refreshed, Ways
from models.drain import DrainLease
from models.inbox import Missing, Received
from tasks.cryoem.instruct_from_decisions import Instructed, instruct
from tasks.draining import Drained, drain_key
from tasks.inbox import InboxStep, Outcome
from tasks.retrying import RETRIES
from tasks.ringing import Bell, ring

#: Between two refreshes of a grid a run rests so many times as long as the last one took.
_PAUSE = 9.0


class RefreshHandler:
    """Refreshes one grid: at once when it is asked to, and not again too soon."""

    def __init__(self, here: Resources, grid: UUID, flow_run_id: str | None) -> None:
        """Take the grid, and the run that decisions will name."""
        self._here = here
        self._grid = grid
        self._flow_run_id = flow_run_id
        #: Whether anybody asked for what this run is to do.
        self._asked = False
        #: The monotonic time before which this run does not refresh again.
        self._rests_until = 0.0

    def __call__(self, session: Session, batch: Sequence[Received]) -> Outcome:
        """Take note of messages that ask for a refresh, as the whole batch asks for the same."""
        for message in batch:
            if not isinstance(messages.parse_json(message.text), RefreshPredictions):
                raise MessageRejected(f"event_type: {message.kind} asks for no refresh")
        if not self._is_known(session):
            inbox.before_waiting(session)
            if not self._is_known(session):
                grid = str(self._grid)
                return Outcome(waiting=[Missing(message, "grid", grid) for message in batch])
        wanting.want(session, [self._grid], now=utcnow())
        return Outcome(done=list(batch))

    def _is_known(self, session: Session) -> bool:
        return bool(grids_of(session, {Entity.GRID: [self._grid]}))

    def is_wanted(self, session: Session) -> bool:
        """Return whether the grid is still to be refreshed."""
        return wanting.is_wanted(session, self._grid)

    async def refresh_in_turn(self, lease: DrainLease, drained: Drained) -> float | None:
        """Refresh if it is asked for and its turn; say in how many seconds to look again.

        A run that nobody asked for, an event's or a person's, asks itself.
        """
        database = self._here.database
        plan = await database.read(wanting.plan_of, self._grid)
        if plan.refresh_wanted_at is None:
            if self._asked or not await database.read(self._is_known):
                return None
            await database.write(wanting.want, [self._grid], now=utcnow())
        self._asked = True
        wait = self._rests_until - monotonic()
        if plan.refreshed_at is not None:
            pause = timedelta(seconds=self._here.settings.decisions.refresh_seconds)
            wait = max(wait, (plan.refreshed_at + pause - utcnow()).total_seconds())
        if wait > 0:
            return wait
        await self._refresh(lease, drained)
        return None

    async def _refresh(self, lease: DrainLease, drained: Drained) -> None:
        here, began = self._here, monotonic()
        ways = _ways(here)
        prepared = await here.database.read(refreshing.prepare, self._grid, ways, now=utcnow())
        done, bells, instructed = await here.database.write(self._carry_out, lease, prepared, ways)
        self._rests_until = monotonic() + _PAUSE * (monotonic() - began)
        drained.batches += 1
        drained.count("refreshes", 1)
        drained.count("scores", done.scores)
        drained.count("orders", done.orders)
        drained.count("decisions", done.orders + len(done.selections))
        drained.count("instructions", instructed.made)
        await ring(here, [*bells, *instructed.bells])
        for event in instructed.events:
            here.emit(*event)

    def _carry_out(
        self, session: Session, lease: DrainLease, prepared: Prepared, ways: Ways
    ) -> tuple[Refreshed, list[Bell], Instructed]:
        done = refreshing.carry_out(
            session, self._grid, prepared, ways, now=utcnow(), flow_run_id=self._flow_run_id
        )
        bells: list[Bell] = []
        # Also before Athena knows the grid: an order that is not told again waits for the atlas.
        new = bool(prepared.orders) and athena.allocate_atlas(session, self._grid)
        if athena.get_session(session, self._grid):
            if done.orders or done.selections:
                bells.append((SUBMIT, str(self._grid)))
            if new:
                bells.append((AREAS, str(self._grid)))
        # Late: whoever rings waits for this row.
        drain.hold(
            session,
            lease,
            now=utcnow(),
            lease_seconds=self._here.settings.worker.lease_seconds,
        )
        instructed = instruct(
            session, self._here.settings, done.selections, flow_run_id=self._flow_run_id
        )
        return done, bells, instructed


def _ways(here: Resources) -> Ways:
    chosen = here.settings.decisions
    return Ways(
        here.policy,
        PlannerName(chosen.planner),
        ctf_cutoff=chosen.ctf_cutoff,
        order_holes=chosen.order_holes,
        session_hours=chosen.session_hours,
    )


@task(name="refresh scores and order", **RETRIES)
async def drain_refreshes(grid_uuid: UUID, *, linger_seconds: float | None = None) -> Drained:
    """Refresh the grid, for those who ask meanwhile too."""
    here = current()
    return await refresh_grid(
        here, grid_uuid, flow_run_id=flow_run.id, linger_seconds=linger_seconds
    )


async def refresh_grid(
    here: Resources,
    grid: UUID,
    *,
    flow_run_id: str | None,
    linger_seconds: float | None = None,
) -> Drained:
    """Take the messages that ask for a refresh, and refresh in turn until nobody asks."""
    handler = RefreshHandler(here, grid, flow_run_id)
    step = InboxStep(here, SCORES, str(grid), handler, flow_run_id)
    step.drained.ran = await drain_key(
        here,
        flow=SCORES,
        key=str(grid),
        step=step,
        has_work=lambda session: step.has_work(session) or handler.is_wanted(session),
        idle=lambda lease: handler.refresh_in_turn(lease, step.drained),
        linger_seconds=linger_seconds,
    )
    return step.drained
