"""Record predictions and decide on them, in one transaction per batch."""

from collections.abc import Sequence
from contextlib import nullcontext
from uuid import UUID

from prefect import task
from prefect.runtime import flow_run
from sqlmodel import Session

from blocks.resources import Resources, current
from core.clock import utcnow
from models import inbox
from models.cryoem import decisions, messages, predictions, wanting
from models.cryoem.intake import PREDICTIONS, SCORES
from models.cryoem.model_news import absorb
from models.cryoem.predictions import Owners, Recorded
from models.drain import DrainLease
from models.inbox import Received
from tasks.cryoem.deciding import Decided, decided
from tasks.cryoem.instruct_from_decisions import Instructed, instruct
from tasks.draining import Drained
from tasks.inbox import Outcome, drain_inbox
from tasks.retrying import RETRIES
from tasks.ringing import ring


class PredictionHandler:
    """Stores a batch of predictions of one grid and decides what they allow to decide."""

    def __init__(self, here: Resources, grid: UUID, flow_run_id: str | None) -> None:
        """Take the grid, and the run that decisions will name."""
        self._here = here
        self._grid = grid
        self._flow_run_id = flow_run_id
        #: Squares whose holes were predicted since the last decisions.
        self._undecided: set[UUID] = set()
        #: Where squares and holes belong, as far as it was asked.
        self._owners: Owners = {}

    def __call__(self, session: Session, batch: Sequence[Received]) -> Outcome:
        """Record and decide."""
        items = [(message, messages.parse_json(message.text)) for message in batch]
        told = absorb(session, items, self._grid, now=utcnow())
        recorded = predictions.record(session, told.predictions, owners=self._owners)
        made = self._decide_in_turn(session, recorded, full=self._is_full(batch))
        # Late, so that a refresh waits for this row no longer than it must.
        wanting.want(session, recorded.grids, now=utcnow())
        instructed = self._instruct(session, made)
        return Outcome(
            done=told.done + recorded.done,
            waiting=told.waiting + recorded.waiting,
            bells=[
                *((flow, str(self._grid)) for flow in told.woken),
                *made.bells,
                *((SCORES, str(grid)) for grid in sorted(recorded.grids)),
                *instructed.bells,
            ],
            notes={
                **told.notes,
                "predictions": recorded.values,
                "decisions": made.made,
                **({"instructions": instructed.made} if instructed.made else {}),
            },
            events=list(instructed.events),
        )

    def _is_full(self, batch: Sequence[Received]) -> bool:
        """Return whether more messages are likely to wait behind this batch."""
        return inbox.is_full(batch, limit=self._here.settings.worker.batch_size)

    def _decide_in_turn(self, session: Session, recorded: Recorded, *, full: bool) -> Decided:
        """Decide at once, unless predictions pile up: then a fifth of the time is for decisions.

        A square's decision looks at all its holes. Made anew for each batch that touches
        the square, decisions would hold up the predictions that they are to rest on.
        """
        self._undecided |= recorded.squares_of_holes
        pace = self._here.decision_pace
        if full and pace.rests():
            decisions.postpone(session, recorded.squares_of_holes, utcnow())
            if not recorded.squares:
                return Decided()
            return self.decide(session, recorded.squares, set())
        with pace.working() if full else nullcontext():
            made = self.decide(session, recorded.squares, self._undecided)
        # Lost with a transaction that fails, they are found again by their postponement.
        self._undecided = set()
        return made

    def decide(self, session: Session, squares: set[UUID], squares_of_holes: set[UUID]) -> Decided:
        """Decide on squares, and on those that have waited long enough."""
        made = decisions.decide(
            session,
            self._grid,
            squares=squares,
            squares_of_holes=squares_of_holes,
            policy=self._here.policy,
            settle_seconds=self._here.settings.decisions.settle_seconds,
            now=utcnow(),
            flow_run_id=self._flow_run_id,
        )
        return decided(session, made)

    def _instruct(self, session: Session, made: Decided) -> Instructed:
        return instruct(
            session, self._here.settings, made.selections, flow_run_id=self._flow_run_id
        )

    def _decide_overdue(self, session: Session) -> tuple[Decided, Instructed]:
        made = self.decide(session, set(), set())
        return made, self._instruct(session, made)

    async def decide_overdue(self, _lease: DrainLease, drained: Drained) -> float | None:
        """Decide squares whose predictions have fallen silent; say when to look again."""
        if not await self._here.database.read(decisions.has_undecided, self._grid):
            return None
        made, instructed = await self._here.database.write(self._decide_overdue)
        drained.count("decisions", made.made)
        drained.count("instructions", instructed.made)
        await ring(self._here, [*made.bells, *instructed.bells])
        for event in instructed.events:
            self._here.emit(*event)
        if await self._here.database.read(decisions.has_undecided, self._grid):
            return max(self._here.settings.decisions.settle_seconds / 2, 0.05)
        return None


@task(name="record predictions and decide", **RETRIES)
async def drain_predictions(grid_uuid: UUID, *, linger_seconds: float | None = None) -> Drained:
    """Record the grid's predictions as they come in, and decide on them."""
    here = current()
    handler = PredictionHandler(here, grid_uuid, flow_run.id)
    return await drain_inbox(
        here,
        flow=PREDICTIONS,
        key=str(grid_uuid),
        handler=handler,
        flow_run_id=flow_run.id,
        idle=handler.decide_overdue,
        linger_seconds=linger_seconds,
    )
