"""What EPU says in its files, as frozen values.

Source: EPU's own XML (`*.dm` and image `*.xml`). Lengths are metres, angles radians,
pixels as EPU counts them, times aware. A field that the file lacks is None: it was not
measured, and no default may look as if it had been.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from core.clock import as_utc


def utc(value: datetime) -> datetime:
    """Return a moment in UTC, for validation; a naive one is read as UTC."""
    try:
        return as_utc(value)
    except OverflowError as error:
        # In some zones the years 1 and 9999 have hours that UTC's years do not reach.
        raise ValueError("is out of range in UTC") from error


Finite = Annotated[float, Field(allow_inf_nan=False)]
#: Aware, and turned to UTC.
Moment = Annotated[AwareDatetime, AfterValidator(utc)]
#: Text without the NUL character, which PostgreSQL cannot hold.
Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]
#: EPU's own ids and counts; databases hold 64 bits.
Id = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
Small = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]


class Manifest(BaseModel):
    """Base of all parsed values: frozen, nothing unknown accepted."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Point(Manifest):
    """A point in the plane; its owner says whether in pixels or metres."""

    x: Finite
    y: Finite


class Extent(Manifest):
    """Width and height; its owner says whether in pixels or metres."""

    width: Finite
    height: Finite


class StagePosition(Manifest):
    """Stage coordinates: x, y, z in metres, tilts a, b in radians."""

    x: Finite | None = None
    y: Finite | None = None
    z: Finite | None = None
    a: Finite | None = None
    b: Finite | None = None


class SquareReference(Manifest):
    """A square as EpuSession.dm lists it."""

    square_id: Id
    file_name: Text | None = None


class EpuSession(Manifest):
    """EpuSession.dm: one acquisition of one grid."""

    epu_id: Text | None = None
    name: Text | None = None
    started_at: Moment | None = None
    clustering_mode: Text | None = None
    clustering_radius: Finite | None = None
    autoloader_slot: Small | None = None
    atlas_path: Text | None = None
    grid_type: Text | None = None
    storage_path: Text | None = None
    squares: tuple[SquareReference, ...] = ()


class TilePosition(Manifest):
    """Where a square lies on one tile, in that tile's pixels."""

    tile_id: Text
    position: Point
    size: Extent | None = None


class SquarePlacement(Manifest):
    """A square as a node of the atlas: centre and size in atlas pixels, physical in metres."""

    square_id: Id
    center: Point | None = None
    physical: Point | None = None
    physical_size: Extent | None = None
    size: Extent | None = None
    rotation: Finite | None = None
    tiles: tuple[TilePosition, ...] = ()


class AtlasTile(Manifest):
    """One image of the atlas mosaic; position and size in atlas pixels."""

    tile_id: Text
    image_name: Text | None = None
    position: Point | None = None
    size: Extent | None = None


class AtlasManifest(Manifest):
    """Atlas.dm: the overview of the grid, with a node for each square that EPU found."""

    epu_id: Text | None = None
    name: Text | None = None
    acquired_at: Moment | None = None
    storage_folder: Text | None = None
    tiles: tuple[AtlasTile, ...] = ()
    squares: tuple[SquarePlacement, ...] = ()


class HoleTarget(Manifest):
    """A foil hole in its square's .dm file: pixels of the square image, stage in metres."""

    hole_id: Id
    pixel_center: Point | None = None
    pixel_size: Extent | None = None
    stage_position: StagePosition | None = None
    rotation: Finite | None = None
    is_near_grid_bar: bool | None = None
    quality: Finite | None = None
    selected: bool | None = None
    state: Text | None = None


class SquareManifest(Manifest):
    """Metadata/GridSquare_N.dm: a square and the holes found on it."""

    square_id: Id
    atlas_node_id: Id | None = None
    position: StagePosition | None = None
    state: Text | None = None
    selected: bool | None = None
    unusable: bool | None = None
    rotation: Finite | None = None
    image_path: Text | None = None
    holes: tuple[HoleTarget, ...] = ()


class HoleCenter(Manifest):
    """FindFoilHoleCenterResults of a hole image: pixels of that image, rotation in radians."""

    center: Point | None = None
    size: Extent | None = None
    quality: Finite | None = None
    rotation: Finite | None = None


class ImageManifest(Manifest):
    """The .xml beside an image (MicroscopeImage).

    Units: exposure s, defocus m, voltage V, pixel size m per (binned) pixel, dose e/m²;
    the readout area is in binned pixels.
    """

    unique_id: Text | None = None
    acquired_at: Moment | None = None
    binning: Point | None = None
    readout_area: Extent | None = None
    exposure_time: Finite | None = None
    defocus: Finite | None = None
    applied_defocus: Finite | None = None
    magnification: Finite | None = None
    is_eftem: bool | None = None
    acceleration_voltage: Finite | None = None
    instrument_model: Text | None = None
    instrument_id: Text | None = None
    computer_name: Text | None = None
    software_version: Text | None = None
    stage: StagePosition | None = None
    pixel_size: Finite | None = None
    dose: Finite | None = None
    phase_plate_used: bool | None = None
    detector: Text | None = None
    hole_center: HoleCenter | None = None


class ImageName(Manifest):
    """What an image's file name and folder say: which square, hole and area it shows."""

    level: Literal["square", "hole", "micrograph"]
    stem: Text
    square_id: Id | None = None
    hole_id: Id | None = None
    location_id: Text | None = None
