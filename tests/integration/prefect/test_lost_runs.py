"""Runs of workers that died, or were told to end, in processes of their own."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.client.schemas.objects import StateType

from messaging.launcher import Launcher
from tests.conftest import ROOT
from tests.integration.prefect.conftest import Deploy, Ended, working
from tests.support import PATIENCE, wait_until

pytestmark = pytest.mark.prefect


@asynccontextmanager
async def worker_process(pool: str, *, stop_seconds: float = 0.5) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.integration.prefect.worker_process",
        pool,
        str(stop_seconds),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def begun(name: str, folder: Path) -> UUID:
    """Launch a run that never ends and return its id once it is at work."""
    started = folder / "started"
    async with Launcher() as launcher:
        run_id = await launcher.launch(name, {"started": str(started)})
    await wait_until(lambda: asyncio.to_thread(started.exists), what="the run's start")
    return run_id


async def test_runs_of_a_killed_worker_are_marked_crashed_with_all_that_they_began(
    deploy: Deploy, pool: str, ended: Ended, client: PrefectClient, tmp_path: Path
) -> None:
    told: list[tuple[str, dict[str, Any]]] = []

    async def lost(deployment: str, parameters: Mapping[str, Any]) -> None:
        told.append((deployment, dict(parameters)))

    async def heard() -> bool:
        return bool(told)

    async with worker_process(pool) as process:
        run_id = await begun(await deploy("parent"), tmp_path)
        run = await client.read_flow_run(run_id)
        assert run.state_type is StateType.RUNNING
        process.send_signal(signal.SIGKILL)
        await process.wait()

    async with working(pool, reconcile_seconds=1, lost=lost):
        run = await ended(run_id)
        await wait_until(heard, what="word of the lost run")

    (subflow,) = await client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run_id])
        )
    )
    assert run.state_type is StateType.CRASHED
    assert run.state is not None
    assert "reconciler" in str(run.state.message)
    assert subflow.state_type is StateType.CRASHED
    assert told == [(f"parent-{pool}", {"started": str(tmp_path / "started")})]


async def test_a_worker_process_told_to_end_hands_its_run_on_and_leaves(
    deploy: Deploy, pool: str, ended: Ended, client: PrefectClient, tmp_path: Path
) -> None:
    async with worker_process(pool) as process:
        run_id = await begun(await deploy("end_the_second_time"), tmp_path)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            code = await process.wait()

    assert code == 0
    assert (await client.read_flow_run(run_id)).state_name == "AwaitingRetry"
    assert await client.read_workers_for_work_pool(pool) == []

    async with working(pool):
        assert (await ended(run_id)).state_type is StateType.COMPLETED


async def test_a_second_signal_ends_a_worker_process_at_once(
    deploy: Deploy, pool: str, tmp_path: Path
) -> None:
    async with worker_process(pool, stop_seconds=600) as process:
        await begun(await deploy("never_end"), tmp_path)
        process.send_signal(signal.SIGTERM)
        assert process.stderr
        async with asyncio.timeout(PATIENCE):
            while b"safe point" not in await process.stderr.readline():
                pass
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            assert await process.wait() == 128 + signal.SIGTERM
