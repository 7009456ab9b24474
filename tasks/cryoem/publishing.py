"""Publish messages of ours from the outbox: each at least once, under an id that stays."""

import json
import logging
from dataclasses import dataclass
from uuid import UUID

from prefect import task
from prefect.runtime import flow_run
from sqlalchemy import select
from sqlmodel import Session, col

from blocks.resources import Resources, current
from core.clock import utcnow
from core.errors import BrokerOutcomeUnknown, BrokerUnavailable, ConfigurationError
from messaging.rabbitmq.port import Outgoing
from models import drain, outbox
from models.cryoem.emitted import PUBLISH
from models.drain import DrainLease
from models.outbox import OutboxMessage
from models.work import Lease, claim, claimable
from tasks.draining import Drained, drain_key
from tasks.retrying import RETRIES

logger = logging.getLogger(__name__)

#: Most messages on their way at once.
_AT_ONCE = 1_000


@dataclass(frozen=True)
class _Batch:
    """Claimed messages."""

    lease: Lease
    rows: list[OutboxMessage]


class Publishing:
    """One batch of messages: published, and marked as sent once the broker has them."""

    def __init__(self, here: Resources, key: str, flow_run_id: str | None) -> None:
        """Take whose messages to publish."""
        self.drained = Drained()
        self._here = here
        self._key = key
        self._flow_run_id = flow_run_id

    async def __call__(self, lease: DrainLease) -> int:
        """Publish one batch; return how many messages it had."""
        here = self._here
        if not await here.database.read(self.has_work):
            return 0
        batch = await here.database.write(self._claim, lease)
        if not batch.rows:
            return 0
        try:
            await here.publish([_outgoing(row) for row in batch.rows])
        except BrokerOutcomeUnknown as error:
            # Published again under the same ids: who consumes them drops repeats.
            await here.database.write(self._settle, batch, error.confirmed, str(error), True)
            raise
        except (BrokerUnavailable, ConfigurationError) as error:
            await here.database.write(self._settle, batch, frozenset[str](), str(error), False)
            raise
        every = frozenset(str(row.id) for row in batch.rows)
        await here.database.write(self._settle, batch, every, "", False)
        self.drained.batches += 1
        return len(batch.rows)

    def has_work(self, session: Session) -> bool:
        """Return whether a message could be published now."""
        statement = select(col(OutboxMessage.seq)).where(
            claimable(OutboxMessage, utcnow(), outbox.FOR_EVER),
            col(OutboxMessage.flow) == PUBLISH,
            col(OutboxMessage.key) == self._key,
        )
        return session.scalar(statement.limit(1)) is not None

    def _claim(self, session: Session, lease: DrainLease) -> _Batch:
        seconds = self._here.settings.worker.lease_seconds
        now = utcnow()
        drain.hold(session, lease, now=now, lease_seconds=seconds)
        claimed, rows = claim(
            session,
            OutboxMessage,
            col(OutboxMessage.flow) == PUBLISH,
            col(OutboxMessage.key) == self._key,
            holder=lease.holder,
            now=now,
            lease_seconds=seconds,
            limit=_AT_ONCE,
            max_attempts=outbox.FOR_EVER,
        )
        return _Batch(claimed, rows)

    def _settle(
        self,
        session: Session,
        batch: _Batch,
        confirmed: frozenset[str],
        reason: str,
        in_doubt: bool,
    ) -> None:
        """Mark what the broker has as sent, and give the rest back."""
        now = utcnow()
        sent = [row for row in batch.rows if str(row.id) in confirmed]
        left = [row for row in batch.rows if str(row.id) not in confirmed]
        outbox.mark_sent(session, sent, batch.lease, now=now, flow_run_id=self._flow_run_id)
        outbox.release(
            session,
            left,
            batch.lease,
            reason=reason,
            undo_attempt=not in_doubt,
            available_at=now,
        )
        self.drained.messages += len(sent)
        for row in sent:
            self.drained.count(row.subject, 1)
        logger.info(
            "Published %d messages, %d left",
            len(sent),
            len(left),
            extra={"action": "messages_published", "domain": "cryoem", "key": self._key},
        )


def _outgoing(row: OutboxMessage) -> Outgoing:
    return Outgoing(
        id=str(row.id),
        routing_key=row.subject,
        body=json.dumps(row.payload, separators=(",", ":")).encode(),
    )


@task(name="publish messages", **RETRIES)
async def drain_messages(grid_uuid: UUID, *, linger_seconds: float | None = None) -> Drained:
    """Publish the grid's messages as they are written."""
    here = current()
    publishing = Publishing(here, str(grid_uuid), flow_run.id)
    publishing.drained.ran = await drain_key(
        here,
        flow=PUBLISH,
        key=str(grid_uuid),
        step=publishing,
        has_work=publishing.has_work,
        linger_seconds=linger_seconds,
    )
    return publishing.drained
