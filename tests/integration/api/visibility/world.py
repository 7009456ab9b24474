"""An API that knows who asks by name, and everything there is of organisation `a`."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx
from fastapi import FastAPI
from sqlalchemy import select
from sqlmodel import Session, SQLModel

from core.caller import Caller
from core.errors import NotAuthenticated
from core.permissions import Permission, Role
from domains.cryoem import ids
from models.cryoem.decision_tables import Decision
from models.database import Database
from models.inbox import InboxMessage
from tests.session_fixtures import SmallSession

AGENT = "epu-agent"


@dataclass(frozen=True)
class Two:
    """A session of organisation `a`, and one of organisation `b`."""

    a: SmallSession
    b: SmallSession


def caller_of(*organisations: str, role: Role = Role.ADMIN) -> Caller:
    return Caller(
        f"somebody of {' and '.join(organisations) or 'nobody'}",
        "user",
        role,
        frozenset(Permission),
        frozenset(organisations),
    )


class Names:
    """Takes the name of an organisation for the token of somebody of it who may do everything."""

    def __init__(self) -> None:
        self.callers = {name: caller_of(name) for name in ("a", "b")}

    async def __call__(self, token: str) -> Caller:
        if token not in self.callers:
            raise NotAuthenticated
        return self.callers[token]


@dataclass(frozen=True)
class World:
    """A client for each organisation, and what there is of `a`."""

    a: httpx.AsyncClient
    b: httpx.AsyncClient
    two: Two
    #: Of each parameter of a path, the value that is `a`'s.
    named: dict[str, str] = field(default_factory=dict)

    @property
    def grid(self) -> UUID:
        return self.two.a.grid

    @property
    def square(self) -> str:
        return str(ids.square_uuid(self.grid, 1))

    @property
    def hole(self) -> str:
        return str(ids.hole_uuid(self.grid, self.two.a.holes[1][0]))

    def url(self, path: str) -> str:
        """Return a route's path with what is `a`'s for its parameters."""
        parts = path.strip("/").split("/")
        said = [
            self.named[f"{parts[0]}/{name}" if name == "{id}" else name]
            if (name := part.partition(":")[0]).startswith("{")
            else part
            for part in parts
        ]
        return "/" + "/".join(said)


def clients(app: FastAPI) -> tuple[httpx.AsyncClient, httpx.AsyncClient]:
    app.state.access.bearer = Names()
    transport = httpx.ASGITransport(app)
    of_a, of_b = (
        httpx.AsyncClient(
            base_url="http://api",
            transport=transport,
            headers={"Authorization": f"Bearer {name}"},
        )
        for name in ("a", "b")
    )
    return of_a, of_b


async def furnish(world: World, database: Database) -> None:
    """Make what the played session lacks, as somebody of `a` does; and name everything."""
    grid, hole, square = world.grid, world.hole, world.square
    atlas, tile, new = uuid4(), uuid4(), uuid4()

    async def post(path: str, body: Any = None) -> Any:
        answer = await world.a.post(path, json=body)
        assert answer.status_code < 300, (path, answer.text)
        return answer.json()

    await post(f"/grids/{grid}/atlas", {"uuid": str(atlas), "grid_uuid": str(grid), "name": "x"})
    await post(f"/atlases/{atlas}/tiles", {"uuid": str(tile), "atlas_uuid": str(atlas)})
    agent = await post("/agent/sessions", {"agent_id": AGENT, "grid_uuid": str(grid)})
    session_id = agent["session_id"]
    instruction = await post("/instructions", instruction_of(session_id))

    def first(session: Session) -> tuple[Any, Any]:
        message = select(InboxMessage.id).where(InboxMessage.key == str(grid)).limit(1)  # pyright: ignore[reportArgumentType, reportCallIssue]
        decision = select(Decision.id).where(Decision.grid_uuid == grid).limit(1)  # pyright: ignore[reportArgumentType, reportCallIssue]
        return session.scalar(message), session.scalar(decision)

    message, decision = await database.read(first)
    acquisition = ids.acquisition_uuid(world.two.a.manifest)
    stem = world.two.a.micrograph(1, world.two.a.holes[1][0]).name.stem
    identity = instruction.get("instruction_id") or instruction["id"]
    world.named.update(
        {
            "{acquisition_uuid}": str(acquisition),
            "{grid_uuid}": str(grid),
            "{atlas_uuid}": str(atlas),
            "{tile_uuid}": str(tile),
            "{gridsquare_uuid}": square,
            "{foilhole_uuid}": hole,
            "{micrograph_uuid}": str(ids.micrograph_uuid(grid, stem)),
            "{session_id}": session_id,
            "{agent_id}": AGENT,
            "{instruction_id}": identity,
            "instructions/{id}": identity,
            "messages/{id}": str(message),
            "decisions/{id}": str(decision),
            "{prediction_model_name}": "squares-net",
            "{latent_rep_model_name}": "squares-net",
            "{name}": "squares-net",
            "{metric_name}": "motioncorrection",
            "new": str(new),
        }
    )


def instruction_of(session_id: str) -> dict[str, Any]:
    return {
        "session_id": session_id,
        "instruction_type": "microscope.control.skip_gridsquares",
        "payload": {"gridsquare_ids": ["1"], "reason": "ice"},
    }


def bodies(world: World) -> dict[str, Any]:
    """Return what is sent to each route that takes a body: about what is `a`'s."""
    named = world.named
    new = {"uuid": str(uuid4())}
    grid, square = {"grid_uuid": named["{grid_uuid}"]}, world.square
    place = {"center_x": 1, "center_y": 2, "size_width": 3, "size_height": 4}
    hole = {**new, "gridsquare_uuid": square, "gridsquare_id": "1", "foilhole_id": "199"}
    squares = [{**new, **grid, "gridsquare_id": "77"}]
    return {
        "POST /agent/sessions": {"agent_id": AGENT, **grid},
        "PATCH /agent/sessions/{session_id}": {"mode": "dry-run"},
        "POST /agent/{agent_id}/session/{session_id}/instructions/{instruction_id}/ack": {
            "status": "received"
        },
        "POST /agent/{agent_id}/session/{session_id}/logs": {
            "logs": [
                {
                    "timestamp": "2026-03-01T09:00:00Z",
                    "level": "INFO",
                    "logger_name": "agent",
                    "message": "hello",
                }
            ]
        },
        "POST /instructions": instruction_of(named["{session_id}"]),
        "POST /instructions/{id}/reject": {"reason": "no"},
        "POST /instructions/{id}/cancel": {"reason": "no"},
        "PUT /sessions/{grid_uuid}/hold": {"reason": "published"},
        "POST /messages": {
            "event_type": "gridsquare.model_prediction",
            "gridsquare_uuid": square,
            "prediction_model_name": "squares-net",
            "prediction_value": 0.5,
        },
        "POST /acquisitions": {"uuid": named["{acquisition_uuid}"], "name": "mine"},
        "PUT /acquisitions/{acquisition_uuid}": {"name": "renamed"},
        "POST /acquisitions/{acquisition_uuid}/grids": {
            **new,
            "name": "second",
            "acquisition_uuid": named["{acquisition_uuid}"],
        },
        "PUT /grids/{grid_uuid}": {"status": "scan started"},
        "POST /grids/{grid_uuid}/atlas": {**new, **grid, "name": "another"},
        "PUT /atlases/{atlas_uuid}": {"name": "renamed"},
        "POST /atlases/{atlas_uuid}/tiles": {**new, "atlas_uuid": named["{atlas_uuid}"]},
        "PUT /atlas-tiles/{tile_uuid}": {"position_x": 5},
        "POST /atlas-tiles/{tile_uuid}/gridsquares/{gridsquare_uuid}": place,
        "POST /atlas-tiles/{tile_uuid}/gridsquares": [{"gridsquare_uuid": square, **place}],
        "POST /grids/{grid_uuid}/gridsquares": squares[0],
        "POST /grids/{grid_uuid}/gridsquares/batch": {"gridsquares": squares},
        "PUT /gridsquares/{gridsquare_uuid}": {"state": "Defined"},
        "POST /gridsquares/{gridsquare_uuid}/foilholes": [hole],
        "PUT /foilholes/{foilhole_uuid}": {"quality": 0.25},
        "POST /foilholes/{foilhole_uuid}/micrographs": {
            **new,
            "foilhole_id": str(world.two.a.holes[1][0]),
            "foilhole_uuid": world.hole,
        },
        "PUT /micrographs/{micrograph_uuid}": {"defocus": -1.0},
        "POST /quality_predictions": {
            "value": 0.5,
            "prediction_model_name": "squares-net",
            "gridsquare_uuid": square,
        },
        "POST /micrographs/{micrograph_uuid}/motion_correction/completed": {
            "total_motion": 1.0,
            "average_motion": 0.5,
        },
        "POST /micrographs/{micrograph_uuid}/ctf_estimation/completed": {"ctf_max_res": 3.5},
        "POST /micrographs/{micrograph_uuid}/motion_correction/registered": {"quality": True},
        "POST /micrographs/{micrograph_uuid}/ctf_estimation/registered": {"quality": True},
    }


def everything(database: Database, *, but: frozenset[str]) -> dict[str, list[Any]]:
    """Return all rows of all tables but some."""
    with database.reading() as session:
        return {
            table.name: sorted(map(str, session.execute(select(table))))
            for table in SQLModel.metadata.sorted_tables
            if table.name not in but
        }
