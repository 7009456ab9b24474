"""What SmartEM's clients get: the names and types that they know.

Times are UTC, uuids have their hyphens; lengths are in metres, angles in radians, places on
pictures in pixels. `columns` tells where each field is kept.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field

from models.cryoem.smartem.statuses import (
    AcquisitionStatus,
    GridStatus,
    HoleStatus,
    MicrographStatus,
    SquareStatus,
)
from models.paging import View

_ACQUISITION = "4a5a8d60-2b6a-5b7e-8b7e-93e0c7f7a1d2"
_GRID = "0b6f9c2e-6a0e-5d0c-9d55-0d2f2b6a7c11"
_ATLAS = "9f3d2c8a-51b4-5e7e-a5c6-6f1f0c7d2e34"
_TILE = "c2b8a7d4-0e65-5f3a-8a19-7d7e6f5a4b12"
_SQUARE = "3e1c5b7a-9d2f-5a64-b0c8-1f2e3d4c5b6a"
_HOLE = "5d6e7f80-1a2b-5c3d-9e4f-a1b2c3d4e5f6"
_MICROGRAPH = "7f4d1c1e-5c0e-5f0a-9d0d-6f2c4c1b8a33"
_MOMENT = "2026-03-02T10:15:02Z"
_IMAGE = "FoilHole_4601234_Data_4595672_4595674_20260302_101502"


def _of(description: str, example: Any = None, **more: Any) -> Any:
    """Return the declaration of a field, with an example."""
    return Field(description=description, examples=[] if example is None else [example], **more)


class AcquisitionResponse(View):
    """An acquisition: one EPU session."""

    uuid: UUID = _of("Our id.", _ACQUISITION)
    name: str = _of("EPU's name of the session.", "Supervisor_20260302_090000")
    status: AcquisitionStatus = _of(
        "What a client said last; else what is known of its start, pause and end.", "started"
    )
    start_time: datetime | None = _of("When it started.", _MOMENT)
    end_time: datetime | None = _of("When it ended; null while it goes on.", _MOMENT)
    paused_time: datetime | None = _of("Since when it is paused.", _MOMENT)
    storage_path: str | None = _of("Where EPU writes.", "/data/epu/Supervisor_20260302_090000")
    atlas_path: str | None = _of("Where its atlas is.", "/data/epu/atlas")
    clustering_mode: str | None = _of("How EPU groups holes.", "ClusteringWithImageBeamShift")
    clustering_radius: str | None = _of("Reach of a group in metres.", "5e-06")
    instrument_model: str | None = _of("The microscope's model.", "TITAN52336320")
    instrument_id: str | None = _of("The microscope's id.", "3790")
    computer_name: str | None = _of("The computer that EPU runs on.", "TITAN52336320")


class AcquisitionGridCountResponse(View):
    """How many grids an acquisition has, and how many of them are done."""

    acquisition_uuid: UUID = _of("The acquisition.", _ACQUISITION)
    grids_total: int = _of("Grids known.", 1)
    grids_completed: int = _of(
        "Grids that a client says are decided, or whose acquisition has ended.", 1
    )


class GridResponse(View):
    """A grid that an acquisition images."""

    uuid: UUID = _of("Our id.", _GRID)
    acquisition_uuid: UUID | None = _of("Its acquisition.", _ACQUISITION)
    status: GridStatus = _of("What a client said last, else none.", "scan started")
    name: str = _of("Its name.", "Supervisor_20260302_090000")
    data_dir: str | None = _of("Where its images are.", "/data/epu/Supervisor_20260302_090000")
    atlas_dir: str | None = _of("Where its atlas is.", "/data/epu/atlas")
    scan_start_time: datetime | None = _of("When its scan started.", _MOMENT)
    scan_end_time: datetime | None = _of("When its scan ended.", _MOMENT)


class AtlasTileResponse(View):
    """One image of the atlas mosaic, in atlas pixels."""

    uuid: UUID = _of("Our id.", _TILE)
    atlas_uuid: UUID = _of("Its atlas.", _ATLAS)
    tile_id: str = _of("EPU's id.", "17")
    position_x: int | None = _of("Place on the atlas.", 1024)
    position_y: int | None = _of("Place on the atlas.", 2048)
    size_x: int | None = _of("Width.", 1024)
    size_y: int | None = _of("Height.", 1024)
    file_format: str | None = _of("Format of its file.", "mrc")
    base_filename: str | None = _of("Name of its file without ending.", "Tile_17")


class AtlasResponse(View):
    """The overview of a grid, with its tiles."""

    uuid: UUID = _of("Our id.", _ATLAS)
    grid_uuid: UUID = _of("Its grid.", _GRID)
    atlas_id: str = _of("EPU's id; empty when not known.", "atlas_20260302")
    acquisition_date: datetime | None = _of("When it was taken.", _MOMENT)
    storage_folder: str | None = _of("Where its files are.", "/data/epu/atlas")
    description: str | None = _of("What a client said of it.", "Overview before collection")
    name: str = _of("Its name; empty when not known.", "Atlas")
    tiles: list[AtlasTileResponse] | None = Field(default=[], description="Its tiles.")


class AtlasTileGridSquarePositionResponse(View):
    """Where a square lies on a tile, in that tile's pixels."""

    atlastile_uuid: UUID = _of("The tile.", _TILE)
    gridsquare_uuid: UUID = _of("The square.", _SQUARE)
    center_x: int = _of("Centre of the square.", 512)
    center_y: int = _of("Centre of the square.", 490)
    size_width: int = _of("Width of the square.", 120)
    size_height: int = _of("Height of the square.", 118)


class GridSquareResponse(View):
    """A grid square: its place on the atlas, and what its own file and image say."""

    uuid: UUID = _of("Our id.", _SQUARE)
    gridsquare_id: str = _of("EPU's id, unique on its grid.", "4590776")
    grid_uuid: UUID | None = _of("Its grid.", _GRID)
    status: SquareStatus = _of("What a client said last, else none.", "none")
    data_dir: str | None = _of("Where its images are.", "/data/epu/GridSquare_4590776")
    atlas_node_id: int | None = _of("Its node on the atlas.", 42)
    state: str | None = _of("EPU's state of it.", "Defined")
    rotation: float | None = _of("Radians.", 0.02)
    image_path: str | None = _of("Its image.", "/data/epu/GridSquare_4590776.mrc")
    selected: bool | None = _of("EPU's own selection.", True)
    unusable: bool | None = _of("EPU found it unusable.", False)
    stage_position_x: float | None = _of("Metres.", 0.000123)
    stage_position_y: float | None = _of("Metres.", -0.000456)
    stage_position_z: float | None = _of("Metres.", 0.00001)
    center_x: int | None = _of("Place on the atlas in its pixels.", 2011)
    center_y: int | None = _of("Place on the atlas in its pixels.", 1875)
    physical_x: float | None = _of("Place on the grid in metres.", 0.000123)
    physical_y: float | None = _of("Place on the grid in metres.", -0.000456)
    size_width: int | None = _of("Width on the atlas in its pixels.", 120)
    size_height: int | None = _of("Height on the atlas in its pixels.", 118)
    acquisition_datetime: datetime | None = _of("When it was imaged.", _MOMENT)
    defocus: float | None = _of("Metres.", -0.00001)
    magnification: float | None = _of("Of its image.", 940.0)
    pixel_size: float | None = _of("Of its image, metres.", 8.1e-8)
    detector_name: str | None = _of("Of its image.", "BM-Falcon")
    applied_defocus: float | None = _of("Metres.", -0.00001)


class GridSquareBatchCreateResponse(View):
    """The squares of a batch, in its order."""

    gridsquares: list[GridSquareResponse] = Field(description="As they are now.")


class FoilHoleResponse(View):
    """A foil hole: a target of its square."""

    uuid: UUID = _of("Our id.", _HOLE)
    gridsquare_uuid: UUID | None = _of("Its square.", _SQUARE)
    gridsquare_id: str | None = _of("EPU's id of its square.", "4590776")
    foilhole_id: str = _of("EPU's id, unique on its grid.", "4601234")
    status: HoleStatus = _of("What a client said last, else none.", "none")
    center_x: float | None = _of("Place on the square's image in its pixels.", 812.5)
    center_y: float | None = _of("Place on the square's image in its pixels.", 1033.0)
    quality: float | None = _of("EPU's own quality of it.", 0.87)
    rotation: float | None = _of("Radians.", 0.02)
    size_width: float | None = _of("Pixels.", 64.0)
    size_height: float | None = _of("Pixels.", 64.0)
    x_location: int | None = _of("Place as a client gave it, pixels.", 812)
    y_location: int | None = _of("Place as a client gave it, pixels.", 1033)
    x_stage_position: float | None = _of("Metres.", 0.000125)
    y_stage_position: float | None = _of("Metres.", -0.000452)
    diameter: int | None = _of("As a client gave it, pixels.", 64)
    is_near_grid_bar: bool = _of("Too near a grid bar to be collected.", False)


class MicrographResponse(View):
    """A micrograph, and what was measured on it last."""

    uuid: UUID = _of("Our id.", _MICROGRAPH)
    foilhole_uuid: UUID = _of("Its hole.", _HOLE)
    foilhole_id: str | None = _of("EPU's id of its hole.", "4601234")
    micrograph_id: str | None = _of("As a client calls it, else its file's stem.", _IMAGE)
    location_id: str | None = _of("Where in the hole, by EPU's template.", "4595672")
    status: MicrographStatus = _of("What a client said last, else none.", "none")
    high_res_path: str | None = _of("Its movie or image.", f"/data/epu/{_IMAGE}_Fractions.mrc")
    manifest_file: str | None = _of("Its XML file.", f"/data/epu/{_IMAGE}.xml")
    acquisition_datetime: datetime | None = _of("When it was taken.", _MOMENT)
    defocus: float | None = _of("Metres.", -0.0000018)
    detector_name: str | None = _of("The camera.", "EF-Falcon")
    energy_filter: bool | None = _of("Taken through an energy filter.", True)
    phase_plate: bool | None = _of("Taken with a phase plate.", False)
    image_size_x: int | None = _of("Pixels.", 4096)
    image_size_y: int | None = _of("Pixels.", 4096)
    binning_x: int | None = _of("Pixels read as one.", 1)
    binning_y: int | None = _of("Pixels read as one.", 1)
    total_motion: float | None = _of("Å, of all frames together.", 21.4)
    average_motion: float | None = _of("Å per frame.", 0.54)
    ctf_max_resolution_estimate: float | None = _of("Å, to which the CTF fits.", 3.6)
    number_of_particles_selected: int | None = _of("Particles kept.", 212)
    number_of_particles_rejected: int | None = _of("Particles left out.", 19)
    selection_distribution: str | None = _of("How their scores are distributed.")
    number_of_particles_picked: int | None = _of("Particles found.", 231)
    pick_distribution: str | None = _of("How they are distributed.")
