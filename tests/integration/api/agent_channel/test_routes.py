"""Sessions, instructions and logs by their routes: made, listed, traced, refused."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx

from tests.session_fixtures import SmallSession

SQUARES = "microscope.control.skip_gridsquares"


async def opened(client: httpx.AsyncClient, **values: Any) -> dict[str, Any]:
    answer = await client.post("/agent/sessions", json={"agent_id": "m01", **values})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def told(client: httpx.AsyncClient, session: str, **values: Any) -> httpx.Response:
    given = {
        "session_id": session,
        "instruction_type": SQUARES,
        "payload": {"gridsquare_ids": [7, "8"], "reason": "ice"},
        **values,
    }
    return await client.post("/instructions", json=given)


async def test_a_session_is_opened_about_a_grid_changed_listed_and_ended(
    client: httpx.AsyncClient, played: SmallSession
) -> None:
    made = await opened(client, grid_uuid=str(played.grid), session_id="mine")
    assert (made["mode"], made["square_forward"], made["connected"]) == ("dry-run", 0.8, False)
    assert made["acquisition_uuid"] is not None
    assert (await client.post("/agent/sessions", json=made | {})).status_code == 422
    twice = {"agent_id": "m01", "session_id": "mine"}
    assert (await client.post("/agent/sessions", json=twice)).status_code == 409
    unknown = {"agent_id": "m01", "grid_uuid": str(uuid4())}
    assert (await client.post("/agent/sessions", json=unknown)).status_code == 404
    changed = await client.patch(
        "/agent/sessions/mine", json={"mode": "auto", "thresholds": {"square_skip": 0.2}}
    )
    assert (changed.json()["mode"], changed.json()["square_skip"]) == ("auto", 0.2)
    wrong = {"thresholds": {"square_forward": 0.2, "square_skip": 0.3}}
    assert (await client.patch("/agent/sessions/mine", json=wrong)).status_code == 422
    other = await opened(client, name="another")
    found = await client.get("/agent/sessions", params={"limit": 1})
    assert [one["session_id"] for one in found.json()["items"]] == [other["session_id"]]
    cursor = found.json()["next_cursor"]
    found = await client.get("/agent/sessions", params={"limit": 1, "cursor": cursor})
    assert [one["session_id"] for one in found.json()["items"]] == ["mine"]
    assert (await client.post("/agent/sessions/mine/end")).json()["status"] == "ended"
    assert (await told(client, "mine")).status_code == 409


async def test_instructions_are_made_once_listed_and_judged(client: httpx.AsyncClient) -> None:
    session = (await opened(client, mode="semi-auto"))["session_id"]
    first = (await told(client, session, idempotency_key="a")).json()
    again = (await told(client, session, idempotency_key="a", priority="low")).json()
    assert (again["instruction_id"], again["priority"]) == (first["instruction_id"], "normal")
    assert (first["sequence_number"], first["held"]) == (1, "approval")
    second = (await told(client, session, priority="urgent")).json()
    waiting = {"session_id": session, "held": "approval", "status": "pending"}
    items = (await client.get("/instructions", params=waiting)).json()["items"]
    assert [one["sequence_number"] for one in items] == [2, 1]
    one = f"/instructions/{first['instruction_id']}"
    assert (await client.post(f"{one}/approve")).json()["held"] is None
    assert (await client.post(f"{one}/reject")).status_code == 409
    why = {"reason": "crystalline"}
    cancelled = await client.post(f"/instructions/{second['instruction_id']}/cancel", json=why)
    assert cancelled.json()["ended_because"] == "cancelled by anyone: crystalline"
    detail = (await client.get(f"/instructions/{second['instruction_id']}")).json()
    assert (detail["outcome"], detail["acknowledgements"]) == (detail["ended_because"], [])
    assert (await client.post(f"/instructions/{uuid4()}/approve")).status_code == 404


async def test_payloads_that_mean_nothing_are_refused(client: httpx.AsyncClient) -> None:
    session = (await opened(client, mode="auto"))["session_id"]
    for changes in (
        {"payload": {"gridsquare_ids": []}},
        {"payload": {"squares": [1]}},
        {"instruction_type": "microscope.control.explode"},
        {"instruction_type": "microscope.control.move_stage", "payload": {}},
        {"instruction_type": "agent.config.update", "payload": {"a": "\x00"}},
        {"priority": "asap"},
    ):
        assert (await told(client, session, **changes)).status_code == 422, changes
    assert (await told(client, "unknown")).status_code == 404


async def test_logs_are_stored_all_or_none(client: httpx.AsyncClient) -> None:
    session = (await opened(client))["session_id"]
    line = {
        "timestamp": datetime(2026, 3, 1, tzinfo=UTC).isoformat(),
        "level": "INFO",
        "logger_name": "epu",
        "message": "hello",
    }
    path = f"/agent/m01/session/{session}/logs"
    assert (await client.post(path, json={"logs": [line] * 500})).json() == {"stored": 500}
    assert (await client.post(path, json={"logs": [line] * 501})).status_code == 413
    assert (await client.post(path.replace("m01", "m02"), json={"logs": [line]})).status_code == 404
    page = (await client.get(f"/agent/sessions/{session}/logs", params={"limit": 500})).json()
    assert (len(page["items"]), page["next_cursor"]) == (500, None)


async def test_only_what_was_sent_is_acknowledged_and_nobody_beats_without_a_stream(
    client: httpx.AsyncClient,
) -> None:
    session = (await opened(client, mode="auto"))["session_id"]
    ident = (await told(client, session)).json()["instruction_id"]
    base = f"/agent/m01/session/{session}"
    said = {"status": "received"}
    answer = await client.post(f"{base}/instructions/{ident}/ack", json=said)
    assert (answer.status_code, "contradicts" in answer.json()["detail"]) == (409, True)
    detail = (await client.get(f"/instructions/{ident}")).json()
    assert [(one["status"], one["accepted"]) for one in detail["acknowledgements"]] == [
        ("received", False)
    ]
    assert (await client.post(f"{base}/instructions/no/ack", json=said)).status_code == 404
    unsaid = {"status": "maybe"}
    assert (await client.post(f"{base}/instructions/{ident}/ack", json=unsaid)).status_code == 422
    assert (await client.post(f"{base}/heartbeat")).status_code == 404
