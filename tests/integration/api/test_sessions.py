"""GET /sessions and what is below."""

from typing import Any
from uuid import uuid4

import httpx

from tasks.cryoem.entities import drain_entities
from tests.integration.api.played import play, predict, register
from tests.session_fixtures import Here, SmallSession


async def all_of(client: httpx.AsyncClient, path: str, **params: Any) -> list[dict[str, Any]]:
    """Follow the pages of a list to its end."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        query = {**params, **({"cursor": cursor} if cursor else {})}
        answer = await client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        found += answer.json()["items"]
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            return found


async def test_a_session_tells_its_counts_and_what_athena_has(
    client: httpx.AsyncClient, played: SmallSession
) -> None:
    found = (await client.get(f"/sessions/{played.grid}")).json()
    assert found["entities"] == {"tiles": 0, "squares": 2, "holes": 6, "micrographs": 1}
    assert found["athena"]["session_id"] == str(played.grid)
    assert found["athena"]["run_number"] == 1
    assert found["areas_registered"] == {"gridsquare": 2, "foilhole": 6}
    assert found["predictions"] == {"gridsquare": 2, "foilhole": 6}
    assert found["decisions"] == [
        {"decision_type": "foilHoleSelection", "decisions": 2, "selected": 2, "rejected": 4},
        {"decision_type": "gridSquareSelection", "decisions": 2, "selected": 1, "rejected": 1},
    ]
    assert found["outbox"] == {"sent": 4}
    assert found["inbox"] == {"done": 3 + 1 + 8}
    assert (found["decisions_sent"], found["decisions_pending"]) == (4, 0)


async def test_a_repeated_decision_counts_what_is_in_force(
    here: Here, client: httpx.AsyncClient, played: SmallSession
) -> None:
    await predict(here, played)
    (holes, squares) = (await client.get(f"/sessions/{played.grid}")).json()["decisions"]
    assert (squares["decisions"], squares["selected"], squares["rejected"]) == (4, 1, 1)
    assert (holes["decisions"], holes["selected"], holes["rejected"]) == (4, 2, 4)


async def test_sessions_are_listed_with_counts_page_by_page(
    here: Here, client: httpx.AsyncClient
) -> None:
    sessions = [SmallSession(squares=1 + n, name=f"trial-{n}") for n in range(5)]
    for session in sessions:
        await register(here, session)
    found = await all_of(client, "/sessions", limit=2)
    counts = {one["grid_uuid"]: one["squares"] for one in found}
    assert len(found) == 5
    assert counts == {str(session.grid): len(session.squares) for session in sessions}


async def test_squares_and_holes_come_by_epu_id_with_what_is_predicted(
    client: httpx.AsyncClient, played: SmallSession
) -> None:
    squares = await all_of(client, f"/sessions/{played.grid}/squares", limit=1)
    assert [square["square_id"] for square in squares] == [1, 2]
    assert [(s["holes"], s["registered"], s["area_id"]) for s in squares] == [
        (3, True, 1),
        (3, True, 2),
    ]
    assert [s["predictions"][0]["value"] for s in squares] == [0.9, 0.1]
    holes = await all_of(client, f"/sessions/{played.grid}/holes", limit=4)
    assert [hole["hole_id"] for hole in holes] == [101, 102, 103, 201, 202, 203]
    assert holes[0]["predictions"][0]["model"] == "holes-net"
    of_second = await all_of(
        client, f"/sessions/{played.grid}/holes", square_uuid=squares[1]["uuid"]
    )
    assert [hole["hole_id"] for hole in of_second] == [201, 202, 203]


async def test_micrographs_come_by_name(here: Here, client: httpx.AsyncClient) -> None:
    session = await play(here, SmallSession(squares=1, holes=5))
    await here.send(*(session.micrograph(1, hole) for hole in session.holes[1][1:]))

    await drain_entities.fn(session.grid)
    found = await all_of(client, f"/sessions/{session.grid}/micrographs", limit=2)
    stems = [one["stem"] for one in found]
    assert len(stems) == 5
    assert stems == sorted(stems)
    assert found[0]["defocus"] == -1.5e-6


async def test_an_unknown_session_is_not_found(client: httpx.AsyncClient) -> None:
    for path in ("", "/squares", "/holes", "/micrographs"):
        answer = await client.get(f"/sessions/{uuid4()}{path}")
        assert answer.status_code == 404, path
        assert "no session" in answer.json()["detail"]
