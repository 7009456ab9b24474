"""`pip install athanor[agent]` is enough beside a microscope: no part of the server is needed."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from models import migrations
from models.database import Database
from tests.acceptance.processes import Facility, facility
from tests.conftest import ROOT
from tests.support import PATIENCE, wait_for

#: What only servers have.
SERVER = (
    *("prefect", "sqlmodel", "sqlalchemy", "alembic", "fastapi", "pika", "psycopg"),
    *("numpy", "scipy", "sklearn", "matplotlib", "plotly"),
)
_LEAVE_OUT = shutil.ignore_patterns(".*", "tests", "docs", "build", "*.egg-info", "__pycache__")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an environment with nothing but the extra `agent`."""
    folder = tmp_path_factory.mktemp("bare")
    source, environment = folder / "source", folder / "venv"
    shutil.copytree(ROOT, source, ignore=_LEAVE_OUT)
    uv = Path(sys.executable).with_name("uv")
    if not uv.exists():
        pytest.skip("needs uv beside the interpreter, as `make test` installs it")
    python = environment / "bin" / "python"
    for command in (
        [uv, "venv", "--python", sys.executable, environment],
        [uv, "pip", "install", "--python", python, f"{source}[agent]"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
    return environment / "bin"


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Facility]:
    with facility(tmp_path) as made:
        database = Database(f"sqlite:///{made.home / 'athanor.db'}")
        migrations.upgrade(database)
        database.close()
        yield made


def environment(home: Path) -> dict[str, str]:
    given = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**given, "ATHANOR_HOME": str(home), "ATHANOR_AGENT__NAME": "m01-epu"}


def run(bare: Path, home: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program of the bare environment, far from the repository."""
    return subprocess.run(
        [bare / str(arguments[0]), *map(str, arguments[1:])],
        cwd=home,
        env=environment(home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_agent_runs_without_the_servers_dependencies(
    bare: Path, plant: Facility, shared: Path, tmp_path: Path
) -> None:
    home = tmp_path / "instrument"
    home.mkdir()
    code = f"import importlib.util as u; print([n for n in {SERVER!r} if u.find_spec(n)])"
    assert run(bare, home, "python", "-c", code).stdout.strip() == "[]"
    for arguments in (("--help",), ("agent", "--help"), ("record", "--help"), ("replay", "--help")):
        helped = run(bare, home, "athanor", *arguments)
        assert helped.returncode == 0, helped.stderr
    plant.start("api").says("The API is at")
    epu = shared / "epu" / "dls-2024"
    watch = ("athanor", "agent", "watch", epu / "session", "--atlas", epu / "atlas", "--once")

    done = run(bare, home, *watch, "--api", plant.api_url, "--json")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["by_kind"] == {
        "session": 1,
        "atlas": 1,
        "square": 1,
        "square image": 1,
    }
    assert len(plant.get("/messages")["items"]) == 4
    status = run(bare, home, "athanor", "agent", "status", "--json")
    assert status.returncode == 0, status.stderr
    [told] = json.loads(status.stdout)["agents"]
    assert (told["running"], told["api_reachable"]) == (False, True)
    assert told["spool"]["messages"] == 0
    recorded = run(bare, home, "athanor", "record", epu / "session", "--once", "-o", "one.tar.gz")
    assert recorded.returncode == 0, recorded.stderr
    receives_instructions(bare, plant, home, epu / "session")


def receives_instructions(bare: Path, plant: Facility, home: Path, folder: Path) -> None:
    with httpx.Client(base_url=plant.api_url, timeout=PATIENCE) as api:
        opened = api.post("/agent/sessions", json={"agent_id": "m01-epu", "mode": "auto"})
        assert opened.status_code == 201, opened.text
        asked = {
            "session_id": opened.json()["session_id"],
            "instruction_type": "agent.info.datastore",
            "payload": {},
        }
        made = api.post("/instructions", json=asked)
        assert made.status_code == 201, made.text
    where = ("--api", plant.api_url, "--instructions", "dry-run")
    watching = subprocess.Popen(
        [bare / "athanor", "agent", "watch", folder, *where],
        cwd=home,
        env=environment(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        path = f"/instructions/{made.json()['instruction_id']}"
        wait_for(lambda: plant.get(path)["status"] == "processed", what="an answer")

        def told() -> bool:
            # It says now and then how it is, not with each answer.
            status = run(bare, home, "athanor", "agent", "status").stdout
            return "as m01-epu for 1 sessions, driver dry-run" in " ".join(status.split())

        wait_for(told, what="the agent's word of its instructions")
    finally:
        watching.terminate()
        _, said = watching.communicate(timeout=PATIENCE)
    assert watching.returncode == 0, said
    listed = run(bare, home, "athanor", "agent", "instructions", "--json")
    [one] = json.loads(listed.stdout)["instructions"]
    assert (one["state"], one["told"], one["agent_id"]) == ("processed", True, "m01-epu")
