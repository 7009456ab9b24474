"""The stream of one agent: its instructions, each until it is acknowledged."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from datetime import datetime
from time import monotonic
from typing import Any

import anyio

from api.live import grants
from api.live.frames import error_of, frame
from api.live.grants import Grant
from api.live.hub import Hub
from api.live.limits import Limits
from api.state import Services
from core.clock import as_text, utcnow
from core.errors import Conflict, NotFound, NotPermitted, StorageUnavailable
from messaging.doorbell import woken
from models.cryoem.instructions import connections
from models.cryoem.instructions.tables import Instruction
from tasks.cryoem import agent_streams


async def agent_frames(
    services: Services,
    hub: Hub,
    limits: Limits,
    *,
    agent_id: str,
    session_id: str,
    connection_id: str,
    grant: Grant,
    client_info: dict[str, Any],
) -> AsyncIterator[bytes]:
    """Yield an agent's instructions until it goes, a newer stream comes, or the server stops.

    Args:
        services: Collaborators of the API.
        hub: Tells when there may be something to send.
        limits: Counts this stream.
        agent_id: The agent.
        session_id: Its session.
        connection_id: This stream.
        grant: By what its agent may have it, and whose it is.
        client_info: Kept with the connection.
    """
    about = {"agent_id": agent_id, "session_id": session_id, "connection_id": connection_id}
    reason = connections.GONE
    with limits.counted("agent", grant.counted):
        async with hub.agents(session_id) as bell:
            try:
                await agent_streams.open_stream(services, client_info=client_info, **about)
                yield frame("connection", {"type": "connection", **about, "status": "connected"})
                async with aclosing(
                    _sent(services, hub, bell, session_id, connection_id, grant)
                ) as frames:
                    async for some in frames:
                        yield some
            except (Conflict, NotFound) as error:
                reason = "refused"
                yield frame("error", error_of("stream_refused", str(error)))
            except NotPermitted as error:
                reason = grants.ENDED
                yield frame("error", error_of(grants.ENDED, str(error)))
            except StorageUnavailable as error:
                reason = "storage_unavailable"
                yield frame("error", error_of("storage_unavailable", str(error)))
            finally:
                # Also while the stream is being cancelled: who reads the tables shall know.
                with anyio.CancelScope(shield=True):
                    await agent_streams.close_stream(
                        services, connection_id=connection_id, reason=reason
                    )


async def _sent(
    services: Services, hub: Hub, bell: Any, session_id: str, connection_id: str, grant: Grant
) -> AsyncGenerator[bytes]:
    every = services.settings.streams.heartbeat_seconds
    beat = monotonic() + every
    #: An agent that comes is sent whatever it has not acknowledged, whoever sent it before.
    again = True
    while not hub.closing:
        bell.clear()
        claimed = await services.channel.claim(
            session_id=session_id, connection_id=connection_id, again=again
        )
        again, due = False, [claimed.next_due]
        if claimed.instructions:
            yield b"".join(_instruction(one) for one in claimed.instructions)
            # We are asked for more: so these bytes were taken.
            due.append(await services.channel.mark_sent(claimed.instructions))
        if monotonic() >= beat:
            beat = monotonic() + every
            if not await grant.lasts():
                raise NotPermitted(grants.MESSAGE)
            yield frame(
                "heartbeat",
                {
                    "type": "heartbeat",
                    "timestamp": as_text(utcnow()),
                    "connection_id": connection_id,
                },
            )
            await agent_streams.alive(services, session_id=session_id, connection_id=connection_id)
        await woken(bell, timeout=_until(beat, due))


def _until(beat: float, due: Iterable[datetime | None]) -> float:
    """Return how long to wait: for the next heartbeat, or for what is due again before."""
    now = utcnow()
    waits = [(one - now).total_seconds() for one in due if one is not None]
    return max(min([beat - monotonic(), *waits]), 0.0)


def _instruction(one: Instruction) -> bytes:
    data = {
        "type": "instruction",
        "instruction_id": str(one.id),
        "agent_id": one.agent_id,
        "session_id": one.session_id,
        "instruction_type": one.instruction_type,
        "payload": one.payload,
        "sequence_number": one.sequence_number,
        "priority": one.priority,
        "created_at": as_text(one.created_at),
        "expires_at": as_text(one.expires_at),
        "metadata": one.extra or {},
        "reason": one.reason,
        "attempt": one.sends + 1,
    }
    return frame("instruction", data, ident=one.sequence_number)
