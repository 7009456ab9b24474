"""POST and GET /messages: what is answered is stored, what is refused is not."""

import gzip
import json
from uuid import uuid4

import httpx
from fastapi import FastAPI
from sqlalchemy import update

from models.database import Database
from models.drain import Drain
from models.inbox import InboxMessage
from tasks.intake import accept
from tests.integration.api.bodies import JSON, prediction, stored
from tests.integration.api.played import play
from tests.session_fixtures import Here, RecordingLauncher, SmallSession


async def test_a_message_is_stored_and_a_run_is_launched_before_the_answer(
    launcher: RecordingLauncher, client: httpx.AsyncClient
) -> None:
    answer = await client.post("/messages", json=prediction())
    assert answer.status_code == 202
    (ident,) = answer.json()["ids"]
    assert answer.json() == {"ids": [ident], "repeated": 0}
    (message,) = await stored(client)
    assert (message["id"], message["state"], message["source"]) == (ident, "pending", "http")
    assert launcher.launched == [("ingest-predictions", prediction()["grid_uuid"])]


async def test_a_list_is_answered_in_order(client: httpx.AsyncClient) -> None:
    bodies = [prediction(foilhole_id=n) for n in range(20)]
    answer = await client.post("/messages", json=bodies, params={"source": "model-7"})
    messages = await stored(client, source="model-7")
    assert [message["id"] for message in reversed(messages)] == answer.json()["ids"]


async def test_the_same_idempotency_key_stores_once_and_is_answered_the_same(
    client: httpx.AsyncClient,
) -> None:
    bodies = [prediction(foilhole_id=1), prediction(foilhole_id=2, message_id="own")]
    headers = {"Idempotency-Key": "batch-1"}
    first = await client.post("/messages", json=bodies, headers=headers)
    again = await client.post("/messages", json=bodies, headers=headers)
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert [m["message_id"] for m in await stored(client)] == ["own", "batch-1/0"]


async def test_other_messages_under_a_used_key_are_a_request_of_their_own(
    client: httpx.AsyncClient,
) -> None:
    headers = {"Idempotency-Key": "batch-1"}
    one, two = prediction(message_id="one"), prediction(message_id="two")
    first = await client.post("/messages", json=[one], headers=headers)
    other = await client.post("/messages", json=[one, two], headers=headers)
    assert other.json()["repeated"] == 1
    assert other.json()["ids"][0] == first.json()["ids"][0]
    elsewhere = await client.post(
        "/messages", json=[one], headers=headers, params={"source": "elsewhere"}
    )
    assert elsewhere.json()["repeated"] == 0
    assert len(await stored(client)) == 3


async def test_message_ids_are_unique_per_source(client: httpx.AsyncClient) -> None:
    body = prediction(message_id="1")
    await client.post("/messages", json=body, params={"source": "a"})
    other = await client.post("/messages", json=body, params={"source": "b"})
    assert other.json()["repeated"] == 0


async def test_one_wrong_message_keeps_all_out_and_each_wrong_field_is_named(
    client: httpx.AsyncClient,
) -> None:
    bodies = [
        prediction(),
        prediction(prediction_value=2, prediction_model_name=""),
        prediction(foilhole_id="x"),
    ]
    answer = await client.post("/messages", json=bodies)
    assert answer.status_code == 422
    assert {(error["index"], error["field"]) for error in answer.json()["errors"]} == {
        (1, "prediction_value"),
        (1, "prediction_model_name"),
        (2, "foilhole_id"),
    }
    assert await stored(client) == []


async def test_the_text_backslash_u0000_is_no_nul_character(client: httpx.AsyncClient) -> None:
    answer = await client.post("/messages", json=prediction(prediction_model_name="a\\u0000NaN"))
    assert answer.status_code == 202


async def test_a_prediction_for_an_unknown_hole_waits_and_says_for_what(
    client: httpx.AsyncClient,
) -> None:
    hole = str(uuid4())
    body = prediction(grid_uuid=None, foilhole_id=None, foilhole_uuid=hole)
    answer = await client.post("/messages", json=body)
    assert answer.status_code == 202
    (message,) = await stored(client, state="waiting")
    assert (message["waiting_for"], message["error"]) == (hole, f"waits for hole {hole}")


async def test_a_gzip_body_is_unpacked(client: httpx.AsyncClient) -> None:
    plain = json.dumps([prediction(foilhole_id=n) for n in range(100)]).encode()
    # Two gzip members are one gzip file.
    packed = gzip.compress(plain[:500]) + gzip.compress(plain[500:])
    headers = {**JSON, "Content-Encoding": "gzip"}
    answer = await client.post("/messages", content=packed, headers=headers)
    assert len(answer.json()["ids"]) == 100


async def test_pages_show_each_message_once_though_more_come_in(client: httpx.AsyncClient) -> None:
    first = await client.post("/messages", json=[prediction(foilhole_id=n) for n in range(25)])
    seen: list[str] = []
    cursor: str | None = None
    while True:
        params = {"limit": 10, **({"cursor": cursor} if cursor else {})}
        page = (await client.get("/messages", params=params)).json()
        seen += [message["id"] for message in page["items"]]
        cursor = page["next_cursor"]
        await client.post("/messages", json=prediction())
        if cursor is None:
            break
    assert seen == list(reversed(first.json()["ids"]))


async def test_messages_are_filtered(client: httpx.AsyncClient, app: FastAPI) -> None:
    await client.post("/messages", json=prediction(), params={"source": "a"})
    await accept(app.state.services, [{"event_type": "nonsense"}], source="b", keep_rejected=True)
    for params, count in (
        ({"state": "dead"}, 1),
        ({"state": "pending"}, 1),
        ({"kind": "nonsense"}, 1),
        ({"source": "a"}, 1),
        ({"key": prediction()["grid_uuid"]}, 1),
        ({"source": "a", "state": "dead"}, 0),
        ({}, 2),
    ):
        assert len(await stored(client, **params)) == count, params


async def test_a_message_shows_what_it_led_to(here: Here, client: httpx.AsyncClient) -> None:
    session = await play(here, SmallSession())
    (summary, *_) = await stored(client, kind="foilhole.model_prediction")
    message = (await client.get(f"/messages/{summary['id']}")).json()
    assert message["state"] == "done"
    assert message["payload"]["foilhole_id"] == session.holes[2][-1]
    assert message["predictions"] == 1
    (decision,) = message["decisions"]
    found = (await client.get(f"/decisions/{decision}")).json()
    assert found["decision_type"] == "foilHoleSelection"
    assert summary["id"] in {one["message"] for one in found["predictions"]}


async def test_a_dead_message_that_is_retried_is_worked_on(
    client: httpx.AsyncClient, database: Database, launcher: RecordingLauncher
) -> None:
    await client.post("/messages", json=prediction())
    with database.transaction() as db:
        db.execute(update(InboxMessage).values(state="dead", attempts=5, error="tired"))
        db.execute(update(Drain).values(state="idle"))
    launcher.launched.clear()
    (message,) = await stored(client, state="dead")
    answer = await client.post(f"/messages/{message['id']}/retry")
    assert answer.json() == {"id": message["id"], "state": "pending", "reason": None}
    (again,) = await stored(client, state="pending")
    assert (again["attempts"], again["error"]) == (0, None)
    assert launcher.launched == [("ingest-predictions", message["key"])]


async def test_a_message_that_is_still_impossible_stays_dead(
    client: httpx.AsyncClient, app: FastAPI
) -> None:
    body = prediction(prediction_value=7)
    await accept(app.state.services, [body], source="mq", keep_rejected=True)
    (message,) = await stored(client, state="dead")
    answer = (await client.post(f"/messages/{message['id']}/retry")).json()
    assert answer["state"] == "dead"
    assert "prediction_value" in answer["reason"]


async def test_only_dead_and_waiting_messages_are_retried(client: httpx.AsyncClient) -> None:
    (ident,) = (await client.post("/messages", json=prediction())).json()["ids"]
    refused = await client.post(f"/messages/{ident}/retry")
    assert (refused.status_code, "pending" in refused.json()["detail"]) == (409, True)
    assert (await client.post(f"/messages/{uuid4()}/retry")).status_code == 404
    assert (await client.get(f"/messages/{uuid4()}")).status_code == 404
