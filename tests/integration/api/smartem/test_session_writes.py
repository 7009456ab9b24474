"""A session as SmartEM's agent posts it ends as one whose files our own agent reads."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select
from sqlmodel import col

from api.app import create_app
from messaging.doorbell import LocalDoorbell
from models.cryoem.messages import HolePrediction, SquarePrediction
from models.database import Database
from models.outbox import OutboxMessage
from tasks.cryoem.entities import DISCOVERED, ENDED, REGISTERED, drain_entities
from tasks.cryoem.predictions import drain_predictions
from tasks.cryoem.sessions import open_session
from tasks.cryoem.submission import drain_decisions
from tests.integration.api.smartem.agent import AgentSession, send, send_all
from tests.session_fixtures import Here, RecordingLauncher, SmallSession
from tests.session_fixtures import test_settings as short_settings


@pytest.fixture
async def session(client: httpx.AsyncClient, app: FastAPI) -> AgentSession:
    """A session that was posted, with all that it asked for rung."""
    made = AgentSession()
    await send_all(client, made)
    await app.state.services.writer.close()
    return made


def predictions(session: AgentSession) -> list[SquarePrediction | HolePrediction]:
    """Return what `played.predict` predicts: the first square good, and the first holes.

    Squares are named by EPU's ids, from which the uuids of a client do not follow.
    """
    return [
        *(
            SquarePrediction(
                grid_uuid=session.grid_uuid,
                gridsquare_id=square,
                prediction_model_name="squares-net",
                prediction_value=0.9 if square == 1 else 0.1,
            )
            for square in session.squares
        ),
        *(
            HolePrediction(
                foilhole_uuid=uuid,  # pyright: ignore[reportArgumentType]
                prediction_model_name="holes-net",
                prediction_value=0.8 if hole % 100 == 1 else 0.2,
            )
            for hole, uuid in session.holes.items()
        ),
    ]


async def areas_and_decisions(client: httpx.AsyncClient, grid: object) -> dict[str, Any]:
    found = (await client.get(f"/sessions/{grid}")).json()
    squares = (await client.get(f"/sessions/{grid}/squares")).json()["items"]
    return {
        **{name: found[name] for name in ("areas_registered", "predictions", "decisions")},
        "outbox": found["outbox"],
        "run": found["athena"]["run_number"],
        "entities": {**found["entities"], "tiles": None},
        "squares": [(one["square_id"], one["area_id"], one["holes"]) for one in squares],
    }


async def test_it_ends_in_the_same_areas_and_decisions(
    here: Here, client: httpx.AsyncClient, session: AgentSession, played: SmallSession
) -> None:
    grid = session.grid_uuid
    await open_session.fn(grid)
    await drain_entities.fn(grid)
    await here.send(*predictions(session), source="models")
    await drain_predictions.fn(grid)
    await drain_decisions.fn(grid)
    posted = await areas_and_decisions(client, grid)
    assert posted == await areas_and_decisions(client, played.grid)
    assert posted["areas_registered"] == {"gridsquare": 2, "foilhole": 6}


async def test_runs_and_automations_hear_of_it(
    client: httpx.AsyncClient, session: AgentSession, launcher: RecordingLauncher
) -> None:
    assert launcher.launched == [("register-areas", session.grid)]
    await send(client, "PUT", f"/acquisitions/{session.acquisition}", {"status": "completed"})
    assert [(event, payload["grid_uuid"]) for event, _, payload in launcher.emitted] == [
        (DISCOVERED, session.grid),
        (REGISTERED, session.grid),
        (ENDED, session.grid),
    ]


async def test_messages_are_published_as_smartem_does(database: Database) -> None:
    settings = short_settings()
    rabbit = settings.rabbitmq.model_copy(update={"url": "amqp://nowhere"})
    app = create_app(
        settings.model_copy(update={"rabbitmq": rabbit}),
        database=database,
        doorbell=LocalDoorbell(),
        launcher=None,
    )
    session = AgentSession()
    async with httpx.AsyncClient(base_url="http://api", transport=httpx.ASGITransport(app)) as one:
        await send_all(one, session)
        await send(one, "DELETE", f"/micrographs/{session.micrograph}")
        await app.state.services.writer.close()
        with database.reading() as reading:
            statement = select(col(OutboxMessage.payload)).order_by(col(OutboxMessage.seq))
            payloads = list(reading.scalars(statement))
        # On a queue that is shared with others they come back, and are no news.
        answer = await one.post("/messages", json=payloads)
        assert answer.status_code == 202, answer.text
        assert (await one.get("/messages", params={"state": "dead"})).json()["items"] == []
    holes = ["foilhole.created"] * 3
    assert [one["event_type"] for one in payloads] == [
        *("acquisition.created", "grid.created", "atlas.created", "atlas_tile.created"),
        *("gridsquare_lowmag.created", "gridsquare_lowmag.created", "grid.registered"),
        *("gridsquare.updated", *holes, "gridsquare.registered"),
        *("gridsquare.updated", *holes, "gridsquare.registered"),
        *("micrograph.created", "micrograph.deleted"),
    ]
    hole = next(one for one in payloads if one["event_type"] == "foilhole.created")
    assert hole == {
        "event_type": "foilhole.created",
        "uuid": session.holes[101],
        "foilhole_id": "101",
        "gridsquare_uuid": session.squares[1],
        "gridsquare_id": "1",
        "publisher": "athanor",
    }
    assert {"event_type": "grid.registered", "grid_uuid": session.grid} in payloads
