"""Tell Athena what was measured: named values of holes, each once, in bulk."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from prefect import task
from prefect.runtime import flow_run
from sqlalchemy import ColumnElement
from sqlmodel import Session

from blocks.resources import current
from core import metrics
from models.athena import NameValueRecord
from models.cryoem import athena, values
from models.cryoem.values import SUBMIT_VALUES, UnsentValue
from models.outbox import OutboxMessage
from tasks.cryoem.delivering import Delivery
from tasks.draining import Drained
from tasks.retrying import RETRIES

logger = logging.getLogger(__name__)


class ValueSubmission(Delivery[UnsentValue]):
    """Delivers the values of a grid."""

    flow = SUBMIT_VALUES
    waits_for = "waits for its hole to be registered as an area"
    waits = timedelta(seconds=30)

    def sendable(self) -> ColumnElement[bool]:
        """Return the condition of a grid's values."""
        return values.of_grid(self._grid)

    def has_work(self, session: Session) -> bool:
        """Return whether a value could be sent now."""
        return athena.get_session(session, self._grid) is not None and super().has_work(session)

    def as_sent(self, session: Session, rows: Sequence[OutboxMessage]) -> dict[UUID, UnsentValue]:
        """Return the values of those whose holes are areas."""
        return values.as_sent(session, rows)

    async def arrived(self, session_id: UUID, doubtful: Mapping[UUID, UnsentValue]) -> set[UUID]:
        """Ask for all values of their names: Athena finds them by nothing else."""
        found: set[UUID | None] = set()
        for name in sorted({one.name for one in doubtful.values()}):
            for value in await self._here.athena.find_values(session_id, name=name):
                found.add(values.id_in(value.value))
        return doubtful.keys() & found

    async def post(self, session_id: UUID, unsent: Sequence[UnsentValue]) -> None:
        """Send values in bulk."""
        await self._here.athena.post_values([_record(session_id, one) for one in unsent])

    def tell_claimed(self, rows: Sequence[OutboxMessage]) -> None:
        """Count a batch."""
        metrics.BATCH_MESSAGES.labels(self.flow).observe(len(rows))

    def tell_sent(
        self,
        sent: Sequence[tuple[OutboxMessage, UnsentValue]],
        *,
        asked_at: datetime | None,
        now: datetime,  # noqa: ARG002 (values have no latency to be counted)
    ) -> str:
        """Say how many values Athena has now."""
        note = "found at Athena" if asked_at is None else "sent"
        logger.info(
            "Told Athena %d measured values: %s",
            len(sent),
            note,
            extra={"action": "values_sent", "domain": "cryoem", "values": len(sent)},
        )
        return note

    def tell_refused(self, row: OutboxMessage, unsent: UnsentValue, reason: str) -> None:  # noqa: ARG002 (its row names it)
        """Count and say that Athena will never take a value."""
        metrics.DEAD_LETTERS.labels(self.flow, "refused").inc()
        logger.warning(
            "Athena refuses value %s: %s",
            row.id,
            reason,
            extra={"action": "value_dead", "domain": "cryoem", "event_id": str(row.id)},
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
    submission = ValueSubmission(current(), grid_uuid, flow_run.id)
    return await submission.drain(linger_seconds=linger_seconds)
