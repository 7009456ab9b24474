"""Streams of instructions as services: opened, known to live, and closed.

What they send is claimed and noted by `tasks.cryoem.channel_writes`.

See `models.cryoem.instructions.sending` for why nothing is lost when a process is killed.
"""

from typing import Any

from core.clock import utcnow
from models.cryoem.instructions import connections
from models.cryoem.instructions.tables import AgentSession
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
        connections.open_stream,
        agent_id=agent_id,
        session_id=session_id,
        connection_id=connection_id,
        client_info=client_info,
        now=utcnow(),
    )


async def alive(where: Instructing, *, session_id: str, connection_id: str) -> None:
    """Note that a stream's bytes are taken.

    Raises:
        Conflict: A newer stream has taken its place, or the session has ended.
    """
    await where.database.write(
        connections.alive, session_id=session_id, connection_id=connection_id, now=utcnow()
    )


async def close_stream(
    where: Instructing, *, connection_id: str, reason: str = connections.GONE
) -> None:
    """Note that a stream has ended, and report its agent unless a newer stream serves it."""
    gone = await where.database.write(
        connections.close_stream,
        connection_id=connection_id,
        reason=reason,
        now=utcnow(),
    )
    if gone is not None:
        report(where, [gone])
