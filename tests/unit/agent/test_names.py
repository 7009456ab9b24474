from pathlib import PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.epu.names import FileName, Kind, classify
from domains.cryoem.manifests import ImageName


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("s/EpuSession.dm", Kind.SESSION),
        ("s/epusession.DM", Kind.SESSION),
        ("a/Sample4/Atlas/Atlas.dm", Kind.ATLAS),
        ("s/Metadata/GridSquare_12.dm", Kind.SQUARE),
        ("S\\METADATA\\GRIDSQUARE_12.DM", Kind.SQUARE),
        ("a/ScreeningSession.dm", Kind.OTHER),
        ("a/Sample4/Sample.dm", Kind.OTHER),
        ("a/Sample4/Atlas/Tile_1_2_3.xml", Kind.OTHER),
        ("a/Sample4/Atlas/Atlas_3.xml", Kind.OTHER),
        ("s/GridSquare_1/GridSquare_20240406_102420.jpg", Kind.OTHER),
        ("s/GridSquare_1/GridSquare_20240406_102420.mrc", Kind.OTHER),
        # half-way names of a copy in progress
        ("s/GridSquare_1/GridSquare_20240406_102420.xml.tmp", Kind.OTHER),
        ("s/.EpuSession.dm.swp", Kind.OTHER),
        # ids that no 64-bit column holds
        (f"s/Metadata/GridSquare_{'9' * 30}.dm", Kind.OTHER),
        ("", Kind.OTHER),
        ("/", Kind.OTHER),
    ],
)
def test_every_file_has_a_kind(path: str, kind: Kind):
    assert classify(path).kind is kind


def test_a_square_carries_its_id():
    assert classify("Metadata/GridSquare_4590776.dm").square_id == 4590776


@pytest.mark.parametrize(
    ("path", "image"),
    [
        (
            "Images-Disc1/GridSquare_8/GridSquare_20240406_102420.xml",
            ImageName(level="square", stem="GridSquare_20240406_102420", square_id=8),
        ),
        (
            "Images-Disc1\\GridSquare_8\\FoilHoles\\FoilHole_5_20240406_102420.xml",
            ImageName(level="hole", stem="FoilHole_5_20240406_102420", square_id=8, hole_id=5),
        ),
        (
            "images-disc1/gridsquare_8/data/foilhole_5_data_17_6_20240406_102420.XML",
            ImageName(
                level="micrograph",
                stem="foilhole_5_data_17_6_20240406_102420",
                square_id=8,
                hole_id=5,
                location_id="17",
            ),
        ),
        # a flat folder says nothing about the square
        (
            "FoilHole_5_Data_17_6_20240406_102420.xml",
            ImageName(
                level="micrograph",
                stem="FoilHole_5_Data_17_6_20240406_102420",
                hole_id=5,
                location_id="17",
            ),
        ),
    ],
)
def test_an_image_says_what_it_shows(path: str, image: ImageName):
    assert classify(path) == FileName(Kind.IMAGE, image=image)


def test_windows_path_objects_are_understood():
    assert classify(PureWindowsPath(r"Z:\v\EpuSession.dm")).kind is Kind.SESSION


@given(st.text(max_size=80))
def test_no_name_breaks_it(path: str):
    assert classify(path).kind in Kind
