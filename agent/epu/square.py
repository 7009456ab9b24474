"""Metadata/GridSquare_N.dm: a square and the holes found on it."""

from agent.epu.fields import Fields
from agent.epu.names import classify
from agent.epu.session import PERSISTENCE
from agent.epu.xml import GENERIC, Document, Root, forget, local_name
from core.errors import ManifestUnreadable
from domains.cryoem.manifests import HoleTarget, SquareManifest

ROOT = Root("GridSquareXml", PERSISTENCE)
#: Followed by a hash that differs between versions. On lacey grids the same items stand
#: under TargetLocations/TargetLocations instead of …/TargetLocationsEfficient.
_HOLE = "KeyValuePairOfintTargetLocationXml"


def parse_square(path: str, data: bytes) -> SquareManifest:
    """Return the square manifest in `data`; the id is the file name's when the XML has none."""
    document = Document(path, data, ROOT)
    holes: dict[int, HoleTarget] = {}
    for element in document.stream(f"{{{GENERIC}}}*"):
        if not local_name(element).startswith(_HOLE):
            continue
        hole = _hole(Fields(document, element))
        if hole is not None:
            holes[hole.hole_id] = hole
        forget(element)
    square = Fields(document, document.root)
    square_id = square.integer("Id")
    if square_id is None:
        square_id = classify(path).square_id
    if square_id is None:
        raise ManifestUnreadable(path, "has no Id, nor one in its file name")
    return SquareManifest(
        square_id=square_id,
        atlas_node_id=square.integer("AtlasNodeId"),
        position=square.stage("Position"),
        state=square.text("State"),
        selected=square.boolean("Selected"),
        unusable=square.boolean("Unusable"),
        rotation=square.number("Rotation"),
        image_path=square.text("GridSquareImagePath"),
        holes=tuple(holes.values()),
    )


def _hole(pair: Fields) -> HoleTarget | None:
    value = pair.below("value")
    if value is None:
        return None
    return HoleTarget(
        hole_id=pair.required_integer("key"),
        pixel_center=value.point("PixelCenter"),
        pixel_size=value.extent("PixelWidthHeight"),
        stage_position=value.stage("StagePosition"),
        rotation=value.number("Rotation"),
        is_near_grid_bar=value.boolean("IsNearGridBar"),
        quality=value.number("Quality"),
        selected=value.boolean("Selected"),
        state=value.text("State"),
    )
