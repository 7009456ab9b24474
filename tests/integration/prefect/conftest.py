"""A work pool per test, deployments in it, and workers that serve it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun

from core.settings import WorkerSettings
from deployments.project import DeploymentDefinition
from deployments.registry import register_deployments
from entrypoints.worker import WarmWorker
from entrypoints.worker.reconciler import Lost
from messaging.launcher import Launcher
from tests.integration.prefect import sample_flows
from tests.support import wait_until

Deploy = Callable[..., Awaitable[str]]
Ended = Callable[[UUID], Awaitable[FlowRun]]


@pytest.fixture
def pool(prefect_server: str) -> str:
    """A work pool's name that no other test uses."""
    return f"pool-{uuid4().hex[:8]}"


@pytest.fixture
async def client(prefect_server: str) -> AsyncIterator[PrefectClient]:
    async with get_client() as client:
        yield client


@pytest.fixture
def deploy(client: PrefectClient, pool: str) -> Deploy:
    """Deploy a sample flow into the test's pool; return "flow/deployment"."""

    async def deploy(flow: str, **more: object) -> str:
        definition = DeploymentDefinition.model_validate(
            {
                "name": f"{flow}-{pool}",
                "entrypoint": f"tests/integration/prefect/sample_flows.py:{flow}",
                "work_pool": {"name": pool},
                "description": "A deployment of the tests.",
                **more,
            }
        )
        (registered,) = await register_deployments(client, [definition])
        return registered.name

    return deploy


@pytest.fixture
def ended(client: PrefectClient) -> Ended:
    """Wait for a run's final state and return the run."""

    async def final(run_id: UUID) -> FlowRun | None:
        run = await client.read_flow_run(run_id)
        return run if run.state and run.state.is_final() else None

    async def ended(run_id: UUID) -> FlowRun:
        run = await wait_until(lambda: final(run_id), what=f"the end of run {run_id}")
        assert run is not None
        return run

    return ended


@asynccontextmanager
async def working(
    pool: str, *, reconcile_seconds: float = 15.0, lost: Lost | None = None, **settings: float
) -> AsyncIterator[WarmWorker]:
    """A worker in this process, which polls so rarely that only being woken explains speed."""
    worker = WarmWorker(
        WorkerSettings.model_validate(
            {"pool": pool, "poll_seconds": 3600, "stop_seconds": 0.2, **settings}
        ),
        reconcile_seconds=reconcile_seconds,
        lost=lost,
    )
    await worker.start()
    try:
        yield worker
    finally:
        await worker.stop()


@pytest.fixture
async def worker(pool: str, notebook: list[str]) -> AsyncIterator[WarmWorker]:
    async with working(pool) as worker:
        yield worker


@pytest.fixture
async def launcher(worker: WarmWorker) -> AsyncIterator[Launcher]:
    async with Launcher(rung=worker.wake) as launcher:
        yield launcher


@pytest.fixture
def notebook() -> list[str]:
    """What flows of this process write into."""
    pages: list[str] = []
    sample_flows.NOTEBOOK.set(pages)
    return pages
