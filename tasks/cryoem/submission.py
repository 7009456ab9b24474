"""Send decisions from the outbox to Athena: each once, whatever happens on the way."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from prefect import task
from prefect.runtime import flow_run
from sqlalchemy import ColumnElement
from sqlmodel import Session

from blocks.resources import current
from models.athena import DecisionRecord, DecisionType, PluginType
from models.cryoem import decisions
from models.cryoem.decisions import SUBMIT, Unsent
from models.outbox import OutboxMessage
from models.sql import chunks
from tasks.cryoem import measuring
from tasks.cryoem.delivering import Delivery
from tasks.draining import Drained
from tasks.retrying import RETRIES

#: Area ids in one question about unknown outcomes: they travel in the address.
_IDS_PER_QUESTION = 200

SUBMITTED = "athanor.cryoem.decision.submitted"


class Submission(Delivery[Unsent]):
    """Delivers the decisions of a grid."""

    flow = SUBMIT
    waits_for = "waits for its holes to be registered as areas"
    #: When to look again; registering rings earlier.
    waits = timedelta(seconds=5)

    def sendable(self) -> ColumnElement[bool]:
        """Return the condition of a grid's decisions."""
        return decisions.sendable(self._grid)

    def as_sent(self, session: Session, rows: Sequence[OutboxMessage]) -> dict[UUID, Unsent]:
        """Return the decisions of those whose holes are areas."""
        return decisions.as_sent(session, rows)

    async def arrived(self, session_id: UUID, doubtful: Mapping[UUID, Unsent]) -> set[UUID]:
        """Ask for all decisions about their areas."""
        found: set[UUID | None] = set()
        for part in chunks(sorted({one.area_id for one in doubtful.values()}), _IDS_PER_QUESTION):
            found |= {one.id for one in await self._here.athena.find_decisions(session_id, part)}
        return doubtful.keys() & found

    def groups(self, unsent: Mapping[UUID, Unsent]) -> Iterable[Sequence[UUID]]:
        """Put a kind together: sent one by one, the microscope would act on the first."""
        by_kind: dict[str, list[UUID]] = {}
        for ident, one in unsent.items():
            by_kind.setdefault(one.decision_type, []).append(ident)
        return by_kind.values()

    async def post(self, session_id: UUID, unsent: Sequence[Unsent]) -> None:
        """Send decisions, in bulk where there are several."""
        records = [_record(session_id, one) for one in unsent]
        if len(records) == 1:
            await self._here.athena.post_decision(records[0])
        else:
            await self._here.athena.post_decisions(records)

    def tell_claimed(self, rows: Sequence[OutboxMessage]) -> None:
        """Count a batch, and what of it was tried before."""
        measuring.claimed(rows)

    def tell_postponed(self, unsent: Iterable[Unsent]) -> None:
        """Count decisions that were given back."""
        measuring.postponed([one.decision_type for one in unsent])

    def tell_sent(
        self,
        sent: Sequence[tuple[OutboxMessage, Unsent]],
        *,
        asked_at: datetime | None,
        now: datetime,
    ) -> str:
        """Count and say which decisions Athena has now, and let automations know."""
        # What is sent at once is of one kind.
        note = "found at Athena" if asked_at is None else sent[0][1].decision_type
        kinds = {row.id: one.decision_type for row, one in sent}
        measuring.sent([row for row, _ in sent], kinds, note, asked_at=asked_at, now=now)
        self._here.emit(
            SUBMITTED,
            f"athanor.grid.{self._grid}",
            {"grid_uuid": str(self._grid), "decisions": str(len(sent))},
        )
        return note

    def tell_refused(self, row: OutboxMessage, unsent: Unsent, reason: str) -> None:
        """Count and say that Athena will never take a decision."""
        measuring.refused(unsent.decision_type, row, reason)


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
    submission = Submission(current(), grid_uuid, flow_run.id)
    return await submission.drain(linger_seconds=linger_seconds)
