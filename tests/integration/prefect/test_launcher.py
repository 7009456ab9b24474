"""Rings and events against a real Prefect server."""

from uuid import uuid4

import pytest
from prefect.client.orchestration import PrefectClient

from core.errors import PrefectUnavailable
from entrypoints.ports import free_port
from entrypoints.prefect_server import use_server
from messaging.launcher import Launcher
from tests.integration.prefect.conftest import Deploy

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
