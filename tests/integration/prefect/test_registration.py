"""Registering deployments, schedules, limits and triggers with a real Prefect server."""

import asyncio
import os
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from prefect.blocks.system import Secret
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import ConcurrencyLimitStrategy
from prefect.exceptions import ObjectNotFound

from core.errors import ConfigurationError
from deployments.project import read_project
from deployments.registry import PROJECT_FILE, register_blocks, register_deployments
from deployments.work_pool import ensure_work_pool
from entrypoints.worker import WarmWorker
from messaging.launcher import emit
from tests.conftest import ROOT
from tests.integration.prefect.conftest import Deploy
from tests.support import wait_until

pytestmark = pytest.mark.prefect

PROJECT = """
name: test
pull: []
definitions:
  pool: &pool
    name: {pool}
deployments:
  - name: note-{pool}
    entrypoint: tests/integration/prefect/sample_flows.py:note
    description: Writes a line down.
    tags: [cryoem]
    work_pool: *pool
    schedules:
      - interval: 3600
    concurrency_limit:
      limit: 1
      collision_strategy: CANCEL_NEW
    triggers:
      - name: When a session is discovered
        type: event
        enabled: true
        expect: ["athanor.test.discovered.{pool}"]
        parameters:
          line: "{{{{ event.payload.grid_uuid }}}}"
"""


@pytest.fixture
def project_file(pool: str, tmp_path: Path) -> Path:
    file = tmp_path / "prefect.yaml"
    file.write_text(PROJECT.format(pool=pool))
    return file


async def test_registering_a_second_time_changes_nothing(
    client: PrefectClient, project_file: Path
) -> None:
    definitions = read_project(project_file)

    (first,) = await register_deployments(client, definitions)
    (second,) = await register_deployments(client, definitions)

    assert (first.changed, second.changed) == (True, False)
    assert first.deployment_id == second.deployment_id
    assert len(await owned_automations(client, first.name)) == 1


async def test_a_schedule_that_a_person_paused_stays_paused_until_forced(
    client: PrefectClient, project_file: Path
) -> None:
    definitions = read_project(project_file)
    (registered,) = await register_deployments(client, definitions)
    (schedule,) = await client.read_deployment_schedules(registered.deployment_id)
    await client.update_deployment_schedule(registered.deployment_id, schedule.id, active=False)

    await register_deployments(client, definitions)
    (kept,) = await client.read_deployment_schedules(registered.deployment_id)
    await register_deployments(client, definitions, force=True)
    (reset,) = await client.read_deployment_schedules(registered.deployment_id)

    assert (kept.active, reset.active) == (False, True)


async def test_what_the_file_says_reaches_prefect(
    client: PrefectClient, project_file: Path, pool: str
) -> None:
    (registered,) = await register_deployments(client, read_project(project_file))

    deployment = await client.read_deployment(registered.deployment_id)
    assert registered.name == f"note/note-{pool}"
    assert deployment.description == "Writes a line down."
    assert deployment.tags == ["cryoem"]
    assert deployment.work_pool_name == pool
    assert deployment.global_concurrency_limit is not None
    assert deployment.global_concurrency_limit.limit == 1
    assert deployment.concurrency_options is not None
    assert deployment.concurrency_options.collision_strategy is ConcurrencyLimitStrategy.CANCEL_NEW
    assert deployment.parameter_openapi_schema["required"] == ["line"]


async def test_a_changed_definition_is_registered_again(
    client: PrefectClient, project_file: Path
) -> None:
    await register_deployments(client, read_project(project_file))
    project_file.write_text(project_file.read_text().replace("3600", "7200"))

    (again,) = await register_deployments(client, read_project(project_file))

    (schedule,) = await client.read_deployment_schedules(again.deployment_id)
    assert again.changed
    assert schedule.schedule.interval.total_seconds() == 7200


async def test_an_emitted_event_starts_a_run_with_its_payload(
    client: PrefectClient, project_file: Path, pool: str, worker: WarmWorker, notebook: list[str]
) -> None:
    await register_deployments(client, read_project(project_file))
    grid_uuid = str(uuid4())

    async def rung() -> bool:
        # The server takes a moment to load a new automation: repeated, as a sweep would.
        emit(
            f"athanor.test.discovered.{pool}",
            f"athanor.cryoem.grid.{grid_uuid}",
            {"grid_uuid": grid_uuid},
        )
        await asyncio.sleep(0.5)
        return grid_uuid in notebook

    await wait_until(rung)


async def test_a_flow_that_does_not_exist_is_refused_before_anything_is_written(
    client: PrefectClient, deploy: Deploy, pool: str
) -> None:
    with pytest.raises(ConfigurationError, match="no_such_flow"):
        await deploy("no_such_flow")

    with pytest.raises(ObjectNotFound):
        await client.read_work_pool(pool)


async def test_a_pool_of_another_kind_is_refused(client: PrefectClient, pool: str) -> None:
    await client.request("POST", "/work_pools/", json={"name": pool, "type": "process"})

    with pytest.raises(ConfigurationError, match="process"):
        await ensure_work_pool(client, pool)


async def test_prefect_deploy_reads_the_same_file(
    client: PrefectClient, project_file: Path, pool: str
) -> None:
    await ensure_work_pool(client, pool)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "prefect",
        "--no-prompt",
        "deploy",
        "--all",
        "--prefect-file",
        str(project_file),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()

    assert process.returncode == 0, output.decode()
    deployment = await client.read_deployment_by_name(f"note/note-{pool}")
    assert deployment.entrypoint == "tests/integration/prefect/sample_flows.py:note"
    assert len(await owned_automations(client, f"note/note-{pool}")) == 1


async def test_blocks_are_saved_once_and_never_overwritten(client: PrefectClient) -> None:
    name = f"secret-{uuid4().hex[:8]}"

    await register_blocks(client, [(name, Secret(value="first"))])
    await register_blocks(client, [(name, Secret(value="second"))])

    block = await Secret.aload(name, client=client)
    assert block.get() == "first"


async def owned_automations(client: PrefectClient, deployment: str) -> list[object]:
    found = await client.read_deployment_by_name(deployment)
    return list(await client.read_resource_related_automations(f"prefect.deployment.{found.id}"))


async def test_our_own_deployments_are_registered_once(client: PrefectClient) -> None:
    definitions = read_project(PROJECT_FILE)

    await register_deployments(client, definitions)
    again = await register_deployments(client, definitions)

    assert [registered.name for registered in again] == [
        f"{definition.name}/{definition.name}" for definition in definitions
    ]
    assert not any(registered.changed for registered in again)
