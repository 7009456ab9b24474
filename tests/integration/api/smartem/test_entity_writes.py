"""Entities made and changed over HTTP: what is stored, what is refused, alone and at once."""

import asyncio
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select, text
from sqlmodel import col

from models.cryoem.instructions.tables import LiveEvent
from models.cryoem.messages import SquarePrediction
from models.cryoem.tables import Acquisition, Grid
from models.database import Database
from models.inbox import InboxMessage
from tests.integration.api.smartem.agent import PLACE, AgentSession, new, send, send_all, status
from tests.session_fixtures import Here, RecordingLauncher


@pytest.fixture
async def session(client: httpx.AsyncClient) -> AgentSession:
    made = AgentSession()
    await send_all(client, made)
    return made


async def test_each_is_shown_as_it_is_stored(
    client: httpx.AsyncClient, session: AgentSession
) -> None:
    shown = {
        path: await send(client, "GET", path)
        for path in (
            f"/acquisitions/{session.acquisition}",
            f"/grids/{session.grid}",
            f"/atlases/{session.atlas}",
            f"/atlas-tiles/{session.tile}",
            f"/gridsquares/{session.squares[1]}",
            f"/foilholes/{session.holes[101]}",
            f"/micrographs/{session.micrograph}",
        )
    }
    acquisition, grid, atlas, tile, square, hole, micrograph = shown.values()
    # A time without a zone is UTC.
    assert acquisition["start_time"] == "2026-03-01T09:00:00Z"
    assert (acquisition["status"], grid["status"]) == ("started", "none")
    assert grid["acquisition_uuid"] == session.acquisition
    assert atlas["tiles"] == [tile]
    assert (tile["tile_id"], tile["position_x"]) == ("1", 5)
    assert (square["gridsquare_id"], square["selected"]) == ("1", True)
    assert square["status"] == "all foil holes registered"
    assert (hole["gridsquare_uuid"], hole["gridsquare_id"]) == (session.squares[1], "1")
    assert (micrograph["foilhole_id"], micrograph["image_size_x"]) == ("101", 4096)


async def test_a_change_leaves_what_it_does_not_give(
    client: httpx.AsyncClient, session: AgentSession
) -> None:
    path = f"/micrographs/{session.micrograph}"
    changed = await send(client, "PUT", path, {"total_motion": 3.5, "status": "ctf started"})
    assert (changed["total_motion"], changed["status"]) == (3.5, "ctf started")
    assert changed["defocus"] == -1.5e-6
    emptied = await send(client, "PUT", path, {"defocus": None})
    assert (emptied["defocus"], emptied["total_motion"]) == (None, 3.5)
    # What everything has is not emptied.
    named = await send(client, "PUT", f"/grids/{session.grid}", {"name": None, "data_dir": "/x"})
    assert (named["name"], named["data_dir"]) == ("trial", "/x")


async def test_pages_are_told_that_an_acquisition_goes_on(
    client: httpx.AsyncClient, app: FastAPI, database: Database, session: AgentSession
) -> None:
    await app.state.services.writer.close()
    with database.reading() as reading:
        told = reading.execute(
            select(col(LiveEvent.event_type), col(LiveEvent.acquisition_uuid))
        ).all()
    assert ("acquisition.progress", UUID(session.acquisition)) in [tuple(one) for one in told]


def refused() -> list[tuple[str, str, str, dict[str, Any] | list[Any] | None, int, str]]:
    """Return name, method, path, body, status and a word of the answer; `{…}` are filled in."""
    grid, square = {"uuid": "{new}", "acquisition_uuid": "{acquisition}"}, "/gridsquares/{square}"
    hole = {"uuid": "{new}", "gridsquare_id": "1", "gridsquare_uuid": "{square}"}
    shot, of_square = {"uuid": "{new}", "foilhole_id": "101"}, "/grids/{grid}/gridsquares"
    own = {"uuid": "{new}", "gridsquare_id": "9", "grid_uuid": "{grid}"}
    holes, shots = f"{square}/foilholes", "/foilholes/{hole}/micrographs"
    links = "/atlas-tiles/{tile}/gridsquares"
    return [
        ("known uuid", "POST", "/acquisitions", {"uuid": "{acquisition}"}, 409, "already"),
        ("no uuid", "POST", "/acquisitions", {"name": "a"}, 422, "uuid"),
        ("a radius", "POST", "/acquisitions", {"uuid": "{new}", "clustering_radius": "far"}, 422,
         "clustering_radius"),
        ("no parent", "POST", "/acquisitions/{new}/grids", {**grid, "name": "g"}, 404, "acquis"),
        ("other parent", "POST", "/acquisitions/{acquisition}/grids",
         {"uuid": "{new}", "name": "g", "acquisition_uuid": "{new}"}, 422, "acquisition_uuid"),
        ("not EPU's id", "POST", of_square, {**own, "gridsquare_id": "A1"}, 422, "gridsquare_id"),
        ("beyond 64 bits", "POST", of_square, {**own, "atlas_node_id": 2**63}, 422, "atlas_node"),
        ("twice in a batch", "POST", f"{of_square}/batch",
         {"gridsquares": [own, {**own, "gridsquare_id": "8"}]}, 422, "twice"),
        ("an empty batch", "POST", f"{of_square}/batch", {"gridsquares": []}, 422, "gridsquares"),
        ("hole of another", "POST", holes, [{**hole, "foilhole_id": "9", "gridsquare_id": "2"}],
         422, "gridsquare_id"),
        ("hole of another square", "POST", holes, [{**hole, "foilhole_id": "201"}], 409,
         "{other square}"),
        ("shot of another", "POST", shots, {**shot, "foilhole_id": "102"}, 422, "foilhole_id"),
        ("NUL", "POST", shots, {**shot, "location_id": "a\x00"}, 422, "location_id"),
        ("a status", "POST", shots, {**shot, "status": "lost"}, 422, "status"),
        ("half a particle", "POST", shots, {**shot, "number_of_particles_picked": 1.5}, 422,
         "number_of_particles_picked"),
        ("beyond the calendar", "POST", shots,
         {**shot, "acquisition_datetime": "0001-01-01T00:00:00+14:00"}, 422, "acquisition"),
        ("moved", "PUT", "/foilholes/{hole}", {"gridsquare_uuid": "{new}"}, 409, "{square}"),
        ("renumbered", "PUT", square, {"gridsquare_id": "7"}, 409, "gridsquare_id"),
        ("other uuid", "PUT", square, {"uuid": "{new}"}, 422, "uuid"),
        ("not there", "PUT", "/micrographs/{new}", {"defocus": 1.0}, 404, "micrograph"),
        ("nothing to register", "POST", "/grids/{new}/registered", None, 404, "grid"),
        ("fewer than none", "POST", f"{square}/registered?count=-1", None, 422, "count"),
        ("link to nothing", "POST", f"{links}/{{new}}", PLACE, 404, "square"),
        ("link to what", "POST", links, [PLACE], 422, "gridsquare_uuid"),
    ]  # fmt: skip


def filled(value: Any, names: dict[str, str]) -> Any:
    """Return a body or path with ids for the names in it."""
    if isinstance(value, dict):
        return {name: filled(item, names) for name, item in value.items()}
    if isinstance(value, list):
        return [filled(item, names) for item in value]
    return value.format(**names) if isinstance(value, str) and "{" in value else value


async def test_what_cannot_be_is_refused_and_leaves_nothing(
    client: httpx.AsyncClient, session: AgentSession, database: Database
) -> None:
    names = {
        "acquisition": session.acquisition,
        "grid": session.grid,
        "atlas": session.atlas,
        "tile": session.tile,
        "square": session.squares[1],
        "other square": session.squares[2],
        "hole": session.holes[101],
    }
    stored = count(database, InboxMessage)
    wrong = []
    for name, method, path, body, expected, word in refused():
        ids = {**names, "new": new()}
        answer = await client.request(method, filled(path, ids), json=filled(body, ids))
        problem = answer.headers["content-type"] == "application/problem+json"
        detail = answer.json().get("detail", "")
        if (answer.status_code, problem) != (expected, True) or filled(word, ids) not in detail:
            wrong.append((name, answer.status_code, detail))
    assert wrong == []
    assert count(database, InboxMessage) == stored


async def test_infinity_is_no_number(client: httpx.AsyncClient, session: AgentSession) -> None:
    answer = await client.put(
        f"/micrographs/{session.micrograph}",
        content=b'{"defocus": Infinity}',
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code in (400, 422)


def count(database: Database, model: Any) -> int:
    with database.reading() as reading:
        return reading.scalar(select(func.count()).select_from(model)) or 0


async def test_of_twenty_at_once_one_makes_it(
    client: httpx.AsyncClient, database: Database
) -> None:
    body = {"uuid": new(), "name": "once"}
    answers = await asyncio.gather(
        *(status(client, "POST", "/acquisitions", body) for _ in range(20))
    )
    assert sorted(answers) == [201] + [409] * 19
    assert (count(database, Acquisition), count(database, InboxMessage)) == (1, 1)


async def test_one_that_is_wrong_fails_no_neighbour(
    client: httpx.AsyncClient, session: AgentSession
) -> None:
    def square(number: int, **more: Any) -> Any:
        body = {"uuid": new(), "gridsquare_id": str(number), "grid_uuid": session.grid, **more}
        return status(client, "POST", f"/grids/{session.grid}/gridsquares", body)

    known = session.squares[1]
    answers = await asyncio.gather(
        square(11), square(12, uuid=known), square(13, grid_uuid=new()), square(14), square(14)
    )
    assert answers == [201, 409, 422, 201, 201]


async def test_a_batch_is_made_whole_or_not_at_all(
    client: httpx.AsyncClient, session: AgentSession
) -> None:
    own = [
        {"uuid": new(), "gridsquare_id": str(number), "grid_uuid": session.grid}
        for number in range(10, 1010)
    ]
    path = f"/grids/{session.grid}/gridsquares/batch"
    taken = [*own[:-1], {**own[-1], "uuid": session.squares[1]}]
    assert await status(client, "POST", path, {"gridsquares": taken}) == 409
    assert await status(client, "GET", f"/gridsquares/{own[0]['uuid']}") == 404
    made = await send(client, "POST", path, {"gridsquares": own})
    assert [one["uuid"] for one in made["gridsquares"]] == [one["uuid"] for one in own]
    assert await status(client, "POST", path, {"gridsquares": [*own, own[0]]}) == 422


async def test_a_link_is_told_again(client: httpx.AsyncClient, session: AgentSession) -> None:
    path = f"/atlas-tiles/{session.tile}/gridsquares/{session.squares[2]}"
    linked = await send(client, "POST", path, {**PLACE, "center_x": 77})
    assert linked == {
        "atlastile_uuid": session.tile,
        "gridsquare_uuid": session.squares[2],
        **PLACE,
        "center_x": 77,
    }


async def test_what_waited_for_it_goes_on(
    client: httpx.AsyncClient,
    app: FastAPI,
    here: Here,
    session: AgentSession,
    launcher: RecordingLauncher,
) -> None:
    uuid = new()
    prediction = SquarePrediction(
        gridsquare_uuid=uuid,  # pyright: ignore[reportArgumentType]
        prediction_model_name="m",
        prediction_value=0.5,
    )
    await here.send(prediction, source="models")
    (waiting,) = (await send(client, "GET", "/messages?state=waiting"))["items"]
    assert waiting["waiting_for"] == uuid
    body = {"uuid": uuid, "gridsquare_id": "7", "grid_uuid": session.grid}
    await send(client, "POST", f"/grids/{session.grid}/gridsquares", body)
    await app.state.services.writer.close()
    (woken,) = (await send(client, "GET", "/messages?state=pending"))["items"]
    assert (woken["id"], woken["key"]) == (waiting["id"], session.grid)
    assert ("ingest-predictions", session.grid) in launcher.launched


async def test_the_inbox_tells_what_was_asked(
    client: httpx.AsyncClient, session: AgentSession
) -> None:
    query = "/messages?kind=http.micrograph.created"
    (message,) = (await send(client, "GET", query))["items"]
    assert (message["source"], message["key"], message["state"]) == ("http", session.grid, "done")
    told = await send(client, "GET", f"/messages/{message['id']}")
    parent = session.holes[101]
    assert told["payload"] == {"parent": parent, "asked": [session.micrograph_body()]}


async def test_the_audit_leads_to_each_of_a_batch(
    client: httpx.AsyncClient, session: AgentSession
) -> None:
    own = [
        {"uuid": new(), "gridsquare_id": str(number), "grid_uuid": session.grid}
        for number in range(10, 30)
    ]
    await send(client, "POST", f"/grids/{session.grid}/gridsquares/batch", {"gridsquares": own})
    (row, *_) = (await send(client, "GET", "/audit"))["items"]
    assert (row["after"]["parent"], row["after"]["count"]) == (session.grid, 20)
    told = await send(client, "GET", f"/messages/{row['after']['message']}")
    assert told["payload"] == {"parent": session.grid, "asked": own}


_FAIL = {
    "sqlite": (
        "CREATE TRIGGER fail BEFORE UPDATE OF last_news_at ON grid "
        "BEGIN SELECT RAISE(ABORT, 'broken'); END",
        "DROP TRIGGER fail",
    ),
    "postgresql": (
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'broken'; END $$; "
        "CREATE TRIGGER fail BEFORE UPDATE OF last_news_at ON grid "
        "FOR EACH ROW EXECUTE FUNCTION fail()",
        "DROP TRIGGER fail ON grid",
    ),
}


async def test_a_failure_leaves_neither_message_nor_entity(
    app: FastAPI, client: httpx.AsyncClient, database: Database
) -> None:
    session = AgentSession()
    await send(client, "POST", "/acquisitions", session.acquisition_body())
    fail, mend = _FAIL["sqlite" if database.is_sqlite else "postgresql"]
    with database.transaction() as transaction:
        transaction.execute(text(fail))
    path = f"/acquisitions/{session.acquisition}/grids"
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(base_url="http://api", transport=transport) as broken:
        # The last of what the transaction does fails, after message and entity.
        assert not (await broken.post(path, json=session.grid_body())).is_success
    assert (count(database, InboxMessage), count(database, Grid)) == (1, 0)
    with database.transaction() as transaction:
        transaction.execute(text(mend))
    await send(client, "POST", path, session.grid_body())
    with database.reading() as reading:
        states = reading.scalars(select(col(InboxMessage.state))).all()
    assert list(states) == ["done", "done"]
