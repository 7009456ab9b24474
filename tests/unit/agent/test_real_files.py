"""The real files: known counts, and every field that XPath finds comes out of the parser.

The expectations are built by XPath over the whole tree, with the names of the format's
description and none of the parser's code.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from agent.epu.names import Kind, classify
from agent.epu.read import parse_manifest, read_manifest
from core.errors import ManifestIncomplete

DC = "http://schemas.datacontract.org/2004/07/"
NS = {
    "i": "http://www.w3.org/2001/XMLSchema-instance",
    "z": "http://schemas.microsoft.com/2003/10/Serialization/",
    "arr": "http://schemas.microsoft.com/2003/10/Serialization/Arrays",
    "gen": DC + "System.Collections.Generic",
    "types": DC + "Fei.Applications.Common.Types",
    "so": DC + "Fei.SharedObjects",
    "draw": DC + "System.Drawing",
    "fei": DC + "Fei.Types",
    "epu": DC + "Applications.Epu.Persistence",
    "atlas": DC + "Applications.SciencesAppsShared.GridAtlas.Persistence",
    "model": DC + "Applications.SciencesAppsShared.GridAtlas.Datamodel",
}

Pick = Callable[[Any, str], Any]


def text(node: Any, path: str) -> str | None:
    return node.xpath(f"string({path})", namespaces=NS).strip() or None


def number(node: Any, path: str) -> float | None:
    # XPath's own number() is off by a bit in the last place.
    found = text(node, path)
    return None if found is None else float(found)


def integer(node: Any, path: str) -> int | None:
    found = text(node, path)
    return None if found is None else int(found)


def boolean(node: Any, path: str) -> bool | None:
    return {"true": True, "false": False, None: None}[text(node, path)]


def moment(node: Any, path: str) -> datetime | None:
    found = text(node, path)
    return None if found is None else datetime.fromisoformat(found).astimezone(UTC)


def parts(*names: str, prefix: str) -> Pick:
    def pick(node: Any, path: str) -> dict[str, float | None] | None:
        found = {name.lower(): number(node, f"{path}/{prefix}:{name}") for name in names}
        return None if all(value is None for value in found.values()) else found

    return pick


point = parts("x", "y", prefix="draw")
extent = parts("width", "height", prefix="draw")
stage = parts("X", "Y", "Z", "A", "B", prefix="so")

SESSION: dict[str, tuple[Pick, str]] = {
    "epu_id": (text, "types:Id"),
    "name": (text, "epu:Name"),
    "started_at": (moment, "epu:StartDateTime"),
    "clustering_mode": (text, "epu:ClusteringMode"),
    "clustering_radius": (number, "epu:ClusteringRadius"),
    "autoloader_slot": (integer, "epu:AutoloaderSlot"),
    "atlas_path": (text, "epu:Samples/epu:_items/epu:SampleXml[1]/epu:AtlasId"),
    "grid_type": (text, "epu:Samples/epu:_items/epu:SampleXml[1]/epu:GridType"),
    "storage_path": (text, "epu:StorageFolders/epu:_items/epu:StorageFolderXml[1]/epu:Path"),
}
SQUARE: dict[str, tuple[Pick, str]] = {
    "square_id": (integer, "types:Id"),
    "atlas_node_id": (integer, "epu:AtlasNodeId"),
    "position": (stage, "epu:Position"),
    "state": (text, "epu:State"),
    "selected": (boolean, "epu:Selected"),
    "unusable": (boolean, "epu:Unusable"),
    "rotation": (number, "epu:Rotation"),
    "image_path": (text, "epu:GridSquareImagePath"),
}
HOLE: dict[str, tuple[Pick, str]] = {
    "hole_id": (integer, "gen:key"),
    "pixel_center": (point, "gen:value/epu:PixelCenter"),
    "pixel_size": (extent, "gen:value/epu:PixelWidthHeight"),
    "stage_position": (stage, "gen:value/epu:StagePosition"),
    "rotation": (number, "gen:value/epu:Rotation"),
    "is_near_grid_bar": (boolean, "gen:value/epu:IsNearGridBar"),
    "quality": (number, "gen:value/epu:Quality"),
    "selected": (boolean, "gen:value/epu:Selected"),
    "state": (text, "gen:value/epu:State"),
}
ATLAS: dict[str, tuple[Pick, str]] = {
    "epu_id": (text, "atlas:Atlas/types:Id"),
    "name": (text, "atlas:Name"),
    "acquired_at": (moment, "atlas:Atlas/atlas:AcquisitionDateTime"),
    "storage_folder": (text, "atlas:StorageFolder"),
}
TILE: dict[str, tuple[Pick, str]] = {
    "tile_id": (text, "types:Id"),
    "image_name": (text, "atlas:TileImageReference/types:BaseFileName"),
    "position": (point, "atlas:AtlasPixelPosition"),
    "size": (extent, "atlas:AtlasPixelPosition"),
}
ON_ATLAS = "gen:value/atlas:PositionOnTheAtlas"
NODE: dict[str, tuple[Pick, str]] = {
    "square_id": (integer, "gen:key"),
    "center": (point, f"{ON_ATLAS}/model:Center"),
    "physical": (point, f"{ON_ATLAS}/model:Physical"),
    "physical_size": (extent, f"{ON_ATLAS}/model:Physical"),
    "size": (extent, f"{ON_ATLAS}/model:Size"),
    "rotation": (number, f"{ON_ATLAS}/model:Rotation"),
}
ON_TILE: dict[str, tuple[Pick, str]] = {
    "tile_id": (text, "atlas:TileId"),
    "position": (point, "atlas:NodePosition/model:Center"),
    "size": (extent, "atlas:NodePosition/model:Size"),
}
SCOPE = "so:microscopeData"
CAMERA = f"{SCOPE}/so:acquisition/so:camera"
IMAGE: dict[str, tuple[Pick, str]] = {
    "unique_id": (text, "so:uniqueID"),
    "acquired_at": (moment, f"{SCOPE}/so:acquisition/so:acquisitionDateTime"),
    "binning": (point, f"{CAMERA}/so:Binning"),
    "readout_area": (extent, f"{CAMERA}/so:ReadoutArea"),
    "exposure_time": (number, f"{CAMERA}/so:ExposureTime"),
    "defocus": (number, f"{SCOPE}/so:optics/so:Defocus"),
    "applied_defocus": (number, "so:CustomData/*[arr:Key='AppliedDefocus']/arr:Value"),
    "magnification": (
        number,
        f"{SCOPE}/so:optics/so:TemMagnification/so:NominalMagnification",
    ),
    "is_eftem": (boolean, f"{SCOPE}/so:optics/so:EFTEMOn"),
    "acceleration_voltage": (number, f"{SCOPE}/so:gun/so:AccelerationVoltage"),
    "instrument_model": (text, f"{SCOPE}/so:instrument/so:InstrumentModel"),
    "instrument_id": (text, f"{SCOPE}/so:instrument/so:InstrumentID"),
    "computer_name": (text, f"{SCOPE}/so:instrument/so:ComputerName"),
    "software_version": (text, f"{SCOPE}/so:core/so:ApplicationSoftwareVersion"),
    "stage": (stage, f"{SCOPE}/so:stage/so:Position"),
    "pixel_size": (number, "so:SpatialScale/so:pixelSize/so:x/so:numericValue"),
    "dose": (number, "so:CustomData/*[arr:Key='Dose']/arr:Value"),
    "phase_plate_used": (boolean, "so:CustomData/*[arr:Key='PhasePlateUsed']/arr:Value"),
    "detector": (text, "so:CustomData/*[arr:Key='DetectorCommercialName']/arr:Value"),
}
FOUND_HOLE = "so:CustomData/*[arr:Key='FindFoilHoleCenterResults']/arr:Value"
HOLE_CENTER: dict[str, tuple[Pick, str]] = {
    "center": (point, f"{FOUND_HOLE}/fei:Center"),
    "size": (extent, f"{FOUND_HOLE}/fei:Size"),
    "quality": (number, f"{FOUND_HOLE}/fei:Quality"),
    "rotation": (number, f"{FOUND_HOLE}/fei:Rotation"),
}


def expected(node: Any, fields: dict[str, tuple[Pick, str]]) -> dict[str, Any]:
    return {name: pick(node, path) for name, (pick, path) in fields.items()}


def expected_session(root: Any) -> dict[str, Any]:
    squares = [
        {"square_id": integer(pair, "gen:key"), "file_name": text(pair, "gen:value/types:FileName")}
        for pair in root.xpath(
            "epu:Samples/epu:_items/epu:SampleXml[1]/epu:GridSquares"
            "/arr:m_serializationArray/*[gen:key]",
            namespaces=NS,
        )
    ]
    return {**expected(root, SESSION), "squares": squares}


def expected_square(root: Any) -> dict[str, Any]:
    holes = root.xpath("epu:TargetLocations/*/arr:m_serializationArray/*[gen:value]", namespaces=NS)
    return {**expected(root, SQUARE), "holes": [expected(hole, HOLE) for hole in holes]}


def expected_atlas(root: Any) -> dict[str, Any]:
    tiles = root.xpath(
        "atlas:Atlas/atlas:TilesEfficient/atlas:_items/atlas:TileXml[not(@i:nil='true')]",
        namespaces=NS,
    )
    squares = [
        {
            **expected(node, NODE),
            "tiles": [
                expected(item, ON_TILE)
                for item in node.xpath(
                    "gen:value/atlas:TilePositions/atlas:_items/*[not(@i:nil='true')]",
                    namespaces=NS,
                )
            ],
        }
        for tile in tiles
        for node in tile.xpath("atlas:Nodes/KeyValuePairs/*[gen:key]", namespaces=NS)
    ]
    return {
        **expected(root, ATLAS),
        "tiles": [expected(tile, TILE) for tile in tiles],
        "squares": squares,
    }


def expected_image(root: Any) -> dict[str, Any]:
    found = root.xpath(FOUND_HOLE, namespaces=NS)
    center = expected(root, HOLE_CENTER) if found else None
    return {**expected(root, IMAGE), "hole_center": center}


EXPECTED = {
    Kind.SESSION: expected_session,
    Kind.SQUARE: expected_square,
    Kind.ATLAS: expected_atlas,
    Kind.IMAGE: expected_image,
}


def manifests(folder: Path) -> list[Path]:
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and classify(path).kind is not Kind.OTHER
    ]


def said(manifest: Any) -> dict[str, Any]:
    """Return a manifest's content with lists for tuples, to compare with what XPath says."""
    return _plain(manifest.model_dump())


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def test_every_field_of_every_file_comes_out(shared: Path):
    kinds: dict[Kind, int] = {}
    for path in manifests(shared / "epu"):
        kind = classify(path).kind
        kinds[kind] = kinds.get(kind, 0) + 1
        assert said(read_manifest(path)) == EXPECTED[kind](etree.parse(path).getroot()), path
    assert kinds == {Kind.SESSION: 3, Kind.ATLAS: 3, Kind.SQUARE: 1, Kind.IMAGE: 74}


def test_each_field_is_there_in_some_file(shared: Path):
    # A field whose path were wrong in parser and test alike would be None everywhere.
    seen: dict[Kind, set[str]] = {}
    for path in manifests(shared / "epu"):
        content = read_manifest(path).model_dump()
        names = {name for name, value in content.items() if value not in (None, ())}
        seen.setdefault(classify(path).kind, set()).update(names)
    for kind, fields in ((Kind.SESSION, SESSION), (Kind.SQUARE, SQUARE), (Kind.ATLAS, ATLAS)):
        assert set(fields) <= seen[kind], kind
    assert {*IMAGE, "hole_center"} <= seen[Kind.IMAGE]


def test_the_hole_counts_are_those_of_epu(shared: Path):
    square = read_manifest(shared / "epu/dls-2024/session/Metadata/GridSquare_4590776.dm")
    assert len(square.holes) == 570
    assert sum(hole.is_near_grid_bar is True for hole in square.holes) == 291


def atlas_of(folder: Path, sample: str) -> Any:
    return read_manifest(next(folder.glob(f"atlas/*/{sample}/Atlas/Atlas.dm")))


def test_the_atlas_counts_are_those_of_epu(shared: Path):
    atlas = atlas_of(shared / "epu/dls-2024", "Sample4")
    assert (len(atlas.squares), len(atlas.tiles)) == (222, 35)


def test_the_squares_of_a_session_are_those_of_its_atlas(shared: Path):
    folder = shared / "epu/empiar-2023"
    atlas = atlas_of(folder, "Sample2")
    session = read_manifest(folder / "session/EpuSession.dm")
    assert len(atlas.squares) == 272
    assert {item.square_id for item in session.squares} == {
        item.square_id for item in atlas.squares
    }


def test_an_unscreened_sample_has_an_empty_atlas(shared: Path):
    atlas = atlas_of(shared / "epu/empiar-2023", "Sample1")
    assert (atlas.tiles, atlas.squares) == ((), ())


@pytest.mark.parametrize(
    "name",
    [
        "dls-2024/session/Metadata/GridSquare_4590776.dm",
        "dls-2025/session/EpuSession.dm",
        "dls-2024/session/Images-Disc1/GridSquare_4590776/GridSquare_20240406_102420.xml",
    ],
)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_real_file_cut_anywhere_is_incomplete(shared: Path, name: str, share: float):
    whole = (shared / "epu" / name).read_bytes().rstrip()
    with pytest.raises(ManifestIncomplete):
        parse_manifest(name, whole[: int(len(whole) * share)])
