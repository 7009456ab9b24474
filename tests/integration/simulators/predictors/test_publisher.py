"""The simulated model and Athanor's API: predictions are taken in, once, about what is known."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from api.app import create_app
from core.clock import utcnow
from domains.cryoem.ids import grid_uuid
from models.cryoem.entities import apply_epu
from models.cryoem.messages import EpuSessionMessage, EpuSquareMessage
from simulators.epu import manifests
from simulators.epu.folder import write_session
from simulators.epu.manifests import SquareProgress
from simulators.epu.truth import grow_grid
from simulators.predictors import PredictionPublisher, SimulatedModel
from simulators.predictors.publisher import PublishFailed, grid_of
from tests.session_fixtures import Here

GRID = grow_grid(6, squares=3, holes=30)
UUID = grid_uuid(manifests.session_manifest(GRID))
MODEL = SimulatedModel("dice", noise=0.3, seed=1)


@asynccontextmanager
async def opened(here: Here) -> AsyncIterator[tuple[PredictionPublisher, httpx.AsyncClient]]:
    shared = here.resources
    app = create_app(
        shared.settings, database=shared.database, doorbell=shared.doorbell, launcher=None
    )
    carrier = httpx.ASGITransport(app)
    publisher = PredictionPublisher("http://api", UUID, GRID, MODEL, transport=carrier)
    async with publisher, httpx.AsyncClient(base_url="http://api", transport=carrier) as looking:
        yield publisher, looking


async def store(here: Here, *messages: EpuSessionMessage | EpuSquareMessage) -> None:
    def write() -> None:
        with here.resources.database.transaction() as session:
            apply_epu(session, messages, now=utcnow())

    await asyncio.to_thread(write)


def session_message() -> EpuSessionMessage:
    return EpuSessionMessage(
        grid_uuid=UUID,
        path="EpuSession.dm",
        observed_at=utcnow(),
        manifest=manifests.session_manifest(GRID),
    )


def square_message(index: int, *, imaged: bool) -> EpuSquareMessage:
    progress = SquareProgress(image="GridSquare_20260112_093000") if imaged else None
    return EpuSquareMessage(
        grid_uuid=UUID,
        path=f"GridSquare_{index}.dm",
        observed_at=utcnow(),
        manifest=manifests.square_manifest(GRID, GRID.squares[index], progress),
    )


async def test_the_api_takes_its_predictions_and_recognises_a_repeat(here):
    square = GRID.squares[0]
    async with opened(here) as (publisher, looking):
        published = await publisher.predict_holes(square.square_id)
        assert published.predictions == len(square.holes)
        await publisher.predict_holes(square.square_id)
        await publisher.predict_squares([s.square_id for s in GRID.squares])

        stored = (await looking.get("/messages", params={"limit": 500})).json()["items"]
    kinds = [message["kind"] for message in stored]
    assert kinds.count("foilhole.model_prediction") == len(square.holes)
    assert kinds.count("gridsquare.model_prediction") == len(GRID.squares)
    assert {message["source"] for message in stored} == {"simulated-model:dice"}


async def test_it_predicts_squares_and_holes_as_athanor_comes_to_know_of_them(here):
    async with opened(here) as (publisher, looking):

        async def appear() -> None:
            await store(here, session_message())
            await store(here, *(square_message(index, imaged=False) for index in range(3)))
            for index in range(3):
                await store(here, square_message(index, imaged=True))

        published, _ = await asyncio.gather(publisher.follow(until_seconds=30), appear())
        stored = (await looking.get("/messages", params={"limit": 500})).json()["items"]

    assert sum(one.predictions for one in published) == 3 + 30
    assert len(stored) == 3 + 30


async def test_it_stops_when_nothing_comes(here):
    async with opened(here) as (publisher, _):
        assert await publisher.follow(until_seconds=0.5) == ()


async def test_an_api_that_is_not_there_is_an_error_that_says_so():
    async with PredictionPublisher("http://127.0.0.1:1", UUID, GRID, MODEL) as publisher:
        with pytest.raises(PublishFailed, match="cannot be reached"):
            await publisher.predict_holes(GRID.squares[0].square_id)


def test_it_knows_the_grid_from_the_session_that_the_microscope_wrote(tmp_path):
    written = write_session(tmp_path, GRID, own_holes=0)
    assert grid_of(written.session_dir / "EpuSession.dm") == UUID
