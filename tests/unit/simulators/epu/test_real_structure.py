"""The simulated files have the structure of the real ones: names, namespaces, order, attributes."""

from pathlib import Path

import pytest

from simulators.epu import formats, manifests
from simulators.epu.manifests import SquareProgress
from tests.unit.simulators.epu.structure import NIL, paths, shapes, successions

SQUARE = "dls-2024/session/Metadata/GridSquare_4590776.dm"
IMAGES = "dls-2025/session/Images-Disc1/GridSquare_8999138"


def session(grid):
    return formats.write_session(manifests.session_manifest(grid), grid.ids)


def atlas(grid):
    return formats.write_atlas(manifests.atlas_manifest(grid))


def imaged_square(grid):
    square = grid.squares[0]
    taken = {
        hole.hole_id: formats.HoleImages(
            f"FoilHole_{hole.hole_id}_20260112_100000",
            (f"FoilHole_{hole.hole_id}_Data_5_6_20260112_100010",),
        )
        for hole in square.holes[:3]
    }
    progress = SquareProgress(image="GridSquare_20260112_093000", collected=frozenset(taken))
    manifest = manifests.square_manifest(grid, square, progress)
    return formats.write_square(manifest, collection_id=1, taken=taken)


def new_square(grid):
    manifest = manifests.square_manifest(grid, grid.squares[0])
    return formats.write_square(manifest, collection_id=1)


def square_image(grid):
    image = manifests.square_image(grid, grid.squares[0], "a", grid.started_at)
    return formats.write_image(image)


def hole_image(grid):
    square = grid.squares[0]
    image = manifests.hole_image(grid, square, square.holes[0], "a", grid.started_at)
    return formats.write_image(image)


def micrograph(grid):
    square = grid.squares[0]
    image = manifests.micrograph_image(grid, square, square.holes[0], "a", grid.started_at)
    return formats.write_image(image)


# Real files vary in which optional values are nil; a path or an attribute of ours that no real
# file has is a mistake of ours.
@pytest.mark.parametrize(
    ("write", "real"),
    [
        (session, "*/session/EpuSession.dm"),
        (atlas, "*/atlas/*/*/Atlas/Atlas.dm"),
        (imaged_square, SQUARE),
        (new_square, SQUARE),
        (square_image, "*/session/Images-Disc1/*/GridSquare_*.xml"),
        (hole_image, "*/session/Images-Disc1/*/FoilHoles/*.xml"),
        (micrograph, "*/session/Images-Disc1/*/Data/*.xml"),
    ],
)
def test_writes_no_element_that_real_files_lack(grid, shared, write, real):
    found = real_files(shared, real)
    known = {(path, attributes - {NIL}) for data in found for path, attributes in shapes(data)}
    ours = {(path, attributes - {NIL}) for path, attributes in shapes(write(grid))}
    # What is an object with an id in one file may be nil, without one, in another.
    assert {path for path, _ in ours} <= {path for path, _ in known}
    nil = {path for path, attributes in shapes(write(grid)) if NIL in attributes}
    assert {shape for shape in ours - known if shape[0] not in nil} == set()


@pytest.mark.parametrize(
    ("write", "real", "left_out"),
    [
        # How many frames a movie has, and where a beam current was measured.
        (session, "dls-2024/session/EpuSession.dm", {"NumberOffractions", "A", "B", "X", "Y", "Z"}),
        (atlas, "dls-2024/atlas/*/*/Atlas/Atlas.dm", set()),
        (imaged_square, SQUARE, set()),
        (square_image, f"{IMAGES}/GridSquare_*.xml", set()),
        (hole_image, f"{IMAGES}/FoilHoles/*.xml", set()),
        (micrograph, f"{IMAGES}/Data/*.xml", {"NumberOffractions"}),
    ],
)
def test_writes_every_element_that_a_real_file_has(grid, shared, write, real, left_out):
    (data, *_) = real_files(shared, real)
    missing = {path[-1].rpartition("}")[2] for path in paths(data) - paths(write(grid))}
    assert missing == left_out


@pytest.mark.parametrize(
    ("write", "real"),
    [
        (session, "dls-2024/session/EpuSession.dm"),
        (atlas, "dls-2024/atlas/*/*/Atlas/Atlas.dm"),
        (imaged_square, SQUARE),
        (square_image, f"{IMAGES}/GridSquare_*.xml"),
        (hole_image, f"{IMAGES}/FoilHoles/*.xml"),
        (micrograph, f"{IMAGES}/Data/*.xml"),
    ],
)
def test_writes_elements_in_the_real_order(grid, shared, write, real):
    (data, *_) = real_files(shared, real)
    ours = successions(write(grid))
    assert ours <= successions(data)


def test_starts_like_a_real_file(grid, shared):
    for write, real in ((session, "dls-2024/session/EpuSession.dm"), (imaged_square, SQUARE)):
        (data, *_) = real_files(shared, real)
        ours = write(grid)
        assert ours.count(b"\n") == data.count(b"\n") == 0
        assert ours.split(b" ")[0] == data.split(b" ")[0]


def real_files(shared: Path, pattern: str) -> list[bytes]:
    found = [path.read_bytes() for path in sorted((shared / "epu").glob(pattern))]
    assert found, f"no real file {pattern}"
    return found
