"""Take in what a sensor delivers: as `tasks.intake` does, and what it gives up as dead."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlmodel import Session

from core.clock import utcnow
from models import inbox
from models.cryoem import intake
from models.inbox import Stored
from tasks.dead_letters import dead_letters
from tasks.intake import Accepted, accept, as_payload, storable_text
from tasks.ringing import Ringable, Ringer

#: Bytes that are kept of a message that is too large to be one.
_KEPT = 4_000


@dataclass(frozen=True)
class SensorIntake:
    """Stores messages of one source; senders cannot be told what is wrong with them."""

    where: Ringable
    ringer: Ringer
    #: Message ids are unique per source.
    source: str
    #: Of a larger body, only the beginning is kept.
    max_body_bytes: int
    #: Where squares and holes belong, as far as it was asked.
    _grids: intake.Grids = field(default_factory=dict)

    async def accept(
        self,
        bodies: Sequence[bytes],
        *,
        message_ids: Sequence[str | None],
        also: Callable[[Session], None],
    ) -> Accepted:
        """Take messages in; what can never be processed is kept as dead."""
        return await accept(
            self.where,
            bodies,
            source=self.source,
            message_ids=message_ids,
            keep_rejected=True,
            also=also,
            ringer=self.ringer,
            known=self._grids,
        )

    async def bury(
        self,
        bodies: Sequence[bytes],
        *,
        message_ids: Sequence[str | None],
        reason: str,
        also: Callable[[Session], None],
    ) -> Accepted:
        """Keep messages as dead, with the reason that a person will read."""
        told = storable_text(reason)
        stored = await self.where.database.write(self._bury, bodies, message_ids, told, also)
        new = [one for one in stored if not one.repeated]
        if new and self.where.launcher is not None:
            self.where.launcher.emit(
                *dead_letters(len(new), message_id=str(new[0].id), kind="rejected", reason=told)
            )
        return Accepted(tuple(stored), launched=0)

    def _bury(
        self,
        session: Session,
        bodies: Sequence[bytes],
        message_ids: Sequence[str | None],
        reason: str,
        also: Callable[[Session], None],
    ) -> list[Stored]:
        also(session)
        rows = [
            intake.dead(
                as_payload(body if len(body) <= self.max_body_bytes else body[:_KEPT]),
                source=self.source,
                message_id=ident and storable_text(ident),
                reason=reason,
            )
            for body, ident in zip(bodies, message_ids, strict=True)
        ]
        return inbox.store(session, rows, now=utcnow())
