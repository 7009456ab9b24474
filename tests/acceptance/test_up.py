"""`athanor up`: it starts, serves, stops, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
import yaml

from core.errors import PortTaken
from entrypoints.ports import require_free_port
from simulators.athena.server import running
from tests.acceptance.processes import Facility, Process, facility
from tests.conftest import ROOT
from tests.session_fixtures import SmallSession
from tests.support import PATIENCE, wait_for, wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")

#: Most seconds from the signal to the end.
STOPS_WITHIN = 60
#: Most resident memory of the stack without Prefect's server, in bytes.
MEMORY = 400 * 1024 * 1024


@dataclass(frozen=True)
class Started:
    """A running `athanor up`."""

    plant: Facility
    process: Process


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """The `athanor up` of this module."""
    with facility(tmp_path_factory.mktemp("up")) as made:
        yield Started(made, made.up())


@pytest.fixture
def plant(started: Started) -> Facility:
    return started.plant


def is_free(port: int) -> bool:
    try:
        require_free_port("127.0.0.1", port, what="", setting="")
    except PortTaken:
        return False
    return True


def assert_nothing_left(made: Facility, family: list[psutil.Process]) -> None:
    """Wait until every process of a family is gone and the ports are free."""
    _, alive = psutil.wait_procs(family, timeout=STOPS_WITHIN)
    assert alive == []
    wait_for(lambda: is_free(made.api_port), what="the API's port")
    wait_for(lambda: is_free(made.prefect_port), what="Prefect's port")


def family_of(process: Process) -> list[psutil.Process]:
    found = process.children()
    assert len(found) == 1, "only Prefect's server is a process of its own"
    return found


def bodies(session: SmallSession) -> list[dict]:
    return [m.model_dump(mode="json", exclude_none=True) for m in session.all()]


def test_health_and_status_answer(plant: Facility) -> None:
    assert plant.get("/health")["status"] == "ok"
    status = plant.get("/status")
    assert {"inbox", "outbox", "sessions", "version"} <= status.keys()


def test_prefect_lists_every_deployment_of_the_project(plant: Facility, tmp_path: Path) -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "prefect", "deployment", "ls"],
        env={
            **os.environ,
            "PREFECT_API_URL": f"{plant.prefect_url}/api",
            "PREFECT_HOME": str(tmp_path),
            "DO_NOT_TRACK": "1",
            "COLUMNS": "200",
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    ).stdout

    declared = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    assert declared
    missing = [one["name"] for one in declared if f"{one['name']}/{one['name']}" not in listed]
    assert missing == []


@pytest.mark.parametrize(
    ("taken", "setting"),
    [("api_port", "ATHANOR_API__PORT"), ("prefect_port", "ATHANOR_PREFECT__PORT")],
)
def test_taken_port_is_named_with_its_setting_and_nothing_keeps_running(
    plant: Facility, tmp_path: Path, taken: str, setting: str
) -> None:
    with facility(tmp_path, **{setting: str(getattr(plant, taken))}) as other:
        process = other.start("up")
        code = process.ended()

        assert code == 1
        said = process.output().strip()
        assert f"Port {getattr(plant, taken)} " in said
        assert setting in said
        assert len(said.splitlines()) == 1, said
    free = {"api_port": other.prefect_port, "prefect_port": other.api_port}
    assert is_free(free[taken])
    assert plant.get("/health")["status"] == "ok"


def test_with_a_prefect_server_elsewhere_none_is_started(plant: Facility, tmp_path: Path) -> None:
    with facility(tmp_path, PREFECT_API_URL=f"{plant.prefect_url}/api") as other:
        process = other.up()

        assert process.children() == []
        assert is_free(other.prefect_port)
        assert other.get("/health")["status"] == "ok"
        assert process.stop(signal.SIGINT, timeout=STOPS_WITHIN) == 0


async def test_stack_without_prefects_server_stays_small(started: Started) -> None:
    plant = started.plant
    session = SmallSession(squares=10, holes=10, name="small")
    async with (
        running(port=plant.athena_port) as athena,
        httpx.AsyncClient(base_url=athena.url, timeout=PATIENCE) as client,
    ):
        plant.post(bodies(session))

        async def all_areas() -> bool:
            answer = await client.get(f"/api/v1/Session/{session.grid}/Areas")
            return answer.status_code == 200 and len(answer.json()) == 110

        await wait_until(all_areas, what="areas at Athena")
    stack = psutil.Process(started.process.pid)
    assert stack.memory_info().rss <= MEMORY


def test_stops_without_leaving_anything_and_starts_again_with_its_data(tmp_path: Path) -> None:
    session = SmallSession(squares=1, holes=1, name="kept")
    with facility(tmp_path) as made:
        first = made.up()
        made.post(bodies(session))
        family = family_of(first)

        assert first.stop(signal.SIGTERM, timeout=STOPS_WITHIN) == 0

        assert_nothing_left(made, family)
        assert "Stopped." in first.output()
        assert "Traceback" not in first.output()

        second = made.up()
        assert "migrated" not in second.output()
        assert "registered with Prefect" not in second.output()
        assert len(made.get("/messages")["items"]) == len(bodies(session))
        family = family_of(second)

        assert second.stop(signal.SIGINT, timeout=STOPS_WITHIN) == 0

        assert_nothing_left(made, family)
        assert "Traceback" not in second.output()


def test_killed_process_leaves_no_prefect_server(tmp_path: Path) -> None:
    with facility(tmp_path) as made:
        process = made.start("up")
        # Killed while it starts, when nothing of it can have been cleaned up.
        process.says("Prefect server is at")
        family = family_of(process)

        process.kill()

        assert_nothing_left(made, family)
