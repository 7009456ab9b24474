"""Three workers on one PostgreSQL: killed, stopped and told to cancel while they work."""

import asyncio
import signal
from collections.abc import Iterator
from functools import partial

import httpx
import psycopg
import pytest
from sqlalchemy import make_url

from entrypoints.worker.identity import WorkerIdentity
from simulators.athena.faults import Faults
from simulators.athena.server import running
from tests.acceptance.processes import Facility, Process, facility
from tests.database_fixtures import PostgresDatabases
from tests.session_fixtures import SmallSession, bodies
from tests.support import PATIENCE, selection_ids, wait_for, wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

SQUARES = 120

#: Most seconds from SIGTERM to the end.
STOPS_WITHIN = 60


@pytest.fixture
def plant(
    postgres_url: str,
    postgres_databases: PostgresDatabases,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Facility]:
    """Prefect's server and the API on PostgreSQL, without a worker."""
    prefect_url = postgres_databases.create(template="template0")
    plain = make_url(prefect_url).set(drivername="postgresql")
    folder = tmp_path_factory.mktemp("workers")
    with facility(
        folder,
        ATHANOR_DATABASE_URL=postgres_url,
        ATHANOR_PREFECT__DATABASE_URL=plain.render_as_string(hide_password=False),
        # Small requests, so that something happens between two of them.
        ATHANOR_ATHENA__BULK_SIZE="10",
        ATHANOR_WORKER__LINGER_SECONDS="0.2",
    ) as made:
        made.start("up", "--no-worker").says("Athanor is up")
        yield made
    postgres_databases.drop(prefect_url)


class Drains:
    """Who works on what, as our own tables say."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url).set(drivername="postgresql")

    def sender(self) -> int | None:
        """Return the process that sends decisions, in the middle of it."""
        with psycopg.connect(self._url.render_as_string(hide_password=False)) as connection:
            row = connection.execute(
                "SELECT holder FROM drain WHERE flow = 'submit-decisions' AND state = 'running' "
                "AND EXISTS (SELECT 1 FROM outbox_message WHERE state = 'claimed')"
            ).fetchone()
        return int(row[0].split(":")[1]) if row else None


def run_of(plant: Facility, flow: str, state: str) -> dict | None:
    return next((run for run in plant.runs(flow) if run["state_name"] == state), None)


def cancelled(plant: Facility, worker: Process) -> dict | None:
    """Cancel a run that a worker executes, as the UI does; None if all ended before that."""
    for run in plant.runs("submit-decisions"):
        owner = WorkerIdentity.parse(run["infrastructure_pid"])
        if run["state_name"] != "Running" or owner is None or owner.pid != worker.pid:
            continue
        answer = httpx.post(
            f"{plant.prefect_url}/api/flow_runs/{run['id']}/set_state",
            json={"state": {"type": "CANCELLING", "name": "Cancelling"}},
            timeout=PATIENCE,
        )
        assert answer.status_code in {200, 201}, answer.text
        if answer.json()["status"] == "ACCEPT":
            return run
    return None


async def test_all_is_done_once_though_workers_are_killed_stopped_and_told_to_cancel(
    plant: Facility, postgres_url: str
) -> None:
    sessions = [SmallSession(squares=SQUARES, holes=1, name=f"grid {n}") for n in range(3)]
    drains = Drains(postgres_url)
    async with (
        running(port=plant.athena_port) as athena,
        httpx.AsyncClient(base_url=athena.url, timeout=PATIENCE) as client,
    ):
        workers = started(plant, 3)
        for session in sessions:
            plant.post(bodies(session.all()))

        async def areas(session: SmallSession) -> int:
            answer = await client.get(f"/api/v1/Session/{session.grid}/Areas")
            return len(answer.json()) if answer.status_code == 200 else 0

        async def all_areas() -> bool:
            return [await areas(one) for one in sessions] == [2 * SQUARES] * len(sessions)

        await wait_until(all_areas, what="areas at Athena")
        athena.app.state.simulator.injector.set(Faults(latency=0.3, seed=5))
        for session in sessions:
            plant.post(bodies(session.predictions()))

        # In threads, here and below: Athena is in this one, and is to answer meanwhile.
        killed = await asyncio.to_thread(sending, drains, workers)
        killed.kill()
        del workers[killed.pid]

        stopped = await asyncio.to_thread(sending, drains, workers)
        stop = partial(stopped.stop, signal.SIGTERM, timeout=STOPS_WITHIN)
        assert await asyncio.to_thread(stop) == 0
        assert "Traceback" not in stopped.output()
        del workers[stopped.pid]

        # The one that is left: its run is cancelled as the UI's button does it.
        await asyncio.to_thread(sending, drains, workers)
        (left,) = workers.values()
        run = await asyncio.to_thread(
            wait_for, lambda: cancelled(plant, left), what="a run at work that is cancelled"
        )
        assert run is not None

        def state_of_cancelled() -> str:
            answer = httpx.get(f"{plant.prefect_url}/api/flow_runs/{run['id']}", timeout=PATIENCE)
            return answer.json()["state_name"]

        await asyncio.to_thread(
            wait_for,
            lambda: state_of_cancelled() in {"Cancelled", "Crashed"},
            what="the end of the cancelled run",
        )
        athena.app.state.simulator.injector.set(Faults())

        async def decided(session: SmallSession) -> list[str]:
            answer = await client.get(f"/api/v1/Session/{session.grid}/Decisions")
            return selection_ids(answer.json())

        async def all_sent() -> bool:
            return [len(await decided(one)) for one in sessions] == [SQUARES] * len(sessions)

        await wait_until(all_sent, what="all decisions at Athena")
        for session in sessions:
            found = await decided(session)
            assert len(set(found)) == len(found)

        # What the killed worker was at is told as crashed, by those that are left.
        await asyncio.to_thread(
            wait_for,
            lambda: [run for run in plant.runs("submit-decisions") if is_reconciled(run)],
            what="the killed worker's runs to be marked",
        )
        # Nothing stays claimed or running.
        await asyncio.to_thread(
            wait_for,
            lambda: run_of(plant, "submit-decisions", "Running") is None,
            what="the end of all runs",
        )
        assert await asyncio.to_thread(partial(left.stop, timeout=STOPS_WITHIN)) == 0


def started(plant: Facility, count: int) -> dict[int, Process]:
    """Start workers together and return them by process id, once all take runs."""
    url = f"{plant.prefect_url}/api"
    workers = [plant.start("worker", PREFECT_API_URL=url) for _ in range(count)]
    for worker in workers:
        worker.says("The worker takes runs")
    return {worker.pid: worker for worker in workers}


def sending(drains: Drains, workers: dict[int, Process]) -> Process:
    """Wait until one of the workers sends decisions, and return it."""

    def found() -> Process | None:
        pid = drains.sender()
        return workers.get(pid) if pid else None

    worker = wait_for(found, what="a worker that sends")
    assert worker is not None
    return worker


def is_reconciled(run: dict) -> bool:
    return run["state_name"] == "Crashed" and "reconciler" in run["state"]["message"]
