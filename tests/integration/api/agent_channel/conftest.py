"""The agent channel on a test's own database."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from httpx_sse import ServerSentEvent, aconnect_sse
from sqlalchemy import select
from sqlmodel import Session, SQLModel

from api.app import create_app
from api.server import ApiServer
from api.state import Services
from blocks.resources import opened_doorbell
from core.instruction_settings import InstructionSettings, StreamSettings
from domains.cryoem.instructions import Mode, Priority
from models.cryoem.instructions.making import NewInstruction
from models.cryoem.instructions.sessions import NewSession
from models.cryoem.instructions.tables import AgentSession, Instruction
from models.database import Database
from tasks.cryoem import agent_streams, instructing
from tests.session_fixtures import RecordingLauncher
from tests.session_fixtures import test_settings as short_settings
from tests.support import PATIENCE

AGENT = "epu-agent-1"


def new(count: int = 1, **values: Any) -> list[NewInstruction]:
    """Return instructions to make."""
    given = {
        "type": "microscope.control.skip_gridsquares",
        "payload": {"gridsquare_ids": ["7"], "reason": "thick ice"},
        "created_by": "a test",
        "expires_in": 3_600.0,
        "priority": Priority.NORMAL,
        **values,
    }
    return [NewInstruction(**given) for _ in range(count)]


@dataclass
class Channel:
    """Services on a database, and shorthands for what tests do with them."""

    services: Services
    launcher: RecordingLauncher
    numbers: dict[str, int] = field(default_factory=dict)

    async def session(self, mode: Mode = Mode.AUTO, **values: Any) -> AgentSession:
        given = {"agent_id": AGENT, "mode": mode, **values}
        return await instructing.open_session(self.services, NewSession(**given))

    async def make(self, of: AgentSession, count: int = 1, **values: Any) -> list[Instruction]:
        return await instructing.make(self.services, of.session_id, new(count, **values))

    async def connect(self, of: AgentSession, name: str) -> None:
        await agent_streams.open_stream(
            self.services,
            agent_id=of.agent_id,
            session_id=of.session_id,
            connection_id=name,
            client_info={},
        )

    async def claim(self, of: AgentSession, name: str, *, again: bool = False) -> list[int]:
        """Claim, and return the numbers of what a stream would send."""
        found = await self.services.channel.claim(
            session_id=of.session_id, connection_id=name, again=again
        )
        return [one.sequence_number for one in found.instructions]

    async def deliver(self, of: AgentSession, name: str) -> list[Instruction]:
        """Claim, and note as sent."""
        found = await self.services.channel.claim(session_id=of.session_id, connection_id=name)
        await self.services.channel.mark_sent(found.instructions)
        return list(found.instructions)

    async def rows(self, table: type[SQLModel]) -> list[Any]:
        def read(session: Session) -> list[Any]:
            return list(session.scalars(select(table)))

        return await self.services.database.read(read)


@pytest.fixture
async def channel(database: Database) -> AsyncIterator[Channel]:
    launcher = RecordingLauncher()
    async with opened_doorbell(database) as doorbell:
        yield Channel(Services(short_settings(), database, doorbell, launcher), launcher)


@dataclass
class Streams:
    """The API on a port, with short windows; and streams of it, read as they come."""

    url: str
    server: ApiServer
    client: httpx.AsyncClient
    channel: Channel

    @asynccontextmanager
    async def stream(
        self, path: str, *, seen: str | None = None, **params: str
    ) -> AsyncIterator[AsyncIterator[ServerSentEvent]]:
        headers = {"Last-Event-ID": seen} if seen is not None else {}
        async with aconnect_sse(self.client, "GET", path, params=params, headers=headers) as source:
            assert source.response.status_code == 200, await source.response.aread()
            yield aiter(source.aiter_sse())

    def agent(self, of: AgentSession, **values: Any) -> Any:
        """Open the stream of a session's agent."""
        path = f"/agent/{of.agent_id}/session/{of.session_id}/instructions/stream"
        return self.stream(path, **values)

    def page(self, *types: str, **values: Any) -> Any:
        """Open the stream of a page."""
        given = {"event_types": ",".join(types)} if types else {}
        return self.stream("/frontend/events/stream", **given, **values)

    async def ack(self, of: AgentSession, ident: str, status: str, **said: Any) -> httpx.Response:
        path = f"/agent/{of.agent_id}/session/{of.session_id}/instructions/{ident}/ack"
        return await self.client.post(path, json={"status": status, **said})


async def following(events: AsyncIterator[ServerSentEvent], *kinds: str) -> dict[str, Any]:
    """Return the data of the next event of these kinds, whatever comes before."""
    async with asyncio.timeout(PATIENCE):
        async for event in events:
            if event.event in kinds:
                return {**json.loads(event.data), "_id": event.id, "_event": event.event}
    raise AssertionError(f"the stream ended without {kinds}")


@asynccontextmanager
async def serving(channel: Channel, **changes: Any) -> AsyncIterator[Streams]:
    """Serve the API on a port, with settings changed."""
    settings = short_settings(**changes)
    channel.services = Services(
        settings, channel.services.database, channel.services.doorbell, channel.launcher
    )
    app = create_app(
        settings,
        database=channel.services.database,
        doorbell=channel.services.doorbell,
        launcher=channel.launcher,
    )
    server = ApiServer(app, host="127.0.0.1", port=0)
    await server.start()
    try:
        async with httpx.AsyncClient(base_url=server.url, timeout=PATIENCE) as client:
            yield Streams(server.url, server, client, channel)
    finally:
        await server.stop()


@pytest.fixture
async def streams(channel: Channel) -> AsyncIterator[Streams]:
    """The API on a port, with heartbeats that a test need not wait for."""
    async with serving(
        channel,
        streams=StreamSettings(heartbeat_seconds=0.3, progress_seconds=0),
        instructions=InstructionSettings(debug_routes=True),
    ) as made:
        yield made
