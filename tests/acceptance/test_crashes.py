"""Kill -9 and dead services, with the real processes."""

import random
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from models.cryoem.messages import SquarePrediction
from simulators.athena.faults import Faults
from simulators.athena.server import running
from tests.acceptance.processes import Facility, Process, facility
from tests.session_fixtures import SmallSession
from tests.support import wait_until

SQUARES = 300

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Facility]:
    """Server and API without a worker: the tests start and kill those themselves."""
    folder: Path = tmp_path_factory.mktemp("crashes")
    # Small requests, so that a kill falls between two of them.
    with facility(folder, ATHANOR_ATHENA__BULK_SIZE="20") as made:
        made.up("--no-worker")
        yield made


def messages(session: SmallSession) -> list[dict]:
    return [m.model_dump(mode="json", exclude_none=True) for m in session.all()]


def predictions(session: SmallSession) -> list[dict]:
    return [
        SquarePrediction(
            grid_uuid=session.grid,
            gridsquare_id=square,
            prediction_model_name="squares-net",
            prediction_value=(square % 10) / 10,
            message_id=f"{session.grid}/prediction/{square}",
        ).model_dump(mode="json", exclude_none=True)
        for square in session.squares
    ]


async def count_areas(athena: httpx.AsyncClient, session: SmallSession) -> int:
    answer = await athena.get(f"/api/v1/Session/{session.grid}/Areas")
    return len(answer.json()) if answer.status_code == 200 else 0


async def decisions(athena: httpx.AsyncClient, session: SmallSession) -> list[str]:
    answer = await athena.get(f"/api/v1/Session/{session.grid}/Decisions")
    return [one["id"] for one in answer.json()]


async def test_athena_holds_each_decision_once_after_workers_are_killed(plant: Facility) -> None:
    session = SmallSession(squares=SQUARES, holes=1, name="killed")
    dice = random.Random(7)
    async with (
        running(port=plant.athena_port) as athena,
        httpx.AsyncClient(base_url=athena.url, timeout=30) as client,
    ):
        worker: Process = plant.worker()
        plant.post(messages(session))

        async def all_areas() -> bool:
            return await count_areas(client, session) == 2 * SQUARES

        await wait_until(all_areas, timeout=90, what="areas at Athena")
        simulator = athena.app.state.simulator
        simulator.injector.set(Faults(drop_after_commit=0.3, latency=0.05, seed=3))
        plant.post(predictions(session))
        for _ in range(4):
            before = len(await decisions(client, session))
            wanted = min(SQUARES, before + dice.randint(1, 40))

            async def further(wanted: int = wanted) -> bool:
                return len(await decisions(client, session)) >= wanted

            await wait_until(further, timeout=60, what=f"{wanted} decisions")
            worker.kill()
            worker = plant.worker()
            plant.launch("sweep")
        simulator.injector.set(Faults())

        async def all_sent() -> bool:
            done = plant.get("/status")["outbox"]["by_state"].get("done", 0)
            if done < SQUARES:
                plant.launch("sweep")
            return done == SQUARES

        await wait_until(all_sent, timeout=90, what="an empty outbox")
        found = await decisions(client, session)
        assert len(found) == len(set(found)) == SQUARES
        worker.stop()


async def test_a_run_failed_by_a_dead_athena_is_retried_and_finishes_the_job(
    plant: Facility, tmp_path: Path
) -> None:
    session = SmallSession(squares=3, holes=1, name="dead athena")
    state = tmp_path / "athena.db"
    worker = plant.worker()
    async with (
        running(port=plant.athena_port, state_path=state) as athena,
        httpx.AsyncClient(base_url=athena.url, timeout=30) as client,
    ):
        plant.post(messages(session))

        async def all_areas() -> bool:
            return await count_areas(client, session) == 6

        await wait_until(all_areas, timeout=60, what="areas at Athena")

        async def at_rest() -> bool:
            return all(run["state_type"] != "RUNNING" for run in plant.runs("submit-decisions"))

        await wait_until(at_rest, timeout=30, what="the end of earlier runs")
    # Nobody listens at Athena's address now.
    plant.post(predictions(session))

    async def failed() -> str | None:
        runs = plant.runs("submit-decisions")
        mine = [
            run
            for run in runs
            if run["parameters"].get("grid_uuid") == str(session.grid)
            and run["state_type"] == "FAILED"
        ]
        return mine[0]["id"] if mine else None

    run_id = await wait_until(failed, timeout=60, what="a failed run")
    assert run_id is not None
    async with (
        running(port=plant.athena_port, state_path=state) as athena,
        httpx.AsyncClient(base_url=athena.url, timeout=30) as client,
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

        await wait_until(completed, timeout=60, what="the retried run's completion")
        found = await decisions(client, session)
        assert len(found) == len(set(found)) == 3
    worker.stop()
