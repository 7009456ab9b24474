"""Send decisions from the outbox to Athena: each once, whatever happens on the way."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from prefect import task
from prefect.runtime import flow_run
from sqlalchemy import select
from sqlmodel import Session, col

from blocks.resources import Resources, current
from core.clock import utcnow
from core.errors import (
    AthenaConflict,
    AthenaError,
    AthenaNotFound,
    AthenaOutcomeUnknown,
    AthenaRejected,
)
from models import drain, outbox
from models.athena import DecisionRecord, DecisionType, PluginType
from models.cryoem import athena, decisions
from models.cryoem.decisions import SUBMIT, Unsent
from models.drain import DrainLease
from models.outbox import OutboxMessage
from models.sql import chunks
from models.work import Lease, claim, claimable
from tasks.cryoem import measuring
from tasks.cryoem.areas import reconcile
from tasks.dead_letters import dead_letters
from tasks.draining import Drained, drain_key
from tasks.retrying import RETRIES

#: Area ids in one question about unknown outcomes: they travel in the address.
_IDS_PER_QUESTION = 200

#: When to look again at a decision whose holes Athena does not know; registering rings earlier.
_UNTIL_REGISTERED = timedelta(seconds=5)

SUBMITTED = "athanor.cryoem.decision.submitted"


@dataclass
class _Batch:
    """Claimed decisions that are not sent yet, and which of them are on their way."""

    lease: Lease
    rows: dict[UUID, OutboxMessage]
    unsent: dict[UUID, Unsent]
    in_flight: set[UUID] = field(default_factory=set)


class Submission:
    """One batch of decisions: asked about where an earlier try ended in doubt, then sent."""

    def __init__(self, here: Resources, grid: UUID, flow_run_id: str | None) -> None:
        """Take whose decisions to send."""
        self.drained = Drained()
        self._here = here
        self._grid = grid
        self._flow_run_id = flow_run_id

    async def __call__(self, lease: DrainLease) -> int:
        """Send one batch; return how many decisions it had."""
        here = self._here
        if not await here.database.read(self.has_work):
            return 0
        session = await here.database.read(athena.get_session, self._grid)
        if session is None:
            return 0
        batch = await here.database.write(self._claim, lease)
        measuring.claimed(list(batch.rows.values()))
        try:
            await self._deliver(session.session_id, batch)
        except AthenaError as error:
            await here.database.write(self._give_back, batch, error)
            measuring.postponed([batch.unsent[ident].decision_type for ident in batch.rows])
            if isinstance(error, AthenaConflict | AthenaNotFound):
                # It does not know the session or an area: it is told again, then we try again.
                await reconcile(here, self._grid)
            raise
        self.drained.batches += 1
        return len(batch.unsent)

    def has_work(self, session: Session) -> bool:
        """Return whether a decision could be sent now."""
        statement = select(col(OutboxMessage.seq)).where(
            claimable(OutboxMessage, utcnow(), outbox.FOR_EVER), decisions.sendable(self._grid)
        )
        return session.scalar(statement.limit(1)) is not None

    def _claim(self, session: Session, lease: DrainLease) -> _Batch:
        settings = self._here.settings
        now = utcnow()
        drain.hold(session, lease, now=now, lease_seconds=settings.worker.lease_seconds)
        claimed, rows = claim(
            session,
            OutboxMessage,
            decisions.sendable(self._grid),
            holder=lease.holder,
            now=now,
            lease_seconds=settings.worker.lease_seconds,
            limit=settings.athena.bulk_size,
            max_attempts=outbox.FOR_EVER,
        )
        unsent = decisions.as_sent(session, rows)
        outbox.release(
            session,
            [row for row in rows if row.id not in unsent],
            claimed,
            reason="waits for its holes to be registered as areas",
            undo_attempt=True,
            available_at=now + _UNTIL_REGISTERED,
        )
        return _Batch(claimed, {row.id: row for row in rows if row.id in unsent}, unsent)

    async def _deliver(self, session_id: UUID, batch: _Batch) -> None:
        doubtful = [row.id for row in batch.rows.values() if row.attempts > 0]
        arrived = await self._arrived(session_id, [batch.unsent[ident] for ident in doubtful])
        await self._sent(batch, sorted(arrived, key=str), "found at Athena", None)
        # One request per kind: sent one by one, the microscope would act on the first.
        by_kind: dict[str, list[UUID]] = {}
        for ident in batch.rows:
            by_kind.setdefault(batch.unsent[ident].decision_type, []).append(ident)
        for idents in by_kind.values():
            await self._post(session_id, batch, idents)

    async def _arrived(self, session_id: UUID, doubtful: Sequence[Unsent]) -> set[UUID]:
        """Return which decisions Athena has, of those whose sending had no known end."""
        found: set[UUID | None] = set()
        for part in chunks(sorted({one.area_id for one in doubtful}), _IDS_PER_QUESTION):
            found |= {one.id for one in await self._here.athena.find_decisions(session_id, part)}
        return {one.id for one in doubtful} & found

    async def _post(self, session_id: UUID, batch: _Batch, idents: Sequence[UUID]) -> None:
        records = [_record(session_id, batch.unsent[ident]) for ident in idents]
        batch.in_flight = set(idents)
        asked_at = utcnow()
        try:
            if len(records) == 1:
                await self._here.athena.post_decision(records[0])
            else:
                await self._here.athena.post_decisions(records)
        except AthenaRejected as error:
            if len(records) == 1:
                row, kind = batch.rows[idents[0]], batch.unsent[idents[0]].decision_type
                await self._here.database.write(self._bury, batch, idents[0], str(error))
                measuring.refused(kind, row, str(error))
                told = dead_letters(1, message_id=str(row.id), kind=row.kind, reason=str(error))
                self._here.emit(*told)
                return
            middle = len(idents) // 2
            await self._post(session_id, batch, idents[:middle])
            await self._post(session_id, batch, idents[middle:])
            return
        await self._sent(batch, idents, batch.unsent[idents[0]].decision_type, asked_at)

    async def _sent(
        self, batch: _Batch, idents: Sequence[UUID], note: str, asked_at: datetime | None
    ) -> None:
        if not idents:
            return
        rows = [batch.rows[ident] for ident in idents]
        now = utcnow()
        await self._here.database.write(
            outbox.mark_sent,
            rows,
            batch.lease,
            now=now,
            flow_run_id=self._flow_run_id,
        )
        for ident in idents:
            del batch.rows[ident]
        batch.in_flight = set()
        self.drained.messages += len(idents)
        self.drained.count(note, len(idents))
        kinds = {ident: batch.unsent[ident].decision_type for ident in idents}
        measuring.sent(rows, kinds, note, asked_at=asked_at, now=now)
        self._here.emit(
            SUBMITTED,
            f"athanor.grid.{self._grid}",
            {"grid_uuid": str(self._grid), "decisions": str(len(idents))},
        )

    def _bury(self, session: Session, batch: _Batch, ident: UUID, reason: str) -> None:
        outbox.bury(session, batch.rows.pop(ident), batch.lease, reason=reason)
        self.drained.dead += 1

    @staticmethod
    def _give_back(session: Session, batch: _Batch, error: AthenaError) -> None:
        """Return what was not sent; what may have arrived counts as tried, to be asked about."""
        in_doubt = batch.in_flight if isinstance(error, AthenaOutcomeUnknown) else set()
        for doubted in (True, False):
            rows = [row for ident, row in batch.rows.items() if (ident in in_doubt) is doubted]
            outbox.release(
                session,
                rows,
                batch.lease,
                reason=str(error),
                undo_attempt=not doubted,
                available_at=utcnow(),
            )


def _record(session_id: UUID, unsent: Unsent) -> DecisionRecord:
    return DecisionRecord(
        session_id=session_id,
        area_id=unsent.area_id,
        decision_type=DecisionType(unsent.decision_type),
        plugin_type=PluginType(unsent.plugin_type),
        id=unsent.id,
        decision_value=unsent.value,
        decided_by=unsent.decided_by,
        details=unsent.details,
        timestamp=unsent.made_at,
    )


@task(name="send decisions to Athena", **RETRIES)
async def drain_decisions(grid_uuid: UUID, *, linger_seconds: float | None = None) -> Drained:
    """Send the grid's decisions as they are made."""
    here = current()
    submission = Submission(here, grid_uuid, flow_run.id)
    submission.drained.ran = await drain_key(
        here,
        flow=SUBMIT,
        key=str(grid_uuid),
        step=submission,
        has_work=submission.has_work,
        linger_seconds=linger_seconds,
    )
    return submission.drained
