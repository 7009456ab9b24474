import shutil
from pathlib import Path

import pytest

from agent.epu.importer import SessionReading, read_session
from core.errors import ConfigurationError, ManifestUnreadable
from core.path_map import PathMap
from domains.cryoem import ids
from models.cryoem.messages import parse

from . import documents as doc

BURST = "Images-Disc1/GridSquare_7"


def make_session(folder: Path) -> Path:
    (folder / "Metadata").mkdir(parents=True)
    (folder / BURST).mkdir(parents=True)
    (folder / "EpuSession.dm").write_bytes(doc.session("<Name>s</Name>"))
    (folder / "Metadata/GridSquare_7.dm").write_bytes(doc.square(doc.hole("1", "")))
    image = doc.optics("<Defocus>1</Defocus>")
    (folder / BURST / "GridSquare_20240101_000000.xml").write_bytes(image)
    return folder


def kinds(reading: SessionReading) -> list[str]:
    return [message.event_type for message in reading.messages]


def test_a_real_session_is_read_with_its_atlas(shared: Path):
    folder = shared / "epu/dls-2024"
    reading = read_session(folder / "session", atlas=folder / "atlas")
    assert kinds(reading) == ["epu.session", "epu.atlas", "epu.square", "epu.image"]
    assert reading.failures == ()
    assert reading.grid_uuid == ids.grid_uuid(reading.session)
    assert {message.grid_uuid for message in reading.messages} == {reading.grid_uuid}


def test_the_path_map_and_the_folder_lead_to_the_same_messages(shared: Path):
    folder = shared / "epu/empiar-2023"
    by_folder = read_session(folder / "session", atlas=folder / "atlas")
    path_map = PathMap.parse([rf"Z:\bi23047-106={folder}"])
    by_map = read_session(folder / "session", path_map=path_map)
    assert by_map.messages == by_folder.messages
    assert "Sample2" in by_map.messages[1].path


def test_atlas_dm_itself_may_be_given(shared: Path):
    folder = shared / "epu/dls-2024"
    atlas = next(folder.rglob("Atlas.dm"))
    assert kinds(read_session(folder / "session", atlas=atlas))[1] == "epu.atlas"


def test_without_a_path_map_the_atlas_is_a_failure_and_the_rest_is_read(shared: Path):
    reading = read_session(shared / "epu/dls-2025/session")
    assert len(reading.messages) == 11
    assert [failure.path.rpartition("\\")[2] for failure in reading.failures] == ["Atlas.dm"]
    assert "--path-map" in reading.failures[0].reason


def test_every_message_survives_the_way_to_the_api(shared: Path):
    folder = shared / "epu/dls-2024"
    for message in read_session(folder / "session", atlas=folder / "atlas").messages:
        assert parse(message.model_dump(mode="json")) == message


def test_a_second_reading_repeats_the_ids_and_a_rewrite_makes_a_new_one(tmp_path: Path):
    folder = make_session(tmp_path / "s")
    first = read_session(folder)
    assert read_session(folder) == first
    square = folder / "Metadata/GridSquare_7.dm"
    square.write_bytes(doc.square(doc.hole("1", "") + doc.hole("2", "")))
    again = read_session(folder)
    changed = [
        old.event_type
        for old, new in zip(first.messages, again.messages, strict=True)
        if old.message_id != new.message_id
    ]
    assert changed == ["epu.square"]


def test_ids_do_not_depend_on_where_the_folder_is_mounted(tmp_path: Path):
    folder = make_session(tmp_path / "s")
    before = [message.message_id for message in read_session(folder).messages]
    moved = tmp_path / "elsewhere/deep"
    moved.parent.mkdir()
    shutil.move(folder, moved)
    assert [message.message_id for message in read_session(moved).messages] == before


def test_files_of_the_same_name_in_two_squares_are_two_messages(tmp_path: Path):
    folder = make_session(tmp_path / "s")
    other = folder / "Images-Disc1/GridSquare_8"
    shutil.copytree(folder / BURST, other)
    messages = read_session(folder).messages
    assert len({message.message_id for message in messages}) == len(messages) == 4


def test_a_broken_file_is_a_failure_and_the_rest_is_read(tmp_path: Path):
    folder = make_session(tmp_path / "s")
    square = folder / "Metadata/GridSquare_7.dm"
    square.write_bytes(square.read_bytes()[:-5])
    reading = read_session(folder)
    assert kinds(reading) == ["epu.session", "epu.image"]
    assert [failure.path for failure in reading.failures] == [str(square)]
    assert "ends too early" in reading.failures[0].reason


def test_a_nested_session_is_not_taken_for_this_one(tmp_path: Path):
    folder = make_session(tmp_path / "s")
    make_session(folder / "older")
    assert len(read_session(folder).messages) == 3


def test_progress_counts_every_file(tmp_path: Path):
    seen: list[tuple[int, int]] = []
    read_session(
        make_session(tmp_path / "s"), progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_folder_without_session_manifest_says_so(tmp_path: Path):
    with pytest.raises(ConfigurationError, match=r"holds no EpuSession\.dm"):
        read_session(tmp_path)


def test_a_folder_above_a_session_names_the_session(tmp_path: Path):
    folder = make_session(tmp_path / "s")
    with pytest.raises(ConfigurationError, match=f"It lies in {folder}"):
        read_session(tmp_path)


def test_an_absent_folder_says_so(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_session(tmp_path / "absent")


def test_an_atlas_folder_without_atlas_says_so(tmp_path: Path):
    empty = tmp_path / "atlas"
    empty.mkdir()
    with pytest.raises(ConfigurationError, match=r"No Atlas\.dm lies below"):
        read_session(make_session(tmp_path / "s"), atlas=empty)


@pytest.mark.parametrize("content", ["<Name/>", "<Id/>"])
def test_a_session_that_nothing_tells_from_others_is_refused(tmp_path: Path, content: str):
    folder = make_session(tmp_path / "s")
    (folder / "EpuSession.dm").write_bytes(doc.session(content))
    with pytest.raises(ManifestUnreadable, match="neither an Id nor a Name"):
        read_session(folder)
