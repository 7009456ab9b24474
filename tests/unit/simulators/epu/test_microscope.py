"""The simulated microscope without Athena: what it leaves on disk and what it tells."""

import asyncio
from pathlib import Path

import pytest

from agent.epu.names import Kind, classify
from agent.epu.read import read_manifest
from core.errors import ManifestIncomplete
from domains.cryoem.manifests import EpuSession, ImageManifest, SquareManifest
from simulators.epu import events
from simulators.epu.folder import session_writer, write_session
from simulators.epu.guide import OwnOrder
from simulators.epu.manifests import WINDOWS_ROOT
from simulators.epu.microscope import Microscope, Plan
from simulators.epu.truth import grow_grid
from simulators.epu.writer import SessionWriter, WriteMode


@pytest.mark.parametrize("mode", list(WriteMode))
def test_a_written_session_is_readable_to_the_last_file(tmp_path, mode):
    grid = grow_grid(4, squares=3, holes=60)
    written = write_session(tmp_path, grid, mode=mode, own_holes=2)

    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    manifests = {path: read_manifest(path) for path in files}

    kinds = [classify(path).kind for path in files]
    assert kinds.count(Kind.SESSION) == kinds.count(Kind.ATLAS) == 1
    assert kinds.count(Kind.SQUARE) == 3
    # An image of each square, and two holes on each with an image and a micrograph.
    assert kinds.count(Kind.IMAGE) == 3 + 3 * 2 * 2
    assert Kind.OTHER not in kinds
    holes = [hole for m in manifests.values() if isinstance(m, SquareManifest) for hole in m.holes]
    assert len(holes) == 60
    collected = {hole.hole_id for hole in holes if hole.state == "Completed"}
    assert collected == set(written.acquisition.micrographs)
    assert len(collected) == 6


def test_windows_paths_in_the_session_lead_to_its_files(tmp_path):
    grid = grow_grid(4, squares=2, holes=20)
    written = write_session(tmp_path, grid)
    windows, _, local = written.path_map.partition("=")
    assert windows == WINDOWS_ROOT

    def mapped(path: str) -> Path:
        return Path(path.replace(windows, local).replace("\\", "/"))

    session = read_manifest(written.session_dir / "EpuSession.dm")
    assert isinstance(session, EpuSession)
    assert mapped(session.atlas_path).is_file()
    for listed in session.squares:
        square = read_manifest(written.session_dir / listed.file_name.replace("\\", "/"))
        assert isinstance(square, SquareManifest)
        assert mapped(square.image_path).with_suffix(".xml").is_file()


def test_files_carry_simulated_time(tmp_path):
    grid = grow_grid(4, squares=2, holes=20)
    written = write_session(tmp_path, grid, own_holes=3)
    stems = list(written.acquisition.micrographs.values())
    assert len(set(stems)) == len(stems) == 6
    for path in written.session_dir.rglob("Data/*.xml"):
        image = read_manifest(path)
        assert isinstance(image, ImageManifest)
        passed = (image.acquired_at - grid.started_at).total_seconds() / 60
        assert 20 < passed < 60
        # The name tells local time, an hour ahead, to the second and a little late.
        assert path.stem.rpartition("_")[0].endswith(image.acquired_at.strftime("%Y%m%d"))


def test_holes_that_epu_chooses_are_never_near_a_bar(tmp_path):
    grid = grow_grid(4, squares=4, holes=100)
    written = write_session(tmp_path, grid, own_holes=5)
    near = {hole.hole_id for hole in grid.holes if hole.near_bar}
    assert not near & set(written.acquisition.micrographs)
    assert written.acquisition.undecided == tuple(s.square_id for s in grid.squares)


def test_in_place_a_reader_can_meet_a_file_half_written(tmp_path):
    grid = grow_grid(4, squares=1, holes=50)
    failures = []

    def read(path: Path) -> None:
        try:
            read_manifest(path)
        except ManifestIncomplete as error:
            failures.append(error)

    writer = SessionWriter(
        tmp_path / "session", tmp_path / "atlas", grid, chunk_bytes=10_000, after_chunk=read
    )
    writer.atlas()
    size = writer.atlas_path.stat().st_size
    assert len(failures) == size // 10_000 > 1


def test_renamed_into_place_a_reader_only_meets_whole_files(tmp_path):
    grid = grow_grid(4, squares=1, holes=50)
    chunks = []
    writer = SessionWriter(
        tmp_path / "session",
        tmp_path / "atlas",
        grid,
        mode=WriteMode.RENAME,
        after_chunk=chunks.append,
    )
    writer.session()
    assert chunks == []
    assert [path.name for path in writer.session_dir.iterdir()] == ["EpuSession.dm"]


async def test_it_tells_of_each_step_in_order(tmp_path):
    grid = grow_grid(4, squares=2, holes=20)
    told: list[events.MicroscopeEvent] = []
    writer = session_writer(tmp_path, grid, mode=WriteMode.RENAME)
    plan = Plan(collected_per_square=1, own_holes=5)
    await Microscope(grid, writer, OwnOrder(), plan=plan, on_event=told.append).run()

    per_square = [
        events.SquareImaged,
        events.SquareDecided,
        events.HolesDecided,
        events.MicrographTaken,
        events.SquareFinished,
    ]
    assert [type(event) for event in told] == [events.SessionWritten, *per_square, *per_square]
    imaged = [event for event in told if isinstance(event, events.SquareImaged)]
    for event, square in zip(imaged, grid.squares, strict=True):
        assert event.square_id == square.square_id
        assert event.holes == tuple(hole.hole_id for hole in square.holes)


async def test_squares_are_small_until_they_are_imaged(tmp_path):
    grid = grow_grid(4, squares=3, holes=60)
    writer = session_writer(tmp_path, grid, mode=WriteMode.RENAME)
    holes: list[int] = []

    def look(event: events.MicroscopeEvent) -> None:
        if isinstance(event, events.SessionWritten):
            found = [read_manifest(path) for path in writer.session_dir.glob("Metadata/*.dm")]
            holes.extend(len(square.holes) for square in found)

    await Microscope(grid, writer, OwnOrder(), on_event=look).run()
    assert holes == [0, 0, 0]


async def test_the_pace_makes_simulated_minutes_take_real_time(tmp_path):
    grid = grow_grid(4, squares=1, holes=4)
    writer = session_writer(tmp_path, grid, mode=WriteMode.RENAME)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await Microscope(grid, writer, OwnOrder(), plan=Plan(own_holes=0, pace=0.01)).run()
    # The atlas takes 20 minutes and a square 1.5.
    assert 0.2 < loop.time() - begun < 5
