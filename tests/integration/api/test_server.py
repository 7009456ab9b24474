"""The API on a real port: starts, answers, ends what is under way, refuses a taken port."""

import asyncio
import signal
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from api.server import ApiServer
from core.errors import ConfigurationError, PortTaken
from entrypoints.ports import free_port
from tests.integration.api.bodies import prediction
from tests.support import PATIENCE


@pytest.fixture
async def server(app: FastAPI) -> AsyncIterator[ApiServer]:
    made = ApiServer(app, host="127.0.0.1", port=0)
    await made.start()
    yield made
    await made.stop()


async def test_it_answers_once_started(server: ApiServer) -> None:
    async with httpx.AsyncClient(base_url=server.url) as client:
        assert (await client.post("/messages", json=prediction())).status_code == 202
        assert len((await client.get("/messages")).json()["items"]) == 1


async def test_a_body_larger_than_allowed_is_refused_over_the_wire(server: ApiServer) -> None:
    async with httpx.AsyncClient(base_url=server.url) as client:
        answer = await client.post(
            "/messages",
            content=b" " * (16 * 1024 * 1024 + 1),
            headers={"Content-Type": "application/json"},
        )
    assert answer.status_code == 413


async def test_a_taken_port_is_named_with_its_setting(app: FastAPI, server: ApiServer) -> None:
    port = int(server.url.rpartition(":")[2])
    second = ApiServer(app, host="127.0.0.1", port=port)
    with pytest.raises(PortTaken, match=rf"Port {port} for the API .* ATHANOR_API__PORT"):
        await second.start()
    await second.stop()


async def test_an_address_that_is_not_ours_is_a_sentence(app: FastAPI) -> None:
    server = ApiServer(app, host="nowhere.invalid", port=free_port())
    with pytest.raises(ConfigurationError, match="API cannot listen on nowhere"):
        await server.start()


async def test_it_leaves_signals_alone(app: FastAPI) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    server = ApiServer(app, host="127.0.0.1", port=0)
    await server.start()
    async with httpx.AsyncClient(base_url=server.url) as client:
        await client.get("/health")
    during = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    await server.stop()
    assert during == before


async def test_a_stop_lets_a_request_under_way_end() -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()
    slow = FastAPI()

    @slow.get("/")
    async def wait() -> str:
        entered.set()
        await go_on.wait()
        return "done"

    server = ApiServer(slow, host="127.0.0.1", port=0)
    await server.start()
    async with httpx.AsyncClient(base_url=server.url) as client:
        asking = asyncio.create_task(client.get("/"))
        await entered.wait()
        stopping = asyncio.create_task(server.stop())
        await asyncio.sleep(0)
        go_on.set()
        assert (await asking).json() == "done"
        await stopping
    await server.wait()


async def test_wait_returns_when_it_is_stopped_and_a_second_stop_does_nothing(
    app: FastAPI,
) -> None:
    server = ApiServer(app, host="127.0.0.1", port=0)
    await server.start()
    waiting = asyncio.create_task(server.wait())
    await server.stop()
    await server.stop()
    async with asyncio.timeout(PATIENCE):
        await waiting
