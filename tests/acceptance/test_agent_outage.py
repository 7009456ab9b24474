"""The agent with an API that is away for long, and with kill -9: nothing lost, nothing doubled."""

import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent.epu.importer import read_session
from models import migrations
from models.database import Database
from simulators.epu.folder import WrittenSession, write_session
from simulators.epu.truth import grow_grid
from tests.acceptance.commands import athanor
from tests.acceptance.processes import Facility, Process, facility
from tests.support import wait_for

pytestmark = pytest.mark.long


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Facility]:
    """A database with its tables, and nothing that runs."""
    settings = {"ATHANOR_AGENT__SETTLE_SECONDS": "0.1", "ATHANOR_LOG_LEVEL": "WARNING"}
    with facility(tmp_path, **settings) as made:
        made.environment["ATHANOR_AGENT__API_URL"] = made.api_url
        database = Database(f"sqlite:///{made.home / 'athanor.db'}")
        migrations.upgrade(database)
        database.close()
        yield made


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> WrittenSession:
    grid = grow_grid(3, squares=6, holes=120, name="outage")
    return write_session(tmp_path_factory.mktemp("written"), grid, own_holes=12)


def start_api(plant: Facility) -> Process:
    api = plant.start("api")
    api.says("The API is at")
    return api


def watch(plant: Facility, written: WrittenSession, folder: Path) -> Process:
    path_map = written.path_map.partition("=")[0] + f"={folder}"
    agent = plant.start("agent", "watch", str(folder), "--path-map", path_map)
    agent.says("Watching")
    return agent


def received(plant: Facility) -> Counter[str]:
    """Return how often each message of the agent is in the inbox."""
    with closing(sqlite3.connect(f"file:{plant.home / 'athanor.db'}?mode=ro", uri=True)) as found:
        return Counter(row[0] for row in found.execute("SELECT message_id FROM inbox_message"))


def shuffled(written: WrittenSession, chance: random.Random) -> list[Path]:
    """Return the session's files in random order, its manifest not among the last."""
    base = written.session_dir.parent
    files = [path for path in sorted(base.rglob("*")) if path.suffix in (".dm", ".xml")]
    chance.shuffle(files)
    manifest = written.session_dir / "EpuSession.dm"
    files.remove(manifest)
    files.insert(9, manifest)
    return files


def told(plant: Facility, folder: Path) -> dict:
    done = athanor("agent", "status", folder, "--json", environment=plant.environment)
    assert done.code == 0, done.errors
    [agent] = done.json["agents"]
    return agent


def test_an_outage_and_kills_at_any_point_lose_and_double_nothing(
    plant: Facility, written: WrittenSession, tmp_path: Path
) -> None:
    chance = random.Random(11)
    folder = tmp_path / "visit"
    folder.mkdir()
    files = shuffled(written, chance)

    def bring(some: list[Path]) -> None:
        for path in some:
            target = folder / path.relative_to(written.session_dir.parent)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)

    # The API is away while a third of the files come; the agent dies in the middle of them.
    third = len(files) // 3
    agent = watch(plant, written, folder)
    bring(files[:third])
    agent.kill()
    agent = watch(plant, written, folder)
    wait_for(lambda: "cannot be reached" in agent.output(), what="the complaint")
    agent.kill()
    stopped = told(plant, folder)
    assert (stopped["running"], stopped["api_reachable"]) == (False, False)
    assert stopped["not_running_since"] is not None

    # Both die while the rest is on its way.
    agent, api = watch(plant, written, folder), start_api(plant)
    bring(files[third : 2 * third])
    wait_for(lambda: len(received(plant)) > chance.randrange(20, 60), what="some")
    agent.kill()
    agent = watch(plant, written, folder)
    api.kill()
    bring(files[2 * third :])
    start_api(plant)

    copy = folder / written.session_dir.name
    expected = {one.message_id for one in read_session(copy, atlas=folder / "atlas").messages}
    assert len(expected) == len(files)
    wait_for(lambda: set(received(plant)) >= expected, what="every file's message")

    def is_quiet() -> bool:
        found = told(plant, folder)
        files_of = found["files"]
        return found["spool"]["messages"] == 0 and files_of["reported"] == len(files)

    wait_for(is_quiet, what="the spool to be empty")
    assert received(plant) == Counter(dict.fromkeys(expected, 1))
    running = told(plant, folder)
    assert (running["running"], running["api_reachable"]) == (True, True)
    assert running["spool"]["refused"] == 0
    assert running["files"]["by_kind"]["micrograph image"] == 72
    assert agent.stop() == 0


def test_once_tells_what_it_could_not_send_and_the_next_one_sends_it(
    plant: Facility, written: WrittenSession, tmp_path: Path
) -> None:
    arguments = ("agent", "watch", written.session_dir, "--path-map", written.path_map)
    dry = athanor(*arguments, "--once", "--dry-run", environment=plant.environment)
    assert dry.code == 0, dry.errors
    assert dry.output.count("epu.square ") == 6
    assert not (plant.home / "agent").exists()

    away = athanor(*arguments, "--once", "--json", environment=plant.environment)

    assert away.code == 1
    assert "Not sent:" in away.errors
    assert away.json["unsent"] == away.json["sent"] == len(dry.output.splitlines())
    start_api(plant)
    there = athanor(*arguments, "--once", "--json", environment=plant.environment)
    assert there.code == 0, there.errors
    assert (there.json["unsent"], there.json["trouble"]) == (0, None)
    assert sum(received(plant).values()) == away.json["sent"]


def test_what_the_api_refuses_is_shown_and_sent_again(
    plant: Facility, written: WrittenSession, tmp_path: Path
) -> None:
    # One that is too large for the API is refused whole, until the API takes larger ones.
    plant.environment["ATHANOR_API__MAX_BODY_BYTES"] = "3000"
    api = start_api(plant)
    arguments = ("agent", "watch", written.session_dir, "--path-map", written.path_map)
    done = athanor(*arguments, "--once", "--json", environment=plant.environment)
    assert done.code == 1
    refused = told(plant, written.session_dir)["spool"]["refused_messages"]
    assert done.json["refused"] == len(refused) > 0
    assert "413" in refused[0]["reason"]

    api.stop()
    plant.environment["ATHANOR_API__MAX_BODY_BYTES"] = "9000000"
    start_api(plant)
    again = athanor("agent", "retry", "--json", environment=plant.environment)
    assert again.json == {"retried": len(refused)}
    done = athanor(*arguments, "--once", "--json", environment=plant.environment)
    assert done.code == 0, done.errors
    assert {one["message_id"] for one in refused} <= set(received(plant))
    assert told(plant, written.session_dir)["spool"]["refused_messages"] == []
