"""Kill -9 and dead services, with the real processes."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from entrypoints.ports import free_port
from simulators.athena.faults import Faults
from simulators.athena.server import running
from tests.acceptance.processes import Facility, Process, facility
from tests.session_fixtures import SmallSession, bodies
from tests.support import PATIENCE, selection_ids, wait_until

SQUARES = 300


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Facility]:
    """Server and API without a worker: the tests start and kill those themselves."""
    folder: Path = tmp_path_factory.mktemp("crashes")
    # Small requests, so that a kill falls between two of them.
    with facility(folder, ATHANOR_ATHENA__BULK_SIZE="20") as made:
        made.up("--no-worker")
        yield made


async def count_areas(athena: httpx.AsyncClient, session: SmallSession) -> int:
    answer = await athena.get(f"/api/v1/Session/{session.grid}/Areas")
    return len(answer.json()) if answer.status_code == 200 else 0


async def decisions(athena: httpx.AsyncClient, session: SmallSession) -> list[str]:
    answer = await athena.get(f"/api/v1/Session/{session.grid}/Decisions")
    return selection_ids(answer.json())


async def test_athena_holds_each_decision_once_after_workers_are_killed(plant: Facility) -> None:
    session = SmallSession(squares=SQUARES, holes=1, name="killed")
    dice = random.Random(7)
    async with (
        running(port=plant.athena_port) as athena,
        httpx.AsyncClient(base_url=athena.url, timeout=PATIENCE) as client,
    ):
        worker: Process = plant.worker()
        plant.post(bodies(session.all()))

        async def all_areas() -> bool:
            return await count_areas(client, session) == 2 * SQUARES

        await wait_until(all_areas, what="areas at Athena")
        simulator = athena.app.state.simulator
        simulator.injector.set(Faults(drop_after_commit=0.3, latency=0.05, seed=3))
        plant.post(bodies(session.predictions()))
        for _ in range(4):
            before = len(await decisions(client, session))
            wanted = min(SQUARES, before + dice.randint(1, 40))

            async def further(wanted: int = wanted) -> bool:
                return len(await decisions(client, session)) >= wanted

            await wait_until(further, what=f"{wanted} decisions")
            worker.kill()
            worker = plant.worker()
            plant.launch("sweep")
        simulator.injector.set(Faults())

        async def all_sent() -> bool:
            by_state = plant.get("/status")["outbox"]["by_state"]
            if set(by_state) <= {"done", "superseded"}:
                return True
            plant.launch("sweep")
            return False

        await wait_until(all_sent, what="an empty outbox")
        found = await decisions(client, session)
        assert len(found) == len(set(found)) == SQUARES
        worker.stop()


async def test_an_api_that_started_before_prefect_launches_runs_once_that_is_there(
    plant: Facility,
) -> None:
    session = SmallSession(squares=1, holes=1, name="early api")
    api_port, prefect_port = free_port(), free_port()
    api = plant.start(
        "api",
        ATHANOR_API__PORT=str(api_port),
        PREFECT_API_URL=f"http://127.0.0.1:{prefect_port}/api",
    )
    api.says("not reachable")
    api.says("The API is at")

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", plant.prefect_port)
        await asyncio.gather(_copy(reader, back), _copy(there, writer))

    async with await asyncio.start_server(relay, "127.0.0.1", prefect_port):
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{api_port}", timeout=PATIENCE
        ) as client:
            answer = await client.post("/messages", json=bodies(session.all()))
        assert answer.status_code == 202

        async def launched() -> bool:
            runs = await asyncio.to_thread(plant.runs, "register-areas")
            return any(run["parameters"]["grid_uuid"] == str(session.grid) for run in runs)

        # No worker is there, so it is no sweep that launches.
        await wait_until(launched, what="a launched run")
        await asyncio.to_thread(api.stop)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while part := await reader.read(65536):
        writer.write(part)
        await writer.drain()
    writer.close()


async def test_a_run_failed_by_a_dead_athena_is_retried_and_finishes_the_job(
    plant: Facility, tmp_path: Path
) -> None:
    session = SmallSession(squares=3, holes=1, name="dead athena")
    state = tmp_path / "athena.db"
    worker = plant.worker()
    async with (
        running(port=plant.athena_port, state_path=state) as athena,
        httpx.AsyncClient(base_url=athena.url, timeout=PATIENCE) as client,
    ):
        plant.post(bodies(session.all()))

        async def all_areas() -> bool:
            return await count_areas(client, session) == 6

        await wait_until(all_areas, what="areas at Athena")

        async def at_rest() -> bool:
            return all(run["state_type"] != "RUNNING" for run in plant.runs("submit-decisions"))

        await wait_until(at_rest, what="the end of earlier runs")
    # Nobody listens at Athena's address now.
    plant.post(bodies(session.predictions()))

    async def failed() -> str | None:
        runs = plant.runs("submit-decisions")
        mine = [
            run
            for run in runs
            if run["parameters"].get("grid_uuid") == str(session.grid)
            and run["state_type"] == "FAILED"
        ]
        return mine[0]["id"] if mine else None

    run_id = await wait_until(failed, what="a failed run")
    assert run_id is not None
    async with (
        running(port=plant.athena_port, state_path=state) as athena,
        httpx.AsyncClient(base_url=athena.url, timeout=PATIENCE) as client,
    ):
        # What the UI's retry button does.
        answer = httpx.post(
            f"{plant.prefect_url}/api/flow_runs/{run_id}/set_state",
            json={"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}, "force": True},
        )
        assert answer.status_code in {200, 201}, answer.text

        async def completed() -> bool:
            run = httpx.get(f"{plant.prefect_url}/api/flow_runs/{run_id}").json()
            return run["state_type"] == "COMPLETED"

        await wait_until(completed, what="the retried run's completion")
        found = await decisions(client, session)
        assert len(found) == len(set(found)) == 3
    worker.stop()
