"""Models that predict: made known, described, and kept where anything rests on them."""

from typing import Any

import httpx
import pytest

from core.errors import Conflict
from models.cryoem.smartem.model_catalogue import delete_model
from models.database import Database
from tests.integration.api.visibility.conftest import asked_by
from tests.integration.models.factories import plant
from tests.integration.models.measured import predict

SAID = {
    "name": "hole-ranker",
    "description": "ranks holes",
    "can_train": False,
    "can_infer": True,
    "can_update": True,
    "level": "foilhole",
}


async def test_a_model_lives_from_post_to_delete(client: httpx.AsyncClient):
    made = await client.post("/prediction_models", json=SAID)
    assert (made.status_code, made.json()) == (201, SAID)
    assert (await client.get("/prediction_models/hole-ranker")).json() == SAID
    again = await client.post("/prediction_models", json=SAID)
    assert again.status_code == 409
    changed = await client.put(
        "/prediction_models/hole-ranker", json={"description": "", "level": None}
    )
    assert changed.json() == {**SAID, "description": ""}
    assert (await client.get("/prediction_models")).json() == [{**SAID, "description": ""}]
    assert (await client.delete("/prediction_models/hole-ranker")).status_code == 204
    for request in ("GET", "DELETE", "PUT"):
        gone = await client.request(request, "/prediction_models/hole-ranker", json={})
        assert gone.status_code == 404, request


async def test_what_is_said_of_a_model_is_audited(client: httpx.AsyncClient):
    await client.post("/prediction_models", json=SAID)
    await client.put("/prediction_models/hole-ranker", json={"description": "better"})
    await client.delete("/prediction_models/hole-ranker")
    rows = (await client.get("/audit")).json()["items"]
    told = [(row["method"], row["entity"], row["entity_id"]) for row in rows]
    assert told == [(m, "prediction_model", "hole-ranker") for m in ("DELETE", "PUT", "POST")]
    assert [rows[n]["before"] and rows[n]["before"]["description"] for n in range(3)] == [
        "better",
        "ranks holes",
        None,
    ]
    assert rows[2]["after"]["description"] == "ranks holes"


def test_a_model_that_predicts_for_others_stays(database: Database):
    site = plant(database)
    predict(database, {site.holes[0]: 0.5}, "busy")
    with (
        asked_by("another organisation"),
        pytest.raises(Conflict),
        database.transaction() as session,
    ):
        delete_model(session, "busy")


async def test_a_model_that_old_clients_describe_can_infer(client: httpx.AsyncClient):
    made = await client.post("/prediction_models", json={"name": "old"})
    assert made.json() == {
        "name": "old",
        "description": "",
        "can_train": False,
        "can_infer": True,
        "can_update": False,
        "level": None,
    }


async def test_a_model_known_by_its_predictions_stays(
    client: httpx.AsyncClient, database: Database
):
    site = plant(database)
    predict(database, {site.holes[0]: 0.5}, "busy")
    shown = (await client.get("/prediction_models/busy")).json()
    assert (shown["level"], shown["can_infer"], shown["description"]) == ("foilhole", True, "")
    refused = await client.delete("/prediction_models/busy")
    assert refused.status_code == 409
    assert "has predictions in force" in refused.json()["detail"]
    assert (await client.get("/prediction_models/busy")).status_code == 200


SENSELESS: dict[str, Any] = {
    "no name": {},
    "empty name": {"name": ""},
    "NUL": {"name": "a\x00b"},
    "long name": {"name": "x" * 201},
    "unknown level": {"name": "a", "level": "grid"},
    "no truth value": {"name": "a", "can_train": "perhaps"},
}


async def test_a_model_that_makes_no_sense_is_refused(client: httpx.AsyncClient):
    for why, body in SENSELESS.items():
        assert (await client.post("/prediction_models", json=body)).status_code == 422, why
    assert (await client.get("/prediction_models")).json() == []
    # A name that no database takes.
    assert (await client.get("/prediction_models/a%00b")).status_code == 422
