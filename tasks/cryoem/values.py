"""Tell Athena what was measured: named values of holes, each once, in bulk."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from prefect import task
from prefect.runtime import flow_run
from sqlalchemy import select
from sqlmodel import Session, col

from blocks.resources import Resources, current
from core import metrics
from core.clock import utcnow
from core.errors import (
    AthenaConflict,
    AthenaError,
    AthenaNotFound,
    AthenaOutcomeUnknown,
    AthenaRejected,
)
from models import drain, outbox
from models.athena import NameValueRecord
from models.cryoem import athena, values
from models.cryoem.values import SUBMIT_VALUES, UnsentValue
from models.drain import DrainLease
from models.outbox import OutboxMessage
from models.work import Lease, claim, claimable
from tasks.cryoem.areas import reconcile
from tasks.dead_letters import dead_letters
from tasks.draining import Drained, drain_key
from tasks.retrying import RETRIES

logger = logging.getLogger(__name__)

#: When to look again at a value whose hole Athena does not know.
_UNTIL_REGISTERED = timedelta(seconds=30)


@dataclass
class _Batch:
    """Claimed values that are not sent yet, and which of them are on their way."""

    lease: Lease
    rows: dict[UUID, OutboxMessage]
    unsent: dict[UUID, UnsentValue]
    in_flight: set[UUID] = field(default_factory=set)


class ValueSubmission:
    """One batch of values: asked about where an earlier try ended in doubt, then sent."""

    def __init__(self, here: Resources, grid: UUID, flow_run_id: str | None) -> None:
        """Take whose values to send."""
        self.drained = Drained()
        self._here = here
        self._grid = grid
        self._flow_run_id = flow_run_id

    async def __call__(self, lease: DrainLease) -> int:
        """Send one batch; return how many values it had."""
        here = self._here
        if not await here.database.read(self.has_work):
            return 0
        session = await here.database.read(athena.get_session, self._grid)
        if session is None:
            return 0
        batch = await here.database.write(self._claim, lease)
        if not batch.rows:
            return 0
        metrics.BATCH_MESSAGES.labels(SUBMIT_VALUES).observe(len(batch.rows))
        number = len(batch.rows)
        try:
            await self._settle_doubtful(session.session_id, batch)
            await self._post(session.session_id, batch, list(batch.rows))
        except AthenaError as error:
            await here.database.write(self._give_back, batch, error)
            if isinstance(error, AthenaConflict | AthenaNotFound):
                # It does not know the session or an area: it is told again, then we try again.
                await reconcile(here, self._grid)
            raise
        self.drained.batches += 1
        return number

    def has_work(self, session: Session) -> bool:
        """Return whether a value could be sent now."""
        if athena.get_session(session, self._grid) is None:
            return False
        statement = select(col(OutboxMessage.seq)).where(
            claimable(OutboxMessage, utcnow(), outbox.FOR_EVER), values.of_grid(self._grid)
        )
        return session.scalar(statement.limit(1)) is not None

    def _claim(self, session: Session, lease: DrainLease) -> _Batch:
        settings = self._here.settings
        now = utcnow()
        drain.hold(session, lease, now=now, lease_seconds=settings.worker.lease_seconds)
        claimed, rows = claim(
            session,
            OutboxMessage,
            values.of_grid(self._grid),
            holder=lease.holder,
            now=now,
            lease_seconds=settings.worker.lease_seconds,
            limit=settings.athena.bulk_size,
            max_attempts=outbox.FOR_EVER,
        )
        unsent = values.as_sent(session, rows)
        outbox.release(
            session,
            [row for row in rows if row.id not in unsent],
            claimed,
            reason="waits for its hole to be registered as an area",
            undo_attempt=True,
            available_at=now + _UNTIL_REGISTERED,
        )
        return _Batch(claimed, {row.id: row for row in rows if row.id in unsent}, unsent)

    async def _settle_doubtful(self, session_id: UUID, batch: _Batch) -> None:
        """Mark as sent what Athena turns out to have of an earlier try without a known end."""
        doubtful = {row.id for row in batch.rows.values() if row.attempts > 0}
        arrived: set[UUID | None] = set()
        for name in sorted({batch.unsent[ident].name for ident in doubtful}):
            found = await self._here.athena.find_values(session_id, name=name)
            arrived |= {values.id_in(value.value) for value in found}
        await self._sent(batch, sorted(doubtful & arrived, key=str), "found at Athena")

    async def _post(self, session_id: UUID, batch: _Batch, idents: Sequence[UUID]) -> None:
        if not idents:
            return
        batch.in_flight = set(idents)
        try:
            await self._here.athena.post_values(
                [_record(session_id, batch.unsent[ident]) for ident in idents]
            )
        except AthenaRejected as error:
            if len(idents) == 1:
                await self._here.database.write(self._bury, batch, idents[0], str(error))
                return
            middle = len(idents) // 2
            await self._post(session_id, batch, idents[:middle])
            await self._post(session_id, batch, idents[middle:])
            return
        await self._sent(batch, idents, "sent")

    async def _sent(self, batch: _Batch, idents: Sequence[UUID], note: str) -> None:
        if not idents:
            return
        await self._here.database.write(
            outbox.mark_sent,
            [batch.rows[ident] for ident in idents],
            batch.lease,
            now=utcnow(),
            flow_run_id=self._flow_run_id,
        )
        for ident in idents:
            del batch.rows[ident]
        batch.in_flight = set()
        self.drained.messages += len(idents)
        self.drained.count(note, len(idents))
        logger.info(
            "Told Athena %d measured values: %s",
            len(idents),
            note,
            extra={"action": "values_sent", "domain": "cryoem", "values": len(idents)},
        )

    def _bury(self, session: Session, batch: _Batch, ident: UUID, reason: str) -> None:
        row = batch.rows.pop(ident)
        outbox.bury(session, row, batch.lease, reason=reason)
        self.drained.dead += 1
        metrics.DEAD_LETTERS.labels(SUBMIT_VALUES, "refused").inc()
        logger.warning(
            "Athena refuses value %s: %s",
            row.id,
            reason,
            extra={"action": "value_dead", "domain": "cryoem", "event_id": str(row.id)},
        )
        self._here.emit(*dead_letters(1, message_id=str(row.id), kind=row.kind, reason=reason))

    @staticmethod
    def _give_back(session: Session, batch: _Batch, error: AthenaError) -> None:
        """Return what was not sent; what may have arrived counts as tried, to be asked about."""
        in_doubt = batch.in_flight if isinstance(error, AthenaOutcomeUnknown) else set()
        for doubted in (True, False):
            outbox.release(
                session,
                [row for ident, row in batch.rows.items() if (ident in in_doubt) is doubted],
                batch.lease,
                reason=str(error),
                undo_attempt=not doubted,
                available_at=utcnow(),
            )


def _record(session_id: UUID, unsent: UnsentValue) -> NameValueRecord:
    return NameValueRecord(
        session_id=session_id,
        area_id=unsent.area_id,
        name=unsent.name,
        value=unsent.value,
        timestamp=unsent.measured_at,
        set_by="athanor",
    )


@task(name="send measured values to Athena", **RETRIES)
async def drain_values(grid_uuid: UUID, *, linger_seconds: float | None = None) -> Drained:
    """Send what was measured on the grid as it is judged."""
    here = current()
    submission = ValueSubmission(here, grid_uuid, flow_run.id)
    submission.drained.ran = await drain_key(
        here,
        flow=SUBMIT_VALUES,
        key=str(grid_uuid),
        step=submission,
        has_work=submission.has_work,
        linger_seconds=linger_seconds,
    )
    return submission.drained
