"""`athanor agent watch` as a process: whatever happens on the way, the rows are those of ingest."""

import os
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.commands import athanor
from tests.acceptance.processes import Facility, Process, facility
from tests.support import wait_for

#: Tables of what EPU's files say, with the columns that tell when we heard of it left out.
TABLES = (
    "acquisition",
    "grid",
    "atlas",
    "atlas_tile",
    "square",
    "tile_square",
    "hole",
    "micrograph",
)
NOT_FROM_FILES = {
    "last_news_at",
    "undecided_since",
    "ended_at",
    "end_reason",
    "squares_known_at",
    "holes_known_at",
    "life_seq",
}


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Facility]:
    patience = {"ATHANOR_AGENT__GIVE_UP_SECONDS": "2", "ATHANOR_AGENT__SETTLE_SECONDS": "0.2"}
    with facility(tmp_path_factory.mktemp("agent"), **patience) as made:
        made.start("simulate", "athena", "--port", str(made.athena_port), "--forget")
        made.up()
        yield made


def rows(home: Path) -> dict[str, set[tuple]]:
    """Return the rows of each table, as the files have it."""
    found = {}
    with closing(sqlite3.connect(f"file:{home / 'athanor.db'}?mode=ro", uri=True)) as database:
        for table in TABLES:
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            named = ", ".join(name for name in columns if name not in NOT_FROM_FILES)
            found[table] = set(database.execute(f"SELECT {named} FROM {table}"))
    return found


def squares_of(plant: Facility, session: str) -> int:
    """Return how many squares are known of the session with this in its name."""
    with closing(sqlite3.connect(f"file:{plant.home / 'athanor.db'}?mode=ro", uri=True)) as found:
        [count] = found.execute(
            "SELECT count(*) FROM square JOIN grid ON grid.uuid = square.grid_uuid "
            "JOIN acquisition ON acquisition.uuid = grid.acquisition_uuid "
            "WHERE acquisition.name LIKE ?",
            (f"%{session}%",),
        ).fetchone()
    return count


def write(source: Path, target: Path, how: int) -> None:
    """Bring a file as a program may: all at once, in pieces, or renamed into place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    data = source.read_bytes()
    if how == 0:
        target.write_bytes(data)
    elif how == 1:
        with target.open("wb") as file:
            for start in range(0, len(data), 8192):
                file.write(data[start : start + 8192])
                file.flush()
    else:
        part = target.with_name(f"{target.name}.part")
        part.write_bytes(data)
        part.replace(target)


def watch(plant: Facility, folder: Path, *options: str) -> Process:
    process = plant.start(
        "agent", "watch", str(folder), *options, ATHANOR_AGENT__API_URL=plant.api_url
    )
    process.says("Watching")
    return process


def test_shuffled_files_and_a_killed_agent_end_as_ingest_would(
    plant: Facility, shared: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "visits"
    maps = (
        "--path-map",
        rf"Z:\nt32457-6={folder / 'dls-2024'}",
        "--path-map",
        rf"Z:\DoseFractions\cm40593-1={folder / 'dls-2025'}",
    )
    files = [
        path
        for name in ("dls-2024", "dls-2025")
        for path in sorted((shared / "epu" / name).rglob("*"))
        if path.is_file()
    ]
    random.Random(5).shuffle(files)
    folder.mkdir()
    agent = watch(plant, folder, *maps)
    half = len(files) // 2
    for number, path in enumerate(files[:half]):
        write(path, folder / path.relative_to(shared / "epu"), number % 3)
    agent.kill()
    for number, path in enumerate(files[half:]):
        write(path, folder / path.relative_to(shared / "epu"), number % 3)
    agent = watch(plant, folder, *maps)

    home = tmp_path / "home"
    for name in ("dls-2024", "dls-2025"):
        athanor(
            "ingest",
            folder / name / "session",
            *maps,
            "--json",
            environment={"ATHANOR_HOME": str(home)},
        )
    wanted = rows(home)
    assert len(wanted["square"]) == 222 + 228
    wait_for(lambda: rows(plant.home) == wanted, what="the rows of ingest")
    assert agent.stop() == 0


def test_agent_waits_for_an_api_that_is_away(plant: Facility, shared: Path, tmp_path: Path) -> None:
    elsewhere = Facility(plant.home)
    environment = {
        "ATHANOR_API__PORT": str(elsewhere.api_port),
        "PREFECT_API_URL": f"{plant.prefect_url}/api",
    }
    folder = Path(shutil.copytree(shared / "epu" / "empiar-2023" / "session", tmp_path / "session"))
    agent = watch(
        plant,
        folder,
        "--api",
        elsewhere.api_url,
        "--atlas",
        str(shared / "epu" / "empiar-2023" / "atlas"),
    )
    agent.says("cannot be reached")
    assert squares_of(plant, "bi23047-106") == 0

    api = plant.start("api", **environment)

    api.says("The API is at")
    wait_for(lambda: squares_of(plant, "bi23047-106") == 272, what="the squares")
    assert agent.stop() == 0


def test_once_ends_by_itself_and_tells_of_failures_that_stay_visible(
    plant: Facility, shared: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(shared / "epu" / "dls-2024" / "session", tmp_path / "session"))
    atlas = shared / "epu" / "dls-2024" / "atlas"
    environment = {**plant.environment, "ATHANOR_AGENT__API_URL": plant.api_url}
    arguments = ("agent", "watch", folder, "--once", "--json", "--atlas", atlas)

    whole = athanor(*arguments, environment=environment)

    assert whole.code == 0, whole.errors
    assert whole.json["failures"] == []
    square = folder / "Metadata" / "GridSquare_4590776.dm"
    broken = square.with_name("GridSquare_1.dm")
    broken.write_bytes(square.read_bytes()[: square.stat().st_size // 2])
    os.utime(broken, (1, 1))

    spoiled = athanor(*arguments, environment=environment)

    assert spoiled.code == 1
    assert [failure["path"] for failure in spoiled.json["failures"]] == [str(broken)]
    listed = athanor("messages", "list", "--state", "dead", "--json", environment=plant.environment)
    reasons = [one["error"] for one in listed.json["items"] if one["kind"] == "epu.failure"]
    assert any(str(broken) in reason for reason in reasons), reasons
