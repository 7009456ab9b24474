"""Record predictions and decide on them, in one transaction per batch."""

from collections.abc import Sequence
from uuid import UUID

from prefect import task
from prefect.runtime import flow_run
from sqlmodel import Session

from blocks.resources import Resources, current
from core.clock import utcnow
from core.errors import MessageRejected
from models.cryoem import decisions, messages, predictions
from models.cryoem.decisions import SUBMIT
from models.cryoem.intake import PREDICTIONS
from models.cryoem.messages import Prediction
from models.drain import DrainLease
from models.inbox import InboxMessage
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

    def __call__(self, session: Session, batch: Sequence[InboxMessage]) -> Outcome:
        """Record and decide."""
        items = [(message, self._parse(message)) for message in batch]
        recorded = predictions.record(session, items)
        made = self.decide(session, recorded.squares, recorded.squares_of_holes)
        return Outcome(
            done=recorded.done,
            waiting=recorded.waiting,
            bells=[(SUBMIT, str(self._grid))] if made else [],
            notes={"predictions": recorded.values, "decisions": made},
        )

    def decide(self, session: Session, squares: set[UUID], squares_of_holes: set[UUID]) -> int:
        """Decide on squares, and on those that have waited long enough; return how many."""
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
        return len(made)

    async def decide_overdue(self, _lease: DrainLease, drained: Drained) -> float | None:
        """Decide squares whose predictions have fallen silent; say when to look again."""
        if not await self._here.database.read(decisions.has_undecided, self._grid):
            return None
        made = await self._here.database.write(self.decide, set(), set())
        drained.count("decisions", made)
        if made:
            await ring(self._here, [(SUBMIT, str(self._grid))])
        if await self._here.database.read(decisions.has_undecided, self._grid):
            return max(self._here.settings.decisions.settle_seconds / 2, 0.05)
        return None

    @staticmethod
    def _parse(message: InboxMessage) -> Prediction:
        parsed = messages.parse(message.payload)
        if not isinstance(parsed, Prediction):
            raise MessageRejected(f"event_type: {message.kind} is no prediction")
        return parsed


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
