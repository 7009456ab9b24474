"""Deleting over HTTP: the thing and all that belongs to it, unless its session is held."""

import httpx
import pytest

from core.clock import utcnow
from models.database import Database
from models.retention import holds
from tests.integration.api.smartem.agent import AgentSession, send, send_all, status


def paths(session: AgentSession) -> dict[str, str]:
    return {
        "acquisition": f"/acquisitions/{session.acquisition}",
        "grid": f"/grids/{session.grid}",
        "atlas": f"/atlases/{session.atlas}",
        "tile": f"/atlas-tiles/{session.tile}",
        "square": f"/gridsquares/{session.squares[1]}",
        "hole": f"/foilholes/{session.holes[101]}",
        "micrograph": f"/micrographs/{session.micrograph}",
        "other square": f"/gridsquares/{session.squares[2]}",
    }


@pytest.fixture
async def session(client: httpx.AsyncClient) -> AgentSession:
    made = AgentSession()
    await send_all(client, made)
    return made


async def left(client: httpx.AsyncClient, session: AgentSession) -> set[str]:
    """Return what there still is."""
    found = paths(session)
    return {name for name, path in found.items() if await status(client, "GET", path) == 200}


async def test_deleting_takes_all_that_belongs_to_it(
    client: httpx.AsyncClient, session: AgentSession
) -> None:
    known = paths(session)
    remaining = set(known)
    for name, gone in (
        ("micrograph", {"micrograph"}),
        ("square", {"square", "hole"}),
        ("atlas", {"atlas", "tile"}),
        ("acquisition", {"acquisition", "grid", "other square"}),
    ):
        assert await status(client, "DELETE", known[name]) == 204
        remaining -= gone
        assert await left(client, session) == remaining
        assert await status(client, "DELETE", known[name]) == 404
        assert await status(client, "PUT", known[name], {}) == 404


async def test_what_was_deleted_can_be_made_again(
    client: httpx.AsyncClient, session: AgentSession
) -> None:
    path = f"/grids/{session.grid}/gridsquares"
    await send(client, "DELETE", paths(session)["square"])
    again = await send(client, "POST", path, session.square_body(1))
    # As it is said now; what it had before is gone, and so are its holes.
    assert (again["selected"], again["status"]) == (None, "none")
    assert await left(client, session) == set(paths(session)) - {"hole", "micrograph"}


@pytest.mark.parametrize("name", ["acquisition", "square"])
async def test_of_a_held_session_nothing_is_deleted(
    client: httpx.AsyncClient, database: Database, session: AgentSession, name: str
) -> None:
    with database.transaction() as transaction:
        holds.hold(transaction, session.grid_uuid, reason="audit", by="jo", now=utcnow())
    answer = await client.delete(paths(session)[name])
    assert answer.status_code == 409
    assert "held by jo" in answer.json()["detail"]
    assert await left(client, session) == set(paths(session))
