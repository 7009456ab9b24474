"""What is wrong with a message is said at the door, or kept where a person finds it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import uuid4

import httpx
import pytest

from models.cryoem.messages import HolePrediction
from tests.acceptance.commands import athanor
from tests.acceptance.processes import Facility, facility
from tests.session_fixtures import SmallSession
from tests.support import PATIENCE, wait_for


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Facility]:
    with facility(tmp_path_factory.mktemp("bad")) as made:
        made.start("simulate", "athena", "--port", str(made.athena_port), "--forget")
        made.up()
        yield made


GRID = "0b6f9c2e-6a0e-5d0c-9d55-0d2f2b6a7c11"


def square(**changes: Any) -> str:
    """Return a prediction as JSON text; a value of `...` leaves the field out."""
    fields = {
        "event_type": '"gridsquare.model_prediction"',
        "grid_uuid": f'"{GRID}"',
        "gridsquare_id": "7",
        "prediction_model_name": '"net"',
        "prediction_value": "0.5",
        **changes,
    }
    kept = (f'"{name}": {value}' for name, value in fields.items() if value is not ...)
    return "{" + ", ".join(kept) + "}"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (square(event_type='"no.such.thing"'), "event_type"),
        (square(event_type=...), "event_type"),
        (square(prediction_value="2"), "prediction_value"),
        (square(prediction_value="-0.1"), "prediction_value"),
        (square(prediction_value="NaN"), "prediction_value"),
        (square(prediction_value=...), "prediction_value"),
        (square(prediction_model_name=...), "prediction_model_name"),
        (square(grid_uuid='"no uuid"'), "grid_uuid"),
    ],
)
def test_message_that_can_never_be_processed_is_refused_with_its_field(
    plant: Facility, body: str, field: str
) -> None:
    before = plant.get("/messages")["items"]

    # A good neighbour in the same request is not stored either.
    answer = httpx.post(
        f"{plant.api_url}/messages",
        content=f"[{square()}, {body}]",
        headers={"Content-Type": "application/json"},
        timeout=PATIENCE,
    )

    assert answer.status_code == 422
    assert [(one["index"], one["field"]) for one in answer.json()["errors"]] == [(1, field)]
    assert plant.get("/messages")["items"] == before


def states(plant: Facility, state: str) -> dict[str, dict]:
    """Return the messages in a state by id, as the command shows them."""
    listed = athanor("messages", "list", "--state", state, "--json", environment=plant.environment)
    return {one["id"]: one for one in listed.json["items"]}


def state_of(plant: Facility, message: str) -> str:
    return plant.get(f"/messages/{message}")["state"]


def send(plant: Facility, session: SmallSession, hole: int) -> str:
    """Send a prediction for a hole; return our id of it."""
    prediction = HolePrediction(
        grid_uuid=session.grid,
        foilhole_id=hole,
        prediction_model_name="net",
        prediction_value=0.7,
        message_id=str(uuid4()),
    )
    answer = httpx.post(
        f"{plant.api_url}/messages",
        json=prediction.model_dump(mode="json", exclude_none=True),
        timeout=PATIENCE,
    )
    assert answer.status_code == 202
    return answer.json()["ids"][0]


def test_prediction_waits_for_its_hole_and_is_done_when_that_comes(plant: Facility) -> None:
    session = SmallSession(squares=1, holes=1, name="late hole")
    early = send(plant, session, 101)
    wait_for(lambda: state_of(plant, early) == "waiting", what="a waiting message")
    shown = states(plant, "waiting")[early]
    assert "waits for hole" in shown["error"]

    plant.post([m.model_dump(mode="json", exclude_none=True) for m in session.all()])

    wait_for(lambda: state_of(plant, early) == "done", what="the message's end")


def test_spoiled_message_is_dead_says_why_and_is_done_once_it_is_mended(plant: Facility) -> None:
    session = SmallSession(squares=1, holes=1, name="spoiled")
    message = send(plant, session, 101)
    wait_for(lambda: state_of(plant, message) == "waiting", what="a waiting message")
    spoil(plant, message, "0.7", '"much"')

    still = athanor("messages", "retry", message, "--json", environment=plant.environment)

    assert still.json["retried"][0]["state"] == "dead"
    assert "prediction_value" in still.json["retried"][0]["reason"]
    assert "prediction_value" in states(plant, "dead")[message]["error"]

    spoil(plant, message, '"much"', "0.7")
    plant.post([m.model_dump(mode="json", exclude_none=True) for m in session.all()])
    mended = athanor("messages", "retry", message, "--json", environment=plant.environment)

    assert mended.code == 0, mended.errors
    wait_for(lambda: state_of(plant, message) == "done", what="the message's end")


def spoil(plant: Facility, message: str, before: str, after: str) -> None:
    """Change a stored message's content behind everybody's back."""
    with (
        closing(sqlite3.connect(plant.home / "athanor.db", timeout=PATIENCE)) as database,
        database,
    ):
        changed = database.execute(
            "UPDATE inbox_message SET payload = replace(payload, ?, ?) "
            "WHERE replace(id, '-', '') = ?",
            (before, after, message.replace("-", "")),
        )
        assert changed.rowcount == 1
