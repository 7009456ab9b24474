"""Streams of instructions as services: who sends, what, and that it has left.

See `models.cryoem.instructions.sending` for why nothing is lost when a process is killed.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from core import metrics
from core.clock import utcnow
from models.cryoem.instructions import sending
from models.cryoem.instructions.sending import Claimed, Patience
from models.cryoem.instructions.tables import AgentSession, Instruction
from tasks.cryoem.instructing import Instructing, report


async def open_stream(
    where: Instructing,
    *,
    agent_id: str,
    session_id: str,
    connection_id: str,
    client_info: dict[str, Any],
) -> AgentSession:
    """Make a stream the one that sends a session's instructions."""
    return await where.database.write(
        sending.open_stream,
        agent_id=agent_id,
        session_id=session_id,
        connection_id=connection_id,
        client_info=client_info,
        now=utcnow(),
    )


async def claim(
    where: Instructing, *, session_id: str, connection_id: str, again: bool = False
) -> Claimed:
    """Claim what a stream is to send now; `again`: all that is not acknowledged.

    Raises:
        Conflict: A newer stream has taken its place, or the session has ended.
    """
    return await where.database.write(
        sending.claim,
        session_id=session_id,
        connection_id=connection_id,
        now=utcnow(),
        again=again,
    )


async def mark_sent(where: Instructing, sent: Sequence[Instruction]) -> datetime | None:
    """Note that the bytes of claimed instructions have left; return when one is due again."""
    now, chosen = utcnow(), where.settings.instructions
    noted = await where.database.write(
        sending.mark_sent, sent, now=now, patience=Patience(chosen.ack_seconds, chosen.resends)
    )
    metrics.INSTRUCTION_RESENDS.inc(noted.repeats)
    metrics.INSTRUCTIONS.labels("sent").inc(len(sent) - noted.repeats)
    for one in sent:
        if one.sent_at is None:
            since = (now - (one.judged_at or one.created_at)).total_seconds()
            metrics.INSTRUCTION_SECONDS.observe_many([since], one.priority)
    return noted.next_due


async def alive(where: Instructing, *, session_id: str, connection_id: str) -> None:
    """Note that a stream's bytes are taken.

    Raises:
        Conflict: A newer stream has taken its place, or the session has ended.
    """
    await where.database.write(
        sending.alive, session_id=session_id, connection_id=connection_id, now=utcnow()
    )


async def close_stream(
    where: Instructing, *, connection_id: str, reason: str = sending.GONE
) -> None:
    """Note that a stream has ended, and report its agent unless a newer stream serves it."""
    gone = await where.database.write(
        sending.close_stream,
        connection_id=connection_id,
        reason=reason,
        now=utcnow(),
    )
    if gone is not None:
        report(where, [gone])
