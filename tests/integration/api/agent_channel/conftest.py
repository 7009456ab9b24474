"""The agent channel on a test's own database."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import select
from sqlmodel import Session, SQLModel

from api.state import Services
from blocks.resources import opened_doorbell
from domains.cryoem.instructions import Mode, Priority
from models.cryoem.instructions.making import NewInstruction
from models.cryoem.instructions.sessions import NewSession
from models.cryoem.instructions.tables import AgentSession, Instruction
from models.database import Database
from tasks.cryoem import agent_streams, instructing
from tests.session_fixtures import RecordingLauncher
from tests.session_fixtures import test_settings as short_settings

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
        found = await agent_streams.claim(
            self.services, session_id=of.session_id, connection_id=name, again=again
        )
        return [one.sequence_number for one in found.instructions]

    async def deliver(self, of: AgentSession, name: str) -> list[Instruction]:
        """Claim, and note as sent."""
        found = await agent_streams.claim(
            self.services, session_id=of.session_id, connection_id=name
        )
        await agent_streams.mark_sent(self.services, found.instructions)
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
