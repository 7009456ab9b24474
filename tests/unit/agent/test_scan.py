import os
from pathlib import Path

import pytest

from agent.epu.names import Kind
from agent.epu.scan import find_session_files, locate_atlas, outermost, parents_first
from core.errors import ConfigurationError
from core.path_map import PathMap
from domains.cryoem.manifests import EpuSession, SquareReference

from . import documents as doc

WINDOWS_ATLAS = r"Z:\v\atlas\Sample2\Atlas\Atlas.dm"


def session(slot: int | None = None, squares: tuple[int, ...] = ()) -> EpuSession:
    return EpuSession(
        epu_id="1",
        name="s",
        started_at=None,
        autoloader_slot=slot,
        atlas_path=WINDOWS_ATLAS,
        squares=tuple(SquareReference(square_id=ident) for ident in squares),
    )


def put(path: Path, data: bytes = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_parents_stand_before_children():
    names = [
        "b/Images-Disc1/GridSquare_1/Data/FoilHole_1_Data_2_3_20240101_000000.xml",
        "a/Images-Disc1/GridSquare_1/FoilHoles/FoilHole_1_20240101_000000.xml",
        "c/Images-Disc1/GridSquare_1/GridSquare_20240101_000000.xml",
        "d/Metadata/GridSquare_1.dm",
        "e/Atlas.dm",
        "f/EpuSession.dm",
    ]
    assert [str(path)[0] for path in parents_first(map(Path, names))] == list("fedcab")


def test_a_scan_finds_manifests_and_nothing_else(tmp_path: Path):
    wanted = {
        put(tmp_path / "EpuSession.dm"),
        put(tmp_path / "Metadata/GridSquare_1.dm"),
        put(tmp_path / "Images-Disc1/GridSquare_1/GridSquare_20240101_000000.xml"),
    }
    put(tmp_path / "Images-Disc1/GridSquare_1/GridSquare_20240101_000000.jpg")
    put(tmp_path / "EpuSession.dm.part")
    found = find_session_files(tmp_path)
    assert set(found.files) == wanted
    assert found.failures == ()
    assert found.of(Kind.SQUARE) == (tmp_path / "Metadata/GridSquare_1.dm",)


def test_a_link_in_a_circle_does_not_trap_the_scan(tmp_path: Path):
    put(tmp_path / "EpuSession.dm")
    (tmp_path / "again").symlink_to(tmp_path, target_is_directory=True)
    assert len(find_session_files(tmp_path).files) == 1


def test_a_link_to_nothing_is_left_out(tmp_path: Path):
    (tmp_path / "EpuSession.dm").symlink_to(tmp_path / "gone")
    assert find_session_files(tmp_path).files == ()


def test_what_is_known_is_left_out(tmp_path: Path):
    known = put(tmp_path / "EpuSession.dm")
    new = put(tmp_path / "Metadata/GridSquare_1.dm")
    found = find_session_files(tmp_path, known=lambda path, _: path == known)
    assert (found.files, set(found.signatures)) == ((new,), {new})


def test_of_folders_within_one_another_the_outermost_count():
    folders = {Path("/s/a"), Path("/s/a/b"), Path("/s/a/b/c"), Path("/s/ab"), Path("/t/a")}
    assert set(outermost(folders)) == {Path("/s/a"), Path("/s/ab"), Path("/t/a")}


@pytest.mark.parametrize("make", [lambda path: None, Path.touch], ids=["absent", "file"])
def test_what_is_no_folder_is_a_sentence(tmp_path: Path, make):
    make(tmp_path / "x")
    with pytest.raises(ConfigurationError, match=r"cannot be read: .*EpuSession.dm in it"):
        find_session_files(tmp_path / "x")


@pytest.mark.skipif(
    os.geteuid() == 0, reason="needs a user other than root, whom no folder is closed to"
)
def test_a_folder_below_that_cannot_be_listed_is_a_failure_of_its_own(tmp_path: Path):
    put(tmp_path / "EpuSession.dm")
    closed = tmp_path / "Metadata"
    closed.mkdir(mode=0)
    found = find_session_files(tmp_path)
    closed.chmod(0o700)
    assert len(found.files) == 1
    assert [failure.path for failure in found.failures] == [str(closed)]


def test_the_path_map_tells_where_the_atlas_is(tmp_path: Path):
    paths = PathMap.parse([rf"Z:\v={tmp_path}"])
    expected = tmp_path / "atlas/Sample2/Atlas/Atlas.dm"
    assert locate_atlas(session(), paths, None) == expected


def test_a_session_without_atlas_has_none():
    bare = EpuSession(epu_id="1", name=None, started_at=None)
    assert locate_atlas(bare, PathMap(), None) is None


def test_without_a_map_the_error_says_what_to_give():
    with pytest.raises(ConfigurationError, match="--path-map"):
        locate_atlas(session(), PathMap(), None)


def test_the_only_atlas_below_the_folder_is_taken(tmp_path: Path):
    atlas = put(tmp_path / "Sample9/Atlas/Atlas.dm")
    assert locate_atlas(session(slot=1), PathMap(), tmp_path) == atlas


def test_of_several_samples_the_slot_tells(tmp_path: Path):
    for number in (1, 2, 12):
        put(tmp_path / f"Sample{number}/Atlas/Atlas.dm")
    found = locate_atlas(session(slot=1), PathMap(), tmp_path)
    assert found == tmp_path / "Sample2/Atlas/Atlas.dm"


@pytest.mark.parametrize("slot", [None, 7])
def test_else_the_squares_tell(tmp_path: Path, slot: int | None):
    for number in (1, 2, 3):
        data = doc.atlas(doc.tile("9", doc.node(100 + number, "9")))
        put(tmp_path / f"Sample{number}/Atlas/Atlas.dm", data)
    put(tmp_path / "Sample4/Atlas/Atlas.dm", b"broken")
    found = locate_atlas(session(slot, squares=(103,)), PathMap(), tmp_path)
    assert found == tmp_path / "Sample3/Atlas/Atlas.dm"


def test_several_atlases_that_nothing_tells_apart_are_not_guessed_from(tmp_path: Path):
    for number in (1, 2):
        put(tmp_path / f"Sample{number}/Atlas/Atlas.dm", doc.atlas(""))
    with pytest.raises(ConfigurationError, match="2 atlases"):
        locate_atlas(session(), PathMap(), tmp_path)
