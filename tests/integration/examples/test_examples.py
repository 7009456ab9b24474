"""The programs in `examples/`, run as a newcomer runs them."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from models.database import Database
from models.inbox import InboxMessage
from tests.conftest import ROOT
from tests.integration.agent.hands import AGENT
from tests.integration.agent.instructed import Plant, planted
from tests.rabbitmq_fixtures import Rabbit
from tests.support import PATIENCE

LINES = [("gridsquare", 1, 0.9), *(("foilhole", number, 0.25) for number in range(11, 20))]


@pytest.fixture
async def plant(sqlite_url: str) -> AsyncIterator[Plant]:
    database = Database(sqlite_url)
    async with planted(database) as made:
        yield made
    database.close()


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    file = tmp_path / "scores.csv"
    rows = [f"{level},{number},{value}" for level, number, value in LINES]
    file.write_text("\n".join(["level,id,value", *rows]))
    return file


async def run(name: str, *arguments: str | Path) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        ROOT / "examples" / name,
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_the_sse_client_receives_instructions_and_declines_them(plant: Plant) -> None:
    session = await plant.session()
    idents = await plant.make(session, {}, {})

    code, said = await run("sse_client.py", plant.url, AGENT, session, "--count", "2")

    assert code == 0, said
    assert await plant.fate(*idents) == ["declined", "declined"]
    assert [one.status for one in await plant.acks(idents[0])] == ["received", "declined"]
    assert "gridsquare_ids" in said


async def test_predictions_are_published_over_http_once_however_often_they_are_sent(
    plant: Plant, scores: Path
) -> None:
    arguments = ("--grid", str(uuid4()), "--model", "ice-cnn", "--api", plant.url, scores)

    both = await asyncio.gather(*(run("publish_predictions.py", *arguments) for _ in range(2)))
    assert both == [(0, f"{len(LINES)} predictions are there.\n")] * 2
    scores.write_text("level,id,value\ngridsquare,1,7\n")
    code, said = await run("publish_predictions.py", *arguments)

    assert code == 1
    assert "prediction_value" in said
    stored = await plant.rows(InboxMessage)
    assert len(stored) == len(LINES)
    assert {one.kind for one in stored} == {
        "gridsquare.model_prediction",
        "foilhole.model_prediction",
    }


async def test_predictions_are_published_over_rabbitmq_with_confirmations(
    rabbit: Rabbit, scores: Path
) -> None:
    queue = rabbit.name()
    arguments = ("--grid", str(uuid4()), "--model", "ice-cnn", "--amqp", rabbit.url, "--queue")
    nowhere, _ = await run("publish_predictions.py", *arguments, queue, scores)
    rabbit.declare(queue)

    code, said = await run("publish_predictions.py", *arguments, queue, scores)

    assert nowhere != 0, "a message for a queue that does not exist is not lost in silence"
    assert (code, said) == (0, f"{len(LINES)} predictions are there.\n")
    bodies = [json.loads(body) for _, body in await asyncio.to_thread(rabbit.take, queue)]
    assert [body["prediction_value"] for body in bodies] == [value for _, _, value in LINES]
