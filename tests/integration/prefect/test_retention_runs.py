"""Prefect's own history goes too, and is counted beforehand."""

from datetime import timedelta

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.states import Completed

from core.clock import utcnow
from tasks.retention_runs import count_runs, delete_runs
from tests.integration.prefect.conftest import Deploy

pytestmark = pytest.mark.prefect


async def test_runs_that_ended_long_ago_are_counted_and_deleted(
    client: PrefectClient, deploy: Deploy, pool: str
) -> None:
    deployment = await client.read_deployment_by_name(await deploy("note"))
    runs = [
        await client.create_flow_run_from_deployment(deployment.id, parameters={"line": "x"})
        for _ in range(3)
    ]
    for run in runs[:2]:
        await client.set_flow_run_state(run.id, Completed(), force=True)
    future, past = utcnow() + timedelta(hours=1), utcnow() - timedelta(hours=1)
    told: list[int] = []

    assert await count_runs(client, pool) == 3
    assert await count_runs(client, pool, before=future) == 2
    assert await count_runs(client, pool, before=past) == 0
    assert await delete_runs(client, pool, before=past) == 0
    done = await delete_runs(
        client, pool, before=future, progress=lambda _, rows: told.append(rows)
    )
    assert (done, told) == (2, [2])
    assert await count_runs(client, pool) == 1
    assert await count_runs(client, f"{pool}-other") == 0
