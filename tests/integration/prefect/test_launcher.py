"""Rings and events against a real Prefect server."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from prefect.client.orchestration import PrefectClient

from core.errors import PrefectUnavailable
from entrypoints.ports import free_port
from entrypoints.prefect_server import use_server
from messaging.launcher import Launcher
from tests.integration.prefect.conftest import Deploy
from tests.support import wait_until

pytestmark = pytest.mark.prefect


async def test_the_same_key_is_the_same_run(deploy: Deploy) -> None:
    name = await deploy("note")
    key = str(uuid4())
    async with Launcher() as launcher:
        first = await launcher.launch(name, {"line": "1"}, idempotency_key=key)
        second = await launcher.launch(name, {"line": "1"}, idempotency_key=key)

    assert first == second


async def test_a_run_has_the_name_tags_and_parameters_asked_for(
    deploy: Deploy, client: PrefectClient
) -> None:
    name = await deploy("note", tags=["cryoem"])
    async with Launcher() as launcher:
        run_id = await launcher.launch(
            name, {"line": "x"}, tags=["grid:7"], run_name="note Grid_7 3 msgs"
        )

    run = await client.read_flow_run(run_id)
    assert run.name == "note Grid_7 3 msgs"
    assert set(run.tags) == {"cryoem", "grid:7"}
    assert run.parameters == {"line": "x"}


async def test_whoever_wants_to_be_woken_is_woken_once_per_ring(deploy: Deploy) -> None:
    rings: list[str] = []
    name = await deploy("note")
    async with Launcher(rung=lambda: rings.append("ring")) as launcher:
        await launcher.launch(name, {"line": "x"})

    assert rings == ["ring"]


async def test_a_deployment_made_anew_is_found_again(deploy: Deploy, client: PrefectClient) -> None:
    name = await deploy("note")
    async with Launcher() as launcher:
        await launcher.launch(name, {"line": "old"})
        await client.delete_deployment((await client.read_deployment_by_name(name)).id)
        await deploy("note")
        run_id = await launcher.launch(name, {"line": "new"})

    assert (await client.read_flow_run(run_id)).parameters == {"line": "new"}


async def test_an_unknown_deployment_is_named(prefect_server: str) -> None:
    async with Launcher() as launcher:
        with pytest.raises(PrefectUnavailable, match="launch nothing/here"):
            await launcher.launch("nothing/here", {})


async def test_wrong_parameters_are_refused_with_the_reason(deploy: Deploy) -> None:
    name = await deploy("note")
    async with Launcher() as launcher:
        with pytest.raises(PrefectUnavailable, match="line"):
            await launcher.launch(name, {"line": {"not": "text"}})


async def test_without_a_server_a_launch_fails_as_unavailable(prefect_server: str) -> None:
    use_server(f"http://127.0.0.1:{free_port()}/api")
    try:
        async with Launcher() as launcher:
            with pytest.raises(PrefectUnavailable):
                await launcher.launch("note/note", {})
    finally:
        use_server(prefect_server)


async def test_while_prefect_is_away_only_the_first_ring_waits_and_later_ones_go_through(
    deploy: Deploy, prefect_server: str
) -> None:
    name = await deploy("note")
    port = free_port()
    use_server(f"http://127.0.0.1:{port}/api")
    try:
        launcher = await Launcher().__aenter__()
    finally:
        use_server(prefect_server)
    try:
        with pytest.raises(PrefectUnavailable, match="Could not launch"):
            await launcher.launch(name, {"line": "lost"})
        for _ in range(20):
            began = time.monotonic()
            with pytest.raises(PrefectUnavailable, match="Prefect is away"):
                await launcher.launch(name, {"line": "lost"})
            assert time.monotonic() - began < 5, "it asks for a second at most"

        async with forwarding(port, prefect_server):

            async def launched() -> bool:
                try:
                    await launcher.launch(name, {"line": "back"})
                except PrefectUnavailable:
                    return False
                return True

            await wait_until(launched, what="a launch")
    finally:
        await launcher.__aexit__(None, None, None)


@asynccontextmanager
async def forwarding(port: int, prefect_server: str) -> AsyncIterator[None]:
    """Lead connections to a port on to Prefect's server, as if it had come back there."""
    there = urlsplit(prefect_server)

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def lead_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(there.hostname, there.port)
        with suppress(ConnectionError):
            await asyncio.gather(copy(reader, up_writer), copy(up_reader, writer))

    async with await asyncio.start_server(lead_on, "127.0.0.1", port):
        yield
