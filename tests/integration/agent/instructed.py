"""An API with sessions of agents, and instructions for them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlmodel import Session, col

from api.app import create_app
from api.server import ApiServer
from api.state import Services
from blocks.resources import opened_doorbell
from domains.cryoem.instructions import Mode, Priority
from models.cryoem.instructions import tables
from models.cryoem.instructions.making import NewInstruction
from models.cryoem.instructions.sessions import NewSession
from models.database import Database
from tasks.cryoem import instructing
from tests.integration.agent.hands import AGENT
from tests.session_fixtures import RecordingLauncher
from tests.session_fixtures import test_settings as quick_settings
from tests.support import wait_until

SKIP = {"type": "microscope.control.skip_gridsquares", "payload": {"gridsquare_ids": ["7"]}}


@dataclass
class Plant:
    """The API, and what tests ask of its database."""

    services: Services
    server: ApiServer

    @property
    def url(self) -> str:
        return self.server.url

    async def restart(self) -> None:
        """Let the API be away for a moment, and come back where it was."""
        port = int(self.url.rpartition(":")[2])
        await self.server.stop()
        self.server = _server(self.services, port)
        await self.server.start()

    async def session(self, agent: str = AGENT, **values: Any) -> str:
        given = {"agent_id": agent, "mode": Mode.AUTO, **values}
        return (await instructing.open_session(self.services, NewSession(**given))).session_id

    async def make(self, session_id: str, *several: dict[str, Any], **values: Any) -> list[str]:
        made = await instructing.make(
            self.services,
            session_id,
            [
                NewInstruction(
                    **{
                        "created_by": "a test",
                        "expires_in": 600.0,
                        "priority": Priority.NORMAL,
                        **SKIP,
                        **one,
                        **values,
                    }
                )
                for one in several or ({},)
            ],
        )
        return [str(one.id) for one in made]

    async def fate(self, *idents: str) -> list[str]:
        """Return the state of each instruction."""
        rows = {str(one.id): one for one in await self.rows(tables.Instruction)}
        return [rows[ident].status for ident in idents]

    async def acks(self, ident: str) -> list[tables.InstructionAck]:
        found = await self.rows(tables.InstructionAck)
        of = [one for one in found if str(one.instruction_id) == ident]
        return sorted(of, key=lambda one: one.created_at)

    async def rows(self, table: Any) -> list[Any]:
        def read(session: Session) -> list[Any]:
            found = list(session.scalars(select(table)))
            session.expunge_all()
            return found

        return await self.services.database.read(read)

    async def until(self, status: str, *idents: str) -> None:
        async def all_so() -> bool:
            return set(await self.fate(*idents)) == {status}

        await wait_until(all_so, what=f"instructions {status}")

    async def connected(self, session_id: str) -> None:
        async def is_open() -> bool:
            found = await self.services.database.read(
                lambda session: session.scalar(
                    select(col(tables.AgentSession.connection_id)).where(
                        col(tables.AgentSession.session_id) == session_id
                    )
                )
            )
            return found is not None

        await wait_until(is_open, what="a stream")


def _server(services: Services, port: int) -> ApiServer:
    app = create_app(
        services.settings,
        database=services.database,
        doorbell=services.doorbell,
        launcher=services.launcher,
    )
    return ApiServer(app, host="127.0.0.1", port=port)


@asynccontextmanager
async def planted(database: Database) -> AsyncIterator[Plant]:
    async with opened_doorbell(database) as doorbell:
        services = Services(quick_settings(), database, doorbell, RecordingLauncher())
        plant = Plant(services, _server(services, 0))
        await plant.server.start()
        try:
            yield plant
        finally:
            await plant.server.stop()
