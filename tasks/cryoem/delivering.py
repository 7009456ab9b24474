"""Deliver rows of the outbox to Athena in batches: each once, whatever happens on the way.

Claimed rows that were tried before are first asked about. What Athena refuses is halved until
the one at fault is found, and that is buried. What could not be sent is given back; what may
have arrived counts as tried.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlmodel import Session, col

from blocks.resources import Resources
from core.clock import utcnow
from core.errors import (
    AthenaConflict,
    AthenaError,
    AthenaNotFound,
    AthenaOutcomeUnknown,
    AthenaRejected,
)
from models import drain, outbox
from models.cryoem import athena
from models.drain import DrainLease
from models.outbox import OutboxMessage
from models.work import Lease, claim, claimable
from tasks.cryoem.areas import reconcile
from tasks.dead_letters import dead_letters
from tasks.draining import Drained, drain_key

Unsent = TypeVar("Unsent")


@dataclass
class Batch(Generic[Unsent]):
    """Claimed rows that are not sent yet, and which of them are on their way."""

    lease: Lease
    rows: dict[UUID, OutboxMessage]
    unsent: dict[UUID, Unsent]
    in_flight: set[UUID] = field(default_factory=set)


class Delivery(ABC, Generic[Unsent]):
    """Sends what one flow has to tell Athena about a grid; how is its subclasses' to say."""

    #: The deployment that works on it.
    flow: str
    #: Why a row is put off, and for how long: Athena does not know what it is about.
    waits_for: str
    waits: timedelta

    def __init__(self, here: Resources, grid: UUID, flow_run_id: str | None) -> None:
        """Take whose rows to send."""
        self.drained = Drained()
        self._here = here
        self._grid = grid
        self._flow_run_id = flow_run_id

    @abstractmethod
    def sendable(self) -> ColumnElement[bool]:
        """Return the condition of rows that are this delivery's."""

    @abstractmethod
    def as_sent(self, session: Session, rows: Sequence[OutboxMessage]) -> dict[UUID, Unsent]:
        """Return what to send for each row; one that cannot be sent yet is left out."""

    @abstractmethod
    async def arrived(self, session_id: UUID, doubtful: Mapping[UUID, Unsent]) -> set[UUID]:
        """Return what Athena has, of that whose sending had no known end."""

    def groups(self, unsent: Mapping[UUID, Unsent]) -> Iterable[Sequence[UUID]]:
        """Return what goes into one request each."""
        return [list(unsent)]

    @abstractmethod
    async def post(self, session_id: UUID, unsent: Sequence[Unsent]) -> None:
        """Send at least one."""

    @abstractmethod
    def tell_claimed(self, rows: Sequence[OutboxMessage]) -> None:
        """Count rows that are about to be sent."""

    def tell_postponed(self, unsent: Iterable[Unsent]) -> None:
        """Count what was given back for a later try."""

    @abstractmethod
    def tell_sent(
        self,
        sent: Sequence[tuple[OutboxMessage, Unsent]],
        *,
        asked_at: datetime | None,
        now: datetime,
    ) -> str:
        """Count and say what Athena has now; return as what the run's artifact counts it.

        Args:
            sent: The rows, and what they told.
            asked_at: When it was sent; None when an earlier try had arrived.
            now: When Athena had answered.
        """

    @abstractmethod
    def tell_refused(self, row: OutboxMessage, unsent: Unsent, reason: str) -> None:
        """Count and say that Athena will never take it."""

    async def drain(self, *, linger_seconds: float | None) -> Drained:
        """Send the grid's rows as they are made."""
        self.drained.ran = await drain_key(
            self._here,
            flow=self.flow,
            key=str(self._grid),
            step=self,
            has_work=self.has_work,
            linger_seconds=linger_seconds,
        )
        return self.drained

    async def __call__(self, lease: DrainLease) -> int:
        """Send one batch; return how many rows it had."""
        here = self._here
        if not await here.database.read(self.has_work):
            return 0
        session = await here.database.read(athena.get_session, self._grid)
        if session is None:
            return 0
        batch = await here.database.write(self._claim, lease)
        if not batch.rows:
            return 0
        number = len(batch.rows)
        self.tell_claimed(list(batch.rows.values()))
        try:
            await self._deliver(session.session_id, batch)
        except AthenaError as error:
            await here.database.write(self._give_back, batch, error)
            self.tell_postponed([batch.unsent[ident] for ident in batch.rows])
            if isinstance(error, AthenaConflict | AthenaNotFound):
                # It does not know the session or an area: it is told again, then we try again.
                await reconcile(here, self._grid)
            raise
        self.drained.batches += 1
        return number

    def has_work(self, session: Session) -> bool:
        """Return whether something could be sent now."""
        statement = select(col(OutboxMessage.seq)).where(
            claimable(OutboxMessage, utcnow(), outbox.FOR_EVER), self.sendable()
        )
        return session.scalar(statement.limit(1)) is not None

    def _claim(self, session: Session, lease: DrainLease) -> Batch[Unsent]:
        settings = self._here.settings
        now = utcnow()
        drain.hold(session, lease, now=now, lease_seconds=settings.worker.lease_seconds)
        claimed, rows = claim(
            session,
            OutboxMessage,
            self.sendable(),
            holder=lease.holder,
            now=now,
            lease_seconds=settings.worker.lease_seconds,
            limit=settings.athena.bulk_size,
            max_attempts=outbox.FOR_EVER,
        )
        unsent = self.as_sent(session, rows)
        outbox.release(
            session,
            [row for row in rows if row.id not in unsent],
            claimed,
            reason=self.waits_for,
            undo_attempt=True,
            available_at=now + self.waits,
        )
        return Batch(claimed, {row.id: row for row in rows if row.id in unsent}, unsent)

    async def _deliver(self, session_id: UUID, batch: Batch[Unsent]) -> None:
        doubtful = {
            ident: batch.unsent[ident] for ident, row in batch.rows.items() if row.attempts > 0
        }
        arrived = await self.arrived(session_id, doubtful)
        await self._sent(batch, sorted(arrived, key=str), None)
        for idents in self.groups({ident: batch.unsent[ident] for ident in batch.rows}):
            if idents:
                await self._post(session_id, batch, idents)

    async def _post(self, session_id: UUID, batch: Batch[Unsent], idents: Sequence[UUID]) -> None:
        batch.in_flight = set(idents)
        asked_at = utcnow()
        try:
            await self.post(session_id, [batch.unsent[ident] for ident in idents])
        except AthenaRejected as error:
            if len(idents) == 1:
                await self._refused(batch, idents[0], str(error))
                return
            middle = len(idents) // 2
            await self._post(session_id, batch, idents[:middle])
            await self._post(session_id, batch, idents[middle:])
            return
        await self._sent(batch, idents, asked_at)

    async def _sent(
        self, batch: Batch[Unsent], idents: Sequence[UUID], asked_at: datetime | None
    ) -> None:
        if not idents:
            return
        now = utcnow()
        await self._here.database.write(
            outbox.mark_sent,
            [batch.rows[ident] for ident in idents],
            batch.lease,
            now=now,
            flow_run_id=self._flow_run_id,
        )
        sent = [(batch.rows.pop(ident), batch.unsent[ident]) for ident in idents]
        batch.in_flight = set()
        self.drained.messages += len(sent)
        self.drained.count(self.tell_sent(sent, asked_at=asked_at, now=now), len(sent))

    async def _refused(self, batch: Batch[Unsent], ident: UUID, reason: str) -> None:
        row = batch.rows[ident]
        await self._here.database.write(outbox.bury, row, batch.lease, reason=reason)
        del batch.rows[ident]
        self.drained.dead += 1
        self.tell_refused(row, batch.unsent[ident], reason)
        self._here.emit(*dead_letters(1, message_id=str(row.id), kind=row.kind, reason=reason))

    @staticmethod
    def _give_back(session: Session, batch: Batch[Unsent], error: AthenaError) -> None:
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
