"""GET /decisions, and the trail from message to Athena."""

from uuid import uuid4

import httpx

from tasks.cryoem.entities import drain_entities
from tasks.cryoem.predictions import drain_predictions
from tests.integration.api.played import hole_prediction, predict, register, square_prediction
from tests.integration.api.test_sessions import all_of
from tests.session_fixtures import Here, SmallSession


async def test_decisions_tell_value_state_and_latency(
    client: httpx.AsyncClient, played: SmallSession
) -> None:
    found = await all_of(client, "/decisions", grid_uuid=str(played.grid), limit=3)
    assert sorted((one["decision_type"], one["square_id"], one["value"]) for one in found) == [
        ("foilHoleSelection", 1, "1 of 3 holes"),
        ("foilHoleSelection", 2, "1 of 3 holes"),
        ("gridSquareSelection", 1, "true"),
        ("gridSquareSelection", 2, "false"),
    ]
    assert {one["state"] for one in found} == {"sent"}
    assert all(0 <= one["latency_seconds"] < 60 for one in found)
    assert "squares-net: 0.9 (threshold 0.5)" in {one["details"] for one in found}


async def test_decisions_are_filtered_by_type_and_state(
    here: Here, client: httpx.AsyncClient, played: SmallSession
) -> None:
    await here.send(square_prediction(played, 1, 0.2))

    await drain_predictions.fn(played.grid)
    (pending,) = await all_of(client, "/decisions", state="pending")
    assert (pending["value"], pending["sent_at"], pending["latency_seconds"]) == (
        "false",
        None,
        None,
    )
    assert len(await all_of(client, "/decisions", state="sent", type="gridSquareSelection")) == 2
    assert len(await all_of(client, "/decisions", type="foilHoleSelection")) == 2
    assert await all_of(client, "/decisions", grid_uuid=str(uuid4())) == []


async def test_an_unsent_decision_is_superseded_by_a_newer_one(
    here: Here, client: httpx.AsyncClient
) -> None:
    session = SmallSession()
    await register(here, session)
    await predict(here, session)
    await predict(here, session)
    assert len(await all_of(client, "/decisions", state="superseded")) == 4
    assert len(await all_of(client, "/decisions", state="pending")) == 4


async def test_a_decision_is_traced_from_message_to_athena(
    here: Here, client: httpx.AsyncClient, played: SmallSession
) -> None:
    found = await all_of(client, "/decisions", type="foilHoleSelection")
    ident = next(one["id"] for one in found if one["square_id"] == 1)
    trail = (await client.get(f"/decisions/{ident}")).json()
    assert [one["target_id"] for one in trail["predictions"]] == [101, 102, 103]
    assert [one["value"] for one in trail["predictions"]] == [0.8, 0.2, 0.2]
    assert {one["source"] for one in trail["predictions"]} == {"models"}
    message = (await client.get(f"/messages/{trail['predictions'][0]['message']}")).json()
    assert message["payload"]["foilhole_id"] == 101
    selected = {
        one["target_id"]: trail["outcome"][one["target_uuid"]] for one in trail["predictions"]
    }
    assert selected == {101: True, 102: False, 103: False}
    assert trail["outbox"]["attempts"] == 1
    assert trail["outbox"]["sent_at"] == trail["sent_at"]
    (told,) = [one for one in await here.client.find_decisions(played.grid) if str(one.id) == ident]
    assert trail["athena"] == {
        "session_id": str(played.grid),
        "area_id": told.area_id,
        "value": told.decision_value,
    }


async def test_a_decision_that_athena_was_never_told_has_its_trail_so_far(
    here: Here, client: httpx.AsyncClient
) -> None:
    session = SmallSession(squares=1, holes=1)
    await here.send(*session.all(), hole_prediction(session, 101, 0.9))

    await drain_entities.fn(session.grid)
    await drain_predictions.fn(session.grid)
    (decision,) = await all_of(client, "/decisions")
    trail = (await client.get(f"/decisions/{decision['id']}")).json()
    assert (trail["state"], trail["athena"], trail["outbox"]["sent_at"]) == ("pending", None, None)
    assert (await client.get(f"/decisions/{uuid4()}")).status_code == 404
