"""Who is told of dead messages and failed runs, and how often, with a real receiver."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    DeploymentFilter,
    DeploymentFilterName,
)
from prefect.client.schemas.objects import FlowRun, StateType
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from api.server import ApiServer
from core.clock import utcnow
from core.settings import NotifySettings, Settings
from deployments.project import DeploymentDefinition, PoolReference, read_project
from deployments.registry import PROJECT_FILE, register_deployments
from entrypoints.ports import free_port
from messaging.launcher import Launcher, emit
from models.base import DeliveryState
from models.database import Database
from models.inbox import NewMessage, store
from tasks.dead_letters import DEAD, dead_letters
from tests.integration.prefect.conftest import Deploy, Ended, working
from tests.session_fixtures import surroundings
from tests.session_fixtures import test_settings as quick_settings
from tests.support import wait_until

pytestmark = pytest.mark.prefect


class Receiver:
    """Takes notifications, as a chat's webhook does."""

    def __init__(self) -> None:
        self.bodies: list[dict] = []
        self.status = 200

    async def take(self, request: Request) -> Response:
        self.bodies.append(await request.json())
        return JSONResponse({}, status_code=self.status)

    @property
    def text(self) -> str:
        return "\n".join(body["text"] for body in self.bodies)


@asynccontextmanager
async def receiving() -> AsyncIterator[tuple[Receiver, str]]:
    receiver = Receiver()
    app = Starlette(routes=[Route("/hook/secret", receiver.take, methods=["POST"])])
    server = ApiServer(app, host="127.0.0.1", port=0)
    await server.start()
    try:
        yield receiver, f"{server.url}/hook/secret"
    finally:
        await server.stop()


@pytest.fixture
def sqlite_database(sqlite_url: str) -> Iterator[Database]:
    database = Database(sqlite_url)
    yield database
    database.close()


def settings(url: str | None, quiet_seconds: float = 0) -> Settings:
    chosen = NotifySettings(url=SecretStr(url) if url else None, quiet_seconds=quiet_seconds)
    return quick_settings(notify=chosen)


@asynccontextmanager
async def at_work(
    database: Database, pool: str, url: str | None, quiet_seconds: float = 0
) -> AsyncIterator[Launcher]:
    """A worker whose runs find the database, and a launcher that wakes it."""
    async with (
        surroundings(database, settings(url, quiet_seconds)),
        working(pool) as worker,
        Launcher(rung=worker.wake) as launcher,
    ):
        yield launcher


def definition(pool: str) -> DeploymentDefinition:
    """Our own definition, on the test's pool and for events of the test's own."""
    (ours,) = [one for one in read_project(PROJECT_FILE) if one.name == "notify"]
    text = (
        ours.model_dump_json()
        .replace(f'"{DEAD}"', f'"{DEAD}.{pool}"')
        .replace('"prefect.resource.name":"athanor"', f'"prefect.resource.name":"{pool}"')
    )
    own = DeploymentDefinition.model_validate_json(text)
    return own.model_copy(update={"name": f"notify-{pool}", "work_pool": PoolReference(name=pool)})


async def store_dead(database: Database, count: int) -> None:
    rows = [
        NewMessage("test", "cryoem", "kind", "", "", {}, state=DeliveryState.DEAD, error=f"bad {n}")
        for n in range(count)
    ]
    await database.write(store, rows, now=utcnow())


async def notices(client: PrefectClient, pool: str) -> list[FlowRun]:
    return await client.read_flow_runs(
        deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[f"notify-{pool}"]))
    )


async def artifact_of(client: PrefectClient, run_id: UUID) -> str:
    (found,) = await client.read_artifacts(
        artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
    )
    return str(found.data)


async def test_with_no_address_set_an_artifact_tells(
    client: PrefectClient, sqlite_database: Database, pool: str, ended: Ended
) -> None:
    await register_deployments(client, [definition(pool)])
    await store_dead(sqlite_database, 7)
    async with at_work(sqlite_database, pool, None) as launcher:
        run = await ended(await launcher.launch(f"notify/notify-{pool}", {"event": "a test"}))

    assert run.state_type is StateType.COMPLETED
    told = await artifact_of(client, run.id)
    assert "7 dead messages" in told
    assert "bad 6" in told
    assert "bad 0" not in told, "the newest are named, not all"


async def test_dead_messages_are_told_once_for_many_events_and_once_more_for_the_rest(
    client: PrefectClient, sqlite_database: Database, pool: str
) -> None:
    await register_deployments(client, [definition(pool)])
    await store_dead(sqlite_database, 1)
    async with (
        receiving() as (receiver, url),
        at_work(sqlite_database, pool, url, quiet_seconds=2),
    ):
        _, resource, payload = dead_letters(1, message_id="1", kind="kind", reason="bad")

        async def told() -> bool:
            # The server takes a moment to load a new automation: repeated until it has.
            emit(f"{DEAD}.{pool}", resource, payload)
            return len(receiver.bodies) > 0

        await wait_until(told, what="a notification")
        await store_dead(sqlite_database, 2)

        async def told_again() -> bool:
            return len(receiver.bodies) > 1

        await wait_until(told_again, what="a second notification")
        runs = await notices(client, pool)

    first, second = receiver.bodies
    assert first["dead_messages"] == 1
    assert second["dead_messages"] == 3
    assert first["event"] == f"{DEAD}.{pool}"
    assert len(runs) == 1, "however many events there were"
    assert runs[0].name == f"notify of {DEAD}.{pool}"


async def test_a_failed_run_is_told_by_name_and_its_own_failure_is_not(
    client: PrefectClient, sqlite_database: Database, deploy: Deploy, pool: str, ended: Ended
) -> None:
    await register_deployments(client, [definition(pool)])
    name = await deploy("fail_always")
    async with (
        receiving() as (receiver, url),
        at_work(sqlite_database, pool, url) as launcher,
    ):
        receiver.status = 500

        async def told() -> bool:
            run_id = await launcher.launch(name, {}, run_name=f"doomed {pool}")
            await ended(run_id)
            return len(receiver.bodies) > 0

        await wait_until(told, what="a notification")
        (notice,) = await notices(client, pool)
        run = await ended(notice.id)
        # More failures in the same quiet time ask for no more notices.
        await ended(await launcher.launch(name, {}))
        assert len(await notices(client, pool)) == 1

    assert f"doomed {pool} (Failed)" in receiver.text
    assert "it never works" in receiver.text
    assert run.state_type is StateType.FAILED
    assert run.state is not None
    assert "answered 500" in str(run.state.message)
    assert "secret" not in str(run.state.message)


async def test_an_address_that_is_not_there_fails_the_run_and_keeps_the_artifact(
    client: PrefectClient, sqlite_database: Database, pool: str, ended: Ended
) -> None:
    await register_deployments(client, [definition(pool)])
    url = f"http://127.0.0.1:{free_port()}/secret"
    async with at_work(sqlite_database, pool, url) as launcher:
        run = await ended(await launcher.launch(f"notify/notify-{pool}", {}))

    assert run.state_type is StateType.FAILED
    assert run.state is not None
    assert "ATHANOR_NOTIFY__URL" in str(run.state.message)
    assert "secret" not in str(run.state.message)
