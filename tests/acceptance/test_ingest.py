"""`athanor ingest` on real sessions, and on what a tired disk makes of them."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.commands import Ended, athanor

SQUARE_FILE = Path("Metadata") / "GridSquare_4590776.dm"


@pytest.fixture(scope="module")
def dls_2024(shared: Path) -> Path:
    return shared / "epu" / "dls-2024"


@pytest.fixture
def copied(dls_2024: Path, tmp_path: Path) -> Path:
    """A session folder to spoil."""
    return Path(shutil.copytree(dls_2024 / "session", tmp_path / "session"))


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    return {"ATHANOR_HOME": str(tmp_path / "home")}


@pytest.fixture(scope="module")
def imported(dls_2024: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the session was imported once."""
    home = tmp_path_factory.mktemp("imported") / "home"
    ended = ingest(dls_2024, {"ATHANOR_HOME": str(home)})
    assert counts(ended, "new") == EVERYTHING
    assert ended.code == 0
    return home


EVERYTHING = {
    "acquisitions": 1,
    "grids": 1,
    "atlases": 1,
    "tiles": 35,
    "squares": 222,
    "tile-square links": 306,
    "holes": 570,
}


def ingest(source: Path, environment: dict[str, str], *options: str) -> Ended:
    return athanor(
        "ingest",
        source / "session",
        "--atlas",
        source / "atlas",
        "--json",
        *options,
        environment=environment,
    )


def counts(ended: Ended, which: str) -> dict[str, int]:
    """Return how many of each entity were new, changed or unchanged; none of what was none."""
    found = {name: count[which] for name, count in ended.json["entities"].items()}
    return {name: count for name, count in found.items() if count}


def test_second_import_counts_the_same_and_changes_nothing(imported: Path, dls_2024: Path) -> None:
    again = ingest(dls_2024, {"ATHANOR_HOME": str(imported)})

    assert again.code == 0
    assert counts(again, "unchanged") == EVERYTHING
    assert counts(again, "new") == counts(again, "changed") == {}
    assert again.json["failures"] == []


def test_second_import_tells_a_person_that_nothing_is_new(imported: Path, dls_2024: Path) -> None:
    said = athanor(
        "ingest",
        dls_2024 / "session",
        "--atlas",
        dls_2024 / "atlas",
        environment={"ATHANOR_HOME": str(imported)},
    )

    assert said.code == 0
    assert "Nothing new" in said.output
    assert "570" in said.output


def test_session_of_2023_is_imported_with_its_micrograph(
    shared: Path, home: dict[str, str]
) -> None:
    ended = ingest(shared / "epu" / "empiar-2023", home)

    assert ended.code == 0
    new = counts(ended, "new")
    assert (new["squares"], new["micrographs"]) == (272, 1)


def test_postgresql_takes_the_same_session(
    dls_2024: Path, postgres_url: str, tmp_path: Path
) -> None:
    environment = {"ATHANOR_HOME": str(tmp_path / "home"), "ATHANOR_DATABASE_URL": postgres_url}

    first, second = ingest(dls_2024, environment), ingest(dls_2024, environment)

    assert counts(first, "new") == counts(second, "unchanged") == EVERYTHING
    assert counts(second, "new") == counts(second, "changed") == {}
    assert not list(tmp_path.rglob("*.db"))


def test_path_map_finds_the_atlas_that_the_session_names(
    dls_2024: Path, tmp_path: Path, home: dict[str, str]
) -> None:
    visit = tmp_path / "visits" / "nt32457-6"
    shutil.copytree(dls_2024 / "atlas", visit / "atlas")
    session = shutil.copytree(dls_2024 / "session", visit / "session")

    ended = athanor(
        "ingest", session, "--path-map", rf"Z:\nt32457-6={visit}", "--json", environment=home
    )

    assert ended.code == 0, ended.errors
    assert counts(ended, "new") == EVERYTHING


def test_files_that_cannot_be_read_are_listed_and_the_rest_is_imported(
    copied: Path, dls_2024: Path, home: dict[str, str]
) -> None:
    square = copied / SQUARE_FILE
    truncated = copied / "Metadata" / "GridSquare_1.dm"
    truncated.write_bytes(square.read_bytes()[: square.stat().st_size // 2])
    [image] = copied.rglob("GridSquare_*.xml")
    no_xml = image.with_name("FoilHole_4600000_20240406_102500.xml")
    no_xml.write_bytes(b"\x89PNG no XML")
    forbidden = image.with_name("FoilHole_4600001_20240406_102500.xml")
    shutil.copy(image, forbidden)
    forbidden.chmod(0)

    ended = athanor("ingest", copied, "--atlas", dls_2024 / "atlas", "--json", environment=home)

    assert ended.code == 1
    failures = {failure["path"]: failure["reason"] for failure in ended.json["failures"]}
    assert set(failures) == {str(truncated), str(no_xml), str(forbidden)}
    assert failures[str(forbidden)] == "cannot be read: Permission denied"
    assert all(failures.values())
    assert all(f"Not read: {path}: {reason}" in ended.errors for path, reason in failures.items())
    assert "Traceback" not in ended.errors
    assert counts(ended, "new") == EVERYTHING


def test_folder_without_a_session_is_refused_in_a_sentence(
    tmp_path: Path, home: dict[str, str]
) -> None:
    ended = athanor("ingest", tmp_path, environment=home)

    assert ended.code == 1
    assert ended.sentence == (
        f"Error: The folder {tmp_path} holds no EpuSession.dm. Give an EPU session folder."
    )
    assert not Path(home["ATHANOR_HOME"]).exists()


def test_session_file_that_is_none_is_refused_in_a_sentence(
    copied: Path, home: dict[str, str]
) -> None:
    (copied / "EpuSession.dm").write_text("<not><closed>")

    ended = athanor("ingest", copied, environment=home)

    assert ended.code == 1
    assert str(copied / "EpuSession.dm") in ended.sentence


def test_locked_database_is_told_in_a_sentence(
    imported: Path, dls_2024: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copytree(imported, tmp_path / "home")) / "athanor.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        ended = ingest(
            dls_2024,
            {
                "ATHANOR_HOME": str(path.parent),
                "ATHANOR_DATABASE_URL": f"sqlite:///{path}?timeout=1",
            },
        )

    assert ended.code == 1
    assert f"Database {path}: another program holds it" in ended.sentence
    assert "try again" in ended.sentence


def test_folder_that_may_not_be_written_is_told_in_a_sentence(
    dls_2024: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o500)

    ended = ingest(dls_2024, {"ATHANOR_HOME": str(folder)})

    assert ended.code == 1
    assert str(folder) in ended.sentence
    assert "may be written" in ended.sentence


def test_database_that_may_not_be_written_is_told_in_a_sentence(
    imported: Path, shared: Path, tmp_path: Path
) -> None:
    home = Path(shutil.copytree(imported, tmp_path / "home"))
    for path in home.iterdir():
        path.chmod(0o400)
    home.chmod(0o500)
    try:
        ended = ingest(shared / "epu" / "empiar-2023", {"ATHANOR_HOME": str(home)})
    finally:
        home.chmod(0o700)

    assert ended.code == 1
    assert f"Database {home / 'athanor.db'}: it may only be read" in ended.sentence


def test_disk_too_full_for_the_tables_is_told_in_a_sentence(
    dls_2024: Path, home: dict[str, str]
) -> None:
    ended = athanor("ingest", dls_2024 / "session", environment=home, largest_file=60_000)

    assert ended.code == 1
    assert "athanor.db: the disk reports an error or is full" in ended.sentence


def test_import_that_broke_off_for_a_full_disk_can_be_repeated(
    dls_2024: Path, home: dict[str, str]
) -> None:
    broken_off = athanor("ingest", dls_2024 / "session", environment=home, largest_file=400_000)
    assert broken_off.code == 1
    assert "athanor.db: the disk reports an error or is full" in broken_off.sentence

    ended = ingest(dls_2024, home)

    assert ended.code == 0
    assert counts(ended, "new") == EVERYTHING


def test_database_url_that_nothing_understands_names_its_setting(
    dls_2024: Path, home: dict[str, str]
) -> None:
    ended = ingest(dls_2024, {**home, "ATHANOR_DATABASE_URL": "rubbish"})

    assert ended.code == 1
    assert "ATHANOR_DATABASE_URL" in ended.sentence
