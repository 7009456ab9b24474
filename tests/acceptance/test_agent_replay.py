"""A real session, recorded and replayed in every mode and order, always ends in the same rows."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlmodel import col

from agent.epu.importer import SessionReading, read_session
from models.cryoem.tables import (
    Acquisition,
    Atlas,
    AtlasTile,
    Grid,
    Hole,
    Micrograph,
    Square,
    TileSquare,
)
from models.database import Database
from models.inbox import InboxMessage
from models.sql import table_of
from tasks.cryoem.entities import drain_entities
from tests.acceptance.commands import athanor
from tests.acceptance.processes import Facility, facility
from tests.session_fixtures import Here
from tests.support import wait_until

pytestmark = pytest.mark.long

#: Values by column, by key.
Rows = dict[tuple[Any, ...], dict[str, Any]]

TABLES = (Acquisition, Grid, Atlas, AtlasTile, Square, TileSquare, Hole, Micrograph)
#: What says when, or with which message, we heard of it; not what the files say.
NOT_FROM_FILES = {
    "last_news_at",
    "undecided_since",
    "squares_known_at",
    "holes_known_at",
    "life_seq",
}
MODES = {
    "exact": ("--exact", "--speed", "1000000", "--max-delay", "0.2"),
    "fast": ("--fast", "--max-delay", "0.2"),
    "burst": ("--burst",),
    "shuffled": ("--burst", "--shuffle", "7"),
    "shuffled otherwise": ("--fast", "--max-delay", "0.3", "--shuffle", "4"),
}


def rows(database: Database) -> dict[str, Rows]:
    """Return every row of each table by its key, as the files have it."""
    found: dict[str, Rows] = {}
    with database.reading() as session:
        for model in TABLES:
            table = table_of(model)
            columns = [one for one in table.columns if one.name not in NOT_FROM_FILES]
            keys = [column.name for column in table.primary_key.columns]
            found[table.name] = {
                tuple(row[key] for key in keys): dict(row)
                for row in session.execute(select(*columns)).mappings()
            }
    return found


def differing(one: Rows, other: Rows) -> dict[str, tuple[Any, Any]]:
    """Return the columns in which rows of the same key differ, each with an example."""
    return {
        name: (value, other[key][name])
        for key, row in one.items()
        for name, value in row.items()
        if key in other and other[key][name] != value
    }


def wipe(database: Database) -> None:
    """Empty all tables."""
    with database.transaction() as session:
        for table in reversed(table_of(Grid).metadata.sorted_tables):
            session.execute(table.delete())


async def replayed(
    here: Here, plant: Facility, recording: Path, folder: Path, mode: str
) -> SessionReading:
    """Replay into a watched folder; return what there is to be known, once it has arrived."""
    agent = plant.start(
        "agent",
        "watch",
        str(folder),
        "--path-map",
        rf"Z:\nt32457-6={folder / 'dls'}",
        ATHANOR_HOME=str(plant.home / mode.replace(" ", "-")),
    )
    agent.says("Watching")
    # A folder of its own name, which only begins to be there when the agent is running.
    played = athanor("replay", recording, folder / "dls", *MODES[mode], environment={})
    assert played.code == 0, played.errors
    reading = read_session(folder / "dls" / "session", atlas=folder / "dls" / "atlas")
    wanted = {one.message_id for one in reading.messages}

    async def has_arrived() -> bool:
        with here.resources.database.reading() as session:
            return set(session.scalars(select(col(InboxMessage.message_id)))) >= wanted

    await wait_until(has_arrived, what=f"all files of the mode {mode}")
    assert agent.stop() == 0
    await drain_entities.fn(reading.grid_uuid)
    return reading


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_every_mode_and_order_ends_in_the_same_rows(
    here: Here, shared: Path, tmp_path: Path
) -> None:
    database = here.resources.database
    recording, folder = tmp_path / "dls-2024.tar.gz", tmp_path / "visit"
    done = athanor("record", shared / "epu" / "dls-2024", "-o", recording, "--once", environment={})
    assert done.code == 0, done.errors
    url = database.url.render_as_string(hide_password=False)
    # A replay writes a file and then gives it its old time: longer than that takes, even on a
    # busy machine, is a file to be let alone.
    settings = {"ATHANOR_AGENT__SETTLE_SECONDS": "1.5", "ATHANOR_DATABASE_URL": url}
    ended: dict[str, dict[str, Rows]] = {}
    with facility(tmp_path, **settings) as plant:
        plant.environment["ATHANOR_AGENT__API_URL"] = plant.api_url
        plant.start("api").says("The API is at")
        for mode in MODES:
            folder.mkdir()
            await replayed(here, plant, recording, folder, mode)
            ended[mode] = rows(database)
            wipe(database)
            shutil.rmtree(folder)
    first = ended["exact"]
    assert {name: len(found) for name, found in first.items()} == {
        "acquisition": 1,
        "grid": 1,
        "atlas": 1,
        "atlas_tile": 35,
        "square": 222,
        "tile_square": len(first["tile_square"]),
        "hole": 570,
        "micrograph": 0,
    }
    for mode, found in ended.items():
        for name, wanted in first.items():
            assert found[name].keys() == wanted.keys(), f"{name} after the mode {mode}"
            assert differing(wanted, found[name]) == {}, f"{name} after the mode {mode}"
