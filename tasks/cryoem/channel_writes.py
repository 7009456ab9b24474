"""What streams and agents of one process write all the time, gathered into few transactions.

What a stream is to send, that it has left, and what agents say of it: of all agents that are
served at one moment, each is one transaction.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlmodel import Session

from core import metrics
from core.caller import Caller
from core.clock import utcnow
from core.errors import Conflict
from models import audit
from models.audit import Note, Trail, told
from models.cryoem.instructions import acking, live, sending
from models.cryoem.instructions.acking import Acknowledged, Given, Said
from models.cryoem.instructions.sending import Claimed, Patience, Stream
from models.cryoem.instructions.tables import Instruction
from tasks.cryoem.instructing import UPDATED, Instructing, tell
from tasks.gathering import Audited, Gathered
from tasks.ringing import Bell, ring

#: How long an acknowledgement waits for others, and the note that something was sent, in
#: seconds. What is to be sent waits for nothing.
_ACK_SECONDS: Final = 0.003
_SENT_SECONDS: Final = 0.02


class ChannelWriter:
    """Writes for all agents of a process."""

    def __init__(self, where: Instructing) -> None:
        """Take where to write."""
        self._where = where
        self._claims = Gathered(self._claim)
        self._marks = Gathered(self._mark, seconds=_SENT_SECONDS)
        self._acks = Gathered(self._acknowledge, seconds=_ACK_SECONDS)

    async def claim(self, *, session_id: str, connection_id: str, again: bool = False) -> Claimed:
        """Claim what a stream is to send now; `again`: all that is not acknowledged.

        Raises:
            Conflict: A newer stream has taken its place, or the session has ended.
        """
        return await self._claims.ask(Stream(session_id, connection_id, again))

    async def mark_sent(self, sent: Sequence[Instruction]) -> datetime | None:
        """Note that the bytes of claimed instructions have left; return when one is due again."""
        return await self._marks.ask(sent)

    async def acknowledge(
        self, *, agent_id: str, session_id: str, instruction_id: UUID, said: Said
    ) -> Acknowledged:
        """Take what an agent says of an instruction; said again, it changes nothing.

        Raises:
            NotFound: The instruction is not one of this agent and session.
            Conflict: It contradicts what is known. It is kept in the trail all the same.
        """
        given = Given(agent_id, session_id, instruction_id, said)
        done = await self._acks.ask(Audited(given))
        if not done.ack.accepted:
            raise Conflict(
                f"Instruction {instruction_id} is {done.status}: that it is "
                f"{said.status} contradicts this. It is kept in its trail."
            )
        return done

    async def _claim(self, streams: Sequence[Stream]) -> list[Claimed | Exception]:
        return await self._where.database.write(sending.claim, streams, now=utcnow())

    async def _mark(
        self, sent: Sequence[Sequence[Instruction]]
    ) -> list["datetime | Exception | None"]:
        now, chosen = utcnow(), self._where.settings.instructions
        every = [one for some in sent for one in some]
        noted = await self._where.database.write(
            sending.mark_sent,
            every,
            now=now,
            patience=Patience(chosen.ack_seconds, chosen.resends),
        )
        metrics.INSTRUCTION_RESENDS.inc(noted.repeats)
        metrics.INSTRUCTIONS.labels("sent").inc(len(every) - noted.repeats)
        for one in every:
            if one.sent_at is None:
                since = (now - (one.judged_at or one.created_at)).total_seconds()
                metrics.INSTRUCTION_SECONDS.observe_many([since], one.priority)
        return [
            min((noted.due[one.id] for one in some if one.id in noted.due), default=None)
            for some in sent
        ]

    async def _acknowledge(self, asked: Sequence[Audited[Given]]) -> list[Acknowledged | Exception]:
        done, bells = await self._where.database.write(self._apply, asked)
        for one in done:
            if isinstance(one, Acknowledged) and one.news is not None:
                metrics.INSTRUCTIONS.labels(one.status).inc()
        await ring(self._where, bells)
        return done

    def _apply(
        self, session: Session, asked: Sequence[Audited[Given]]
    ) -> tuple[list[Acknowledged | Exception], list[Bell]]:
        done = acking.acknowledge(session, [one.asked for one in asked], now=utcnow())
        bells: list[Bell] = []
        news: list[live.News] = []
        notes: list[tuple[Trail, Caller, Note]] = []
        for one, result in zip(asked, done, strict=True):
            if not isinstance(result, Acknowledged):
                continue
            if result.news is not None:
                news.append(result.news)
                bells += tell(
                    session, UPDATED, [result.instruction], self._where.settings, result.status
                )
            if one.trail is not None:
                notes.append((one.trail, one.caller, _note(result)))
        audit.tell(session, notes)
        # Last: others wait from here to the commit.
        live.announce(session, news)
        return done, bells


def _note(done: Acknowledged) -> Note:
    """Return what the audit says of an acknowledgement: what was said, and what that changed."""
    before: dict[str, Any] = {"status": done.before}
    after: dict[str, Any] = {"status": done.status}
    if not done.repeated:
        after["acknowledgement"] = told(done.ack.model_dump(exclude_none=True))
    return Note("instruction", str(done.instruction.id), before, after)
