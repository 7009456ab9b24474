"""What is written is what is read: the agent's parser is the inverse of the simulated writer."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from agent.epu.read import parse_manifest
from domains.cryoem.manifests import (
    EpuSession,
    Extent,
    HoleCenter,
    HoleTarget,
    ImageManifest,
    Point,
    SquareManifest,
    StagePosition,
)
from simulators.epu import formats, manifests
from simulators.epu.formats.markup import Template, Xml, finish, written
from simulators.epu.manifests import SquareProgress
from simulators.epu.truth import grow_grid

numbers = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=30
)
points = st.builds(Point, x=numbers, y=numbers)
extents = st.builds(Extent, width=numbers, height=numbers)
stages = st.builds(StagePosition, x=numbers, y=numbers, z=numbers, a=numbers, b=numbers)
times = st.datetimes(
    min_value=datetime(2000, 1, 1),  # noqa: DTZ001 (hypothesis wants it so)
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001 (hypothesis wants it so)
    timezones=st.just(UTC),
)
holes = st.builds(
    HoleTarget,
    hole_id=st.integers(1, 2**31),
    pixel_center=st.none() | points,
    pixel_size=st.none() | extents,
    stage_position=st.none() | stages,
    rotation=st.none() | numbers,
    is_near_grid_bar=st.none() | st.booleans(),
    quality=st.none() | numbers,
    selected=st.none() | st.booleans(),
    state=st.none() | texts,
)
centers = st.builds(
    HoleCenter, center=points, size=extents, quality=st.none() | numbers, rotation=numbers
)


@given(
    st.builds(
        SquareManifest,
        square_id=st.integers(1, 2**31),
        atlas_node_id=st.none() | st.integers(1, 2**31),
        position=st.none() | stages,
        state=st.none() | texts,
        selected=st.none() | st.booleans(),
        unusable=st.none() | st.booleans(),
        rotation=st.none() | numbers,
        image_path=st.none() | texts,
        holes=st.lists(holes, max_size=4, unique_by=lambda hole: hole.hole_id).map(tuple),
    )
)
def test_any_square_is_read_as_it_was_written(square):
    data = formats.write_square(square, collection_id=7)
    assert parse_manifest("GridSquare_1.dm", data) == square


@given(
    st.builds(
        ImageManifest,
        unique_id=st.none() | texts,
        acquired_at=st.none() | times,
        binning=st.none() | points.filter(lambda point: point.x != 0),
        readout_area=st.none() | extents,
        exposure_time=st.none() | numbers,
        defocus=st.none() | numbers,
        applied_defocus=st.none() | numbers,
        magnification=st.none() | numbers,
        is_eftem=st.none() | st.booleans(),
        acceleration_voltage=st.none() | numbers,
        instrument_model=st.none() | texts,
        software_version=st.none() | texts,
        stage=st.none() | stages,
        pixel_size=st.none() | numbers,
        dose=st.none() | numbers,
        phase_plate_used=st.none() | st.booleans(),
        detector=st.none() | texts,
        hole_center=st.none() | centers,
    )
)
def test_any_image_manifest_is_read_as_it_was_written(image):
    assert parse_manifest("FoilHole_1_20260112_100000.xml", formats.write_image(image)) == image


@given(
    st.builds(
        EpuSession,
        epu_id=st.integers(1, 10**9).map(str),
        name=st.none() | texts,
        started_at=st.none() | times,
        clustering_mode=st.none() | texts,
        clustering_radius=st.none() | numbers,
        autoloader_slot=st.none() | st.integers(0, 11),
        atlas_path=st.none() | texts,
        grid_type=st.none() | texts,
        storage_path=st.none() | texts,
    )
)
def test_any_session_is_read_as_it_was_written(session):
    ids = grow_grid(1, squares=1, holes=1).ids
    assert parse_manifest("EpuSession.dm", formats.write_session(session, ids)) == session


@pytest.mark.parametrize("squares", [1, 2, 12, 150])
def test_the_session_and_atlas_of_a_grid_are_read_as_they_were_written(squares):
    grid = grow_grid(5, squares=squares, holes=10 * squares)
    session, atlas = manifests.session_manifest(grid), manifests.atlas_manifest(grid)
    assert parse_manifest("EpuSession.dm", formats.write_session(session, grid.ids)) == session
    assert parse_manifest("Atlas.dm", formats.write_atlas(atlas)) == atlas
    listed = {square.square_id for square in session.squares}
    assert listed == {square.square_id for square in atlas.squares}


def test_a_square_shows_the_truth_of_its_holes(grid):
    square = grid.squares[4]
    progress = SquareProgress(image="GridSquare_20260112_093000")
    manifest = manifests.square_manifest(grid, square, progress)
    read = parse_manifest("x/GridSquare_1.dm", formats.write_square(manifest, collection_id=1))
    assert isinstance(read, SquareManifest)
    assert read == manifest
    assert [hole.hole_id for hole in read.holes] == [hole.hole_id for hole in square.holes]
    assert [hole.is_near_grid_bar for hole in read.holes] == [h.near_bar for h in square.holes]
    for found, true in zip(read.holes, square.holes, strict=True):
        assert found.stage_position is not None
        assert found.stage_position.x == square.place.x + true.offset.x
        assert found.stage_position.y == square.place.y + true.offset.y


def test_a_square_that_was_not_imaged_is_small_and_has_no_holes(grid):
    manifest = manifests.square_manifest(grid, grid.squares[0])
    data = formats.write_square(manifest, collection_id=1)
    assert len(data) < 4_000
    assert parse_manifest("GridSquare_1.dm", data) == manifest
    assert manifest.holes == ()


def test_ids_of_objects_count_up_and_references_point_back(grid):
    square = manifests.square_manifest(grid, grid.squares[0], SquareProgress(image="a"))
    for data in (
        formats.write_square(square, collection_id=1),
        formats.write_session(manifests.session_manifest(grid), grid.ids),
        formats.write_atlas(manifests.atlas_manifest(grid)),
    ):
        seen = 0
        for kind, number in re.findall(rb'z:(Id|Ref)="(\d+)"', data):
            if kind == b"Id":
                assert int(number) == seen + 1
                seen += 1
            else:
                assert 1 <= int(number) <= seen


def test_lists_are_padded_with_nil_to_their_capacity(grid):
    root = etree.fromstring(formats.write_atlas(manifests.atlas_manifest(grid)))
    items = root.find("{*}Atlas/{*}TilesEfficient/{*}_items")
    nil = "{http://www.w3.org/2001/XMLSchema-instance}nil"
    size = "{http://schemas.microsoft.com/2003/10/Serialization/}Size"
    padding = [tile for tile in items if tile.get(nil) == "true"]
    assert len(items) == int(items.get(size))
    assert len(items) - len(padding) == len(grid.tiles)
    assert padding == list(items[len(grid.tiles) :])


def test_text_is_escaped():
    assert Template("<a>%(text)s</a>").fill(text="<b>&") == "<a>&lt;b&gt;&amp;</a>"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (4.25e-06, "4.25E-06"),
        (-0.5, "-0.5"),
        (True, "true"),
        (7, "7"),
        (datetime(2026, 1, 12, 8, 30, tzinfo=UTC), "2026-01-12T09:30:00+01:00"),
    ],
)
def test_values_are_written_as_dotnet_writes_them(value, text):
    assert written(value) == text


def test_a_reference_to_nothing_is_refused():
    with pytest.raises(KeyError, match="later"):
        finish(Xml('<a z:Ref="#later"/><b z:Id="#later"/>'))
