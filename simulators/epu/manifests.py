"""What EPU would say of a true grid: pure functions from the truth to the files' manifests."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid5

from domains.cryoem.manifests import (
    AtlasManifest,
    AtlasTile,
    EpuSession,
    Extent,
    HoleCenter,
    HoleTarget,
    ImageManifest,
    Point,
    SquareManifest,
    SquarePlacement,
    SquareReference,
    StagePosition,
    TilePosition,
)
from simulators.epu.formats.optics import PRESETS, Preset
from simulators.epu.layout import (
    ATLAS_PIXEL,
    HOLE_PIXEL,
    IMAGE_HEIGHT,
    IMAGE_WIDTH,
    SIDE,
    SQUARE_PIXEL,
    TILE_HEIGHT,
    TILE_WIDTH,
    Place,
    atlas_center,
)
from simulators.epu.truth import GridTruth, HoleTruth, SquareTruth, TileTruth

#: Where the microscope's PC sees the folder that session and atlas folders lie in.
WINDOWS_ROOT = "Z:\\simulated"
#: Counted from 0; the atlas folder's name counts from 1.
AUTOLOADER_SLOT = 3
SOFTWARE_VERSION = "3.7.0.1"

_HOLE_DIAMETER = 1.2e-6
_STAGE_HEIGHT = 8.5e-5
_STAGE_TILT = 1.7e-2
_MICROGRAPH_PIXEL = 8.3e-11
_NAMESPACE = UUID("5f0f6a1e-3f0b-5c55-9a9f-0d8f0c6f3d11")
_SQUARE_PRESET, _HOLE_PRESET, _EXPOSURE_PRESET = PRESETS[1:4]


def atlas_folder(grid: GridTruth) -> str:
    """Return the atlas' path below the folder of atlases, with Windows' separators."""
    return f"Supervisor_{grid.name}_atlas\\Sample{AUTOLOADER_SLOT + 1}"


def session_manifest(grid: GridTruth) -> EpuSession:
    """Return EpuSession.dm, which lists every square of the atlas from the beginning."""
    return EpuSession(
        epu_id=str(grid.session_id),
        name=grid.name,
        started_at=grid.started_at,
        clustering_mode="ClusteringWithImageBeamShift",
        clustering_radius=5e-6,
        autoloader_slot=AUTOLOADER_SLOT,
        atlas_path=f"{WINDOWS_ROOT}\\atlas\\{atlas_folder(grid)}\\Atlas\\Atlas.dm",
        grid_type="HoleyCarbon",
        storage_path=WINDOWS_ROOT,
        squares=tuple(
            SquareReference(
                square_id=square.square_id,
                file_name=f"Metadata\\GridSquare_{square.square_id}.dm",
            )
            for square in grid.squares
        ),
    )


def atlas_manifest(grid: GridTruth) -> AtlasManifest:
    """Return Atlas.dm, its squares in the order of the tiles that show them."""
    tiles = [str(tile.tile_id) for tile in grid.tiles]
    placed = [_placement(grid, square) for square in grid.squares]
    placed.sort(key=lambda square: tiles.index(square.tiles[0].tile_id))
    return AtlasManifest(
        epu_id=str(grid.atlas_id),
        name="Atlas",
        acquired_at=grid.started_at,
        storage_folder=f"{WINDOWS_ROOT}\\atlas\\{atlas_folder(grid)}",
        tiles=tuple(
            AtlasTile(
                tile_id=str(tile.tile_id),
                image_name=f"Tile_{tile.tile_id}_{index}_{grid.atlas_id}",
                position=Point(x=tile.corner.x, y=tile.corner.y),
                size=Extent(width=TILE_WIDTH, height=TILE_HEIGHT),
            )
            for index, tile in enumerate(grid.tiles)
        ),
        squares=tuple(placed),
    )


def _placement(grid: GridTruth, square: SquareTruth) -> SquarePlacement:
    middle = atlas_center([other.place for other in grid.squares])
    center = Place(
        middle.x + square.place.x / ATLAS_PIXEL,
        middle.y - square.place.y / ATLAS_PIXEL,
    )
    return SquarePlacement(
        square_id=square.square_id,
        center=Point(x=center.x, y=center.y),
        physical=Point(x=square.place.x, y=square.place.y),
        physical_size=Extent(width=SIDE, height=SIDE),
        size=Extent(width=SIDE / ATLAS_PIXEL, height=SIDE / ATLAS_PIXEL),
        rotation=square.rotation,
        tiles=tuple(_on_tile(tile, center) for tile in grid.tiles if _shows(tile, center)),
    )


def _shows(tile: TileTruth, center: Place) -> bool:
    x, y = center.x - tile.corner.x, center.y - tile.corner.y
    return 0 <= x <= TILE_WIDTH and 0 <= y <= TILE_HEIGHT


def _on_tile(tile: TileTruth, center: Place) -> TilePosition:
    # The atlas shows a tile's image scaled down.
    scale = IMAGE_WIDTH / TILE_WIDTH
    side = SIDE / ATLAS_PIXEL * scale
    return TilePosition(
        tile_id=str(tile.tile_id),
        position=Point(x=(center.x - tile.corner.x) * scale, y=(center.y - tile.corner.y) * scale),
        size=Extent(width=side, height=side),
    )


@dataclass(frozen=True, slots=True)
class SquareProgress:
    """How far a square is; `image` is the stem of its image's file, None before it is taken."""

    image: str | None = None
    selected: bool = True
    finished: bool = False
    chosen: Collection[int] | None = None
    collected: Collection[int] = ()


def square_manifest(
    grid: GridTruth, square: SquareTruth, progress: SquareProgress | None = None
) -> SquareManifest:
    """Return Metadata/GridSquare_N.dm; a square that was not imaged has no holes."""
    at = progress or SquareProgress()
    imaged = "Completed" if at.finished else "InProgress"
    return SquareManifest(
        square_id=square.square_id,
        atlas_node_id=square.square_id,
        position=_stage(square.place),
        state=imaged if at.image else "Defined",
        selected=at.selected,
        unusable=False,
        rotation=square.rotation,
        image_path=image_path(grid, square, at.image) if at.image else None,
        holes=tuple(_target(square, hole, at) for hole in square.holes) if at.image else (),
    )


def image_path(grid: GridTruth, square: SquareTruth, stem: str) -> str:
    """Return where the microscope's PC sees the image of a square."""
    return f"{WINDOWS_ROOT}\\{grid.name}\\Images-Disc1\\GridSquare_{square.square_id}\\{stem}.tiff"


def _target(square: SquareTruth, hole: HoleTruth, at: SquareProgress) -> HoleTarget:
    chosen = not hole.near_bar if at.chosen is None else hole.hole_id in at.chosen
    diameter = _HOLE_DIAMETER / SQUARE_PIXEL
    return HoleTarget(
        hole_id=hole.hole_id,
        pixel_center=Point(
            x=IMAGE_WIDTH / 2 + hole.offset.x / SQUARE_PIXEL,
            y=IMAGE_HEIGHT / 2 - hole.offset.y / SQUARE_PIXEL,
        ),
        pixel_size=Extent(width=diameter, height=diameter),
        stage_position=_stage(_hole_place(square, hole)),
        rotation=0.0,
        is_near_grid_bar=hole.near_bar,
        # What EPU calls quality is how sure it is to have found a hole.
        quality=1.0,
        selected=chosen,
        state="Completed" if hole.hole_id in at.collected else "Defined",
    )


def square_image(grid: GridTruth, square: SquareTruth, stem: str, at: datetime) -> ImageManifest:
    """Return the manifest of a square's image."""
    return _image(grid, stem, at, _SQUARE_PRESET, square.place, SQUARE_PIXEL)


def hole_image(
    grid: GridTruth, square: SquareTruth, hole: HoleTruth, stem: str, at: datetime
) -> ImageManifest:
    """Return the manifest of a hole's image, with the hole's centre as it was found."""
    image = _image(grid, stem, at, _HOLE_PRESET, _hole_place(square, hole), HOLE_PIXEL)
    diameter = _HOLE_DIAMETER / HOLE_PIXEL
    found = HoleCenter(
        center=Point(x=IMAGE_WIDTH / 2 + 12.5, y=IMAGE_HEIGHT / 2 - 7.25),
        size=Extent(width=diameter, height=diameter),
        quality=0.5 + hole.quality / 2,
        rotation=-math.pi,
    )
    return image.model_copy(update={"hole_center": found})


def micrograph_image(
    grid: GridTruth, square: SquareTruth, hole: HoleTruth, stem: str, at: datetime
) -> ImageManifest:
    """Return the manifest of a micrograph: the whole camera, not binned."""
    image = _image(grid, stem, at, _EXPOSURE_PRESET, _hole_place(square, hole), _MICROGRAPH_PIXEL)
    whole = Extent(width=2 * IMAGE_WIDTH, height=2 * IMAGE_HEIGHT)
    return image.model_copy(update={"binning": Point(x=1, y=1), "readout_area": whole})


def _image(
    grid: GridTruth, stem: str, at: datetime, preset: Preset, place: Place, pixel_size: float
) -> ImageManifest:
    return ImageManifest(
        unique_id=str(uuid5(_NAMESPACE, f"{grid.session_id} {grid.started_at} {stem}")),
        acquired_at=at,
        binning=Point(x=2, y=2),
        readout_area=Extent(width=IMAGE_WIDTH, height=IMAGE_HEIGHT),
        exposure_time=preset.exposure_time,
        # What the lens did is never quite what was asked for.
        defocus=preset.defocus * 1.03,
        applied_defocus=preset.defocus,
        magnification=float(preset.magnification),
        is_eftem=True,
        acceleration_voltage=300_000.0,
        instrument_model="SIMULATED-TITAN",
        instrument_id="0000",
        computer_name="SIMULATED-TITAN",
        software_version=SOFTWARE_VERSION,
        stage=_stage(place),
        pixel_size=pixel_size,
        dose=1e-2 / pixel_size**2,
        phase_plate_used=False,
        detector="Simulated camera",
    )


def _hole_place(square: SquareTruth, hole: HoleTruth) -> Place:
    return Place(square.place.x + hole.offset.x, square.place.y + hole.offset.y)


def _stage(place: Place) -> StagePosition:
    return StagePosition(x=place.x, y=place.y, z=_STAGE_HEIGHT, a=0.0, b=_STAGE_TILT)
