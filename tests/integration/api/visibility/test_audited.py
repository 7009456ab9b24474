"""Whatever route changes something, the audit says who did, and how it was and is.

The routes are the application's own, so a new one is asked for as soon as it is there.
"""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from sqlalchemy import select, update
from sqlmodel import Session, col

from api.app import create_app
from api.route_table import routes_of
from core.access_settings import AccessSettings
from core.clock import utcnow
from core.instruction_settings import InstructionSettings
from core.permissions import Role
from domains.cryoem.instructions import Status
from messaging.doorbell import LocalDoorbell
from models.access import users
from models.audit import AuditEntry
from models.base import DeliveryState
from models.cryoem.instructions.tables import AgentConnection, Instruction
from models.database import Database
from models.inbox import InboxMessage
from tests.integration.api.visibility.world import AGENT, World, bodies, instruction_of
from tests.session_fixtures import RecordingLauncher
from tests.session_fixtures import test_settings as short_settings

PASSWORD: Final = "correct horse battery"
#: Nothing there before; both before and after; nothing there any more, or marked as gone.
MADE, CHANGED, GONE = "made", "changed", "gone"
_ACK: Final = "/agent/{agent_id}/session/{session_id}/instructions/{instruction_id}/ack"

#: Each route that changes something, in an order in which all can be done; what of; and how.
CHANGES: Final = (
    ("PATCH /agent/sessions/{session_id}", "agent_session", CHANGED),
    ("POST /agent/sessions", "agent_session", MADE),
    ("POST /agent/{agent_id}/session/{session_id}/logs", "agent_log", MADE),
    ("POST /agent/{agent_id}/session/{session_id}/heartbeat", "agent_connection", CHANGED),
    ("POST /instructions", "instruction", MADE),
    ("POST /instructions/{id}/approve", "instruction", CHANGED),
    ("POST /instructions/{id}/reject", "instruction", CHANGED),
    ("POST /instructions/{id}/cancel", "instruction", CHANGED),
    (f"POST {_ACK}", "instruction", CHANGED),
    ("POST /agent/sessions/{session_id}/end", "agent_session", CHANGED),
    ("POST /debug/sessions/create", "agent_session", MADE),
    ("POST /debug/sessions/create-managed", "agent_session", MADE),
    ("POST /debug/session/{session_id}/create-instruction", "instruction", MADE),
    ("DELETE /debug/sessions/{session_id}/close", "agent_session", CHANGED),
    ("POST /messages", "inbox_message", MADE),
    ("POST /messages/{id}/retry", "inbox_message", CHANGED),
    ("POST /quality_predictions", "inbox_message", MADE),
    ("POST /micrographs/{micrograph_uuid}/motion_correction/completed", "inbox_message", MADE),
    ("POST /micrographs/{micrograph_uuid}/ctf_estimation/completed", "inbox_message", MADE),
    ("POST /micrographs/{micrograph_uuid}/motion_correction/registered", "inbox_message", MADE),
    ("POST /micrographs/{micrograph_uuid}/ctf_estimation/registered", "inbox_message", MADE),
    ("POST /prediction_models", "prediction_model", MADE),
    ("PUT /prediction_models/{name}", "prediction_model", CHANGED),
    ("DELETE /prediction_models/{name}", "prediction_model", GONE),
    ("POST /auth/token", "login", MADE),
    ("POST /auth/refresh", "login", CHANGED),
    ("POST /auth/revoke", "login", CHANGED),
    ("POST /auth/keys", "api_key", MADE),
    ("DELETE /auth/keys/{prefix}", "api_key", CHANGED),
    ("PUT /sessions/{grid_uuid}/hold", "session_hold", MADE),
    ("DELETE /sessions/{grid_uuid}/hold", "session_hold", GONE),
    ("POST /acquisitions", "acquisition", MADE),
    ("PUT /acquisitions/{acquisition_uuid}", "acquisition", CHANGED),
    ("POST /acquisitions/{acquisition_uuid}/grids", "grid", MADE),
    ("PUT /grids/{grid_uuid}", "grid", CHANGED),
    ("POST /grids/{grid_uuid}/gridsquares", "square", MADE),
    ("POST /grids/{grid_uuid}/gridsquares/batch", "square", MADE),
    ("PUT /gridsquares/{gridsquare_uuid}", "square", CHANGED),
    ("POST /gridsquares/{gridsquare_uuid}/foilholes", "hole", MADE),
    ("PUT /foilholes/{foilhole_uuid}", "hole", CHANGED),
    ("POST /foilholes/{foilhole_uuid}/micrographs", "micrograph", MADE),
    ("PUT /micrographs/{micrograph_uuid}", "micrograph", CHANGED),
    ("POST /gridsquares/{gridsquare_uuid}/registered", "square", MADE),
    ("POST /grids/{grid_uuid}/registered", "grid", MADE),
    ("POST /atlas-tiles/{tile_uuid}/gridsquares/{gridsquare_uuid}", "tile", MADE),
    ("POST /atlas-tiles/{tile_uuid}/gridsquares", "tile", MADE),
    ("POST /atlases/{atlas_uuid}/tiles", "tile", MADE),
    ("PUT /atlas-tiles/{tile_uuid}", "tile", CHANGED),
    ("PUT /atlases/{atlas_uuid}", "atlas", CHANGED),
    ("DELETE /atlas-tiles/{tile_uuid}", "tile", GONE),
    ("DELETE /atlases/{atlas_uuid}", "atlas", GONE),
    ("POST /grids/{grid_uuid}/atlas", "atlas", MADE),
    ("DELETE /micrographs/{micrograph_uuid}", "micrograph", GONE),
    ("DELETE /foilholes/{foilhole_uuid}", "hole", GONE),
    ("DELETE /gridsquares/{gridsquare_uuid}", "square", GONE),
    ("DELETE /grids/{grid_uuid}", "grid", GONE),
    ("DELETE /acquisitions/{acquisition_uuid}", "acquisition", GONE),
)
#: Of these it is not `a` whom the audit names: who signs in, and who has nothing but a token.
CALLERS: Final = {"/auth/token": "ada", "/auth/refresh": "nobody", "/auth/revoke": "nobody"}


@pytest.fixture
async def app(database: Database, tmp_path: Path) -> FastAPI:
    settings = short_settings(
        home=tmp_path,
        access=AccessSettings(mode="required"),
        instructions=InstructionSettings(debug_routes=True),
    )
    return create_app(
        settings, database=database, doorbell=LocalDoorbell(), launcher=RecordingLauncher()
    )


@dataclass
class Asking:
    """Asks each route for its change, when what it changes has been made ready."""

    world: World
    database: Database

    async def __call__(self, route: str) -> Any:
        """Return what was answered."""
        method, path = route.split()
        await self._prepare(path)
        if path.startswith("/auth/") and path in CALLERS:
            return await self.world.a.post(path, data=self._form(path))
        body = self._bodies().get(route, bodies(self.world).get(route))
        return await self.world.a.request(method, self.world.url(path), json=body)

    def learn(self, path: str, answer: Any) -> None:
        """Remember what later requests name."""
        named = self.world.named
        if path == "/auth/keys":
            named["{prefix}"] = answer["prefix"]
        if path == "/prediction_models":
            named["{name}"] = answer["name"]
        if path in {"/auth/token", "/auth/refresh"}:
            named["token"] = answer["refresh_token"]
        if path == "/debug/sessions/create":
            named["{session_id}"] = answer["session_id"]

    def _form(self, path: str) -> dict[str, str]:
        token = self.world.named.get("token", "")
        return {
            "/auth/token": {"grant_type": "password", "username": "ada", "password": PASSWORD},
            "/auth/refresh": {"refresh_token": token},
            "/auth/revoke": {"token": token},
        }[path]

    def _bodies(self) -> dict[str, Any]:
        square = {"grid_uuid": str(self.world.grid), "gridsquare_id": "78", "uuid": str(uuid4())}
        return {
            "PATCH /agent/sessions/{session_id}": {"mode": "semi-auto"},
            "POST /acquisitions": {"uuid": str(uuid4()), "name": "another"},
            "POST /grids/{grid_uuid}/atlas": {
                "uuid": self.world.named["{atlas_uuid}"],
                "grid_uuid": str(self.world.grid),
                "name": "again",
            },
            "POST /grids/{grid_uuid}/gridsquares/batch": {"gridsquares": [square]},
            "POST /prediction_models": {"name": "new-net", "description": "of ice"},
            "PUT /prediction_models/{name}": {"description": "of gold"},
            "POST /auth/keys": {"name": "robot", "role": "viewer", "organisations": ["a"]},
            "POST /debug/sessions/create": {},
            "POST /debug/sessions/create-managed": {},
            "POST /debug/session/{session_id}/create-instruction": {},
        }

    async def _prepare(self, path: str) -> None:
        named = self.world.named
        if path.startswith("/instructions/") or path == _ACK:
            wanted = instruction_of(named["{session_id}"])
            made = (await self.world.a.post("/instructions", json=wanted)).json()
            ident = named["instructions/{id}"] = named["{instruction_id}"] = made["instruction_id"]
            if path == _ACK:
                await self.database.write(_sent, UUID(ident))
        if path.endswith("/heartbeat"):
            await self.database.write(_connected, named["{session_id}"])
        if path.endswith("/retry"):
            await self.database.write(_dead, UUID(named["messages/{id}"]))
        if path == "/auth/token":
            await self.database.write(users.add_user, "ada", PASSWORD, Role.VIEWER, now=utcnow())


def _sent(session: Session, ident: UUID) -> None:
    session.execute(
        update(Instruction)
        .where(col(Instruction.id) == ident)
        .values(status=Status.SENT, held=None, sent_at=utcnow())
    )


def _connected(session: Session, session_id: str) -> None:
    then = utcnow() - timedelta(minutes=1)
    session.add(
        AgentConnection(
            connection_id="c-1",
            session_id=session_id,
            agent_id=AGENT,
            created_at=then,
            last_heartbeat_at=then,
        )
    )


def _dead(session: Session, ident: UUID) -> None:
    session.execute(
        update(InboxMessage)
        .where(col(InboxMessage.id) == ident)
        .values(state=DeliveryState.DEAD, error="gave up")
    )


def entries(database: Database, *, after: int) -> list[AuditEntry]:
    statement = select(AuditEntry).where(col(AuditEntry.seq) > after).order_by(col(AuditEntry.seq))
    with database.reading() as session:
        return list(session.scalars(statement))


def is_told(rows: list[AuditEntry], entity: str, how: str) -> bool:
    """Whether one of the rows tells of such a change."""
    mine = [one for one in rows if one.entity == entity]
    if how == MADE:
        return any(one.before is None and one.after for one in mine)
    if how == GONE:
        return any(one.before and one.after in (None, {"deleted": True}) for one in mine)
    return any(one.before is not None and one.after for one in mine)


def test_each_route_that_changes_something_is_tried(app: FastAPI) -> None:
    there = {
        f"{method} {route.path}"
        for route in routes_of(app)
        for method in (route.methods or {"GET"}) - {"GET", "HEAD", "OPTIONS"}
    }
    assert there == {route for route, _, _ in CHANGES}


async def test_each_route_writes_down_what_was_and_what_is(
    app: FastAPI, world: World, database: Database
) -> None:
    asking = Asking(world, database)
    for route, entity, how in CHANGES:
        path = route.split()[1]
        answer = await asking(route)
        assert answer.status_code < 300, (route, answer.text)
        asking.learn(path, answer.json() if answer.content else None)
        rows = [
            one
            for one in entries(database, after=0)
            if one.request_id == answer.headers["X-Request-ID"]
        ]
        seen = [(one.entity, one.entity_id, one.before, one.after) for one in rows]
        assert is_told(rows, entity, how), (route, seen)
        assert {(one.caller, one.route, one.status) for one in rows} == {
            (CALLERS.get(path, "somebody of a"), path, answer.status_code)
        }
        assert PASSWORD not in str(seen), route
