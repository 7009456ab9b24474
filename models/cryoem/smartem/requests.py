"""What SmartEM's clients send to make and change entities: the names and types that they know.

Fields that nobody here knows are left out. A time without a zone is read as UTC. EPU's ids of
squares and holes are texts here and numbers everywhere else, so their texts are numbers.
"""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from domains.cryoem.manifests import Text, utc
from models.cryoem.messages.base import Amount, Number
from models.cryoem.smartem.statuses import (
    AcquisitionStatus,
    GridStatus,
    HoleStatus,
    MicrographStatus,
    SquareStatus,
)

#: Squares that one request may make.
BATCH_MAX: Final = 1_000

Truth = Annotated[bool, Field(strict=True)]
#: EPU's id of a square or hole: a whole number, without zeros before it.
NaturalId = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,17})$", examples=["4590776"])]
#: A number as text, as EPU writes it.
NumberText = Annotated[
    str,
    Field(pattern=r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,2})?$", max_length=60),
]


def _whole(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("Input should be a whole number")  # noqa: TRY004 (pydantic turns ValueError only)
    return value


def _dated(value: object) -> object:
    # pydantic would take seconds since 1970, too, and texts of them.
    if isinstance(value, datetime) or (isinstance(value, str) and "-" in value[1:]):
        return value
    raise ValueError("Input should be a time, such as 2026-03-02T10:15:02Z")


When = Annotated[datetime, BeforeValidator(_dated), AfterValidator(utc)]
#: 120 and 120.0, which are the same in JSON, but not 120.5 or "120"; exact as a float.
Pixels = Annotated[int, Field(ge=-(2**53), le=2**53), BeforeValidator(_whole)]
#: What fits 64 bits.
Long = Annotated[int, Field(ge=-(2**63), le=2**63 - 1), BeforeValidator(_whole)]
#: How many there are, in 32 bits.
Particles = Annotated[int, Field(ge=0, le=2**31 - 1), BeforeValidator(_whole)]


class Request(BaseModel):
    """Base of what clients send."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class _Acquisition(Request):
    name: Text | None = Field(None, description="EPU's name of the session.")
    status: AcquisitionStatus | None = Field(
        None, description="How far it is; `completed` and `abandoned` end the session."
    )
    start_time: When | None = Field(None, description="When it started.")
    end_time: When | None = Field(None, description="When it ended, which ends the session.")
    paused_time: When | None = Field(None, description="Since when it is paused.")
    storage_path: Text | None = Field(None, description="Where EPU writes.")
    atlas_path: Text | None = Field(None, description="Where its atlas is.")
    clustering_mode: Text | None = Field(None, description="How EPU groups holes.")
    clustering_radius: NumberText | None = Field(None, description="Reach of a group in metres.")
    instrument_model: Text | None = Field(None, description="The microscope's model.")
    instrument_id: Text | None = Field(None, description="The microscope's id.")
    computer_name: Text | None = Field(None, description="The computer that EPU runs on.")


class AcquisitionCreateRequest(_Acquisition):
    """A new acquisition; without a name it is called by its id."""

    uuid: UUID = Field(description="Its id, of your choice.")


class AcquisitionUpdateRequest(_Acquisition):
    """What is new about an acquisition; what is not given stays."""

    uuid: UUID | None = Field(None, description="Its id.")


class _Grid(Request):
    status: GridStatus | None = Field(None, description="How far it is.")
    data_dir: Text | None = Field(None, description="Where its images are.")
    atlas_dir: Text | None = Field(None, description="Where its atlas is.")
    scan_start_time: When | None = Field(None, description="When its scan started.")
    scan_end_time: When | None = Field(None, description="When its scan ended.")


class GridCreateRequest(_Grid):
    """A new grid of the acquisition in the path."""

    uuid: UUID = Field(description="Its id, of your choice.")
    name: Text = Field(description="Its name.")
    acquisition_uuid: UUID = Field(description="As in the path.")


class GridUpdateRequest(_Grid):
    """What is new about a grid; what is not given stays."""

    uuid: UUID | None = Field(None, description="Its id.")
    name: Text | None = Field(None, description="Its name.")
    acquisition_uuid: UUID | None = Field(None, description="Its acquisition.")


class _Tile(Request):
    tile_id: Text | None = Field(None, description="EPU's id.")
    position_x: Pixels | None = Field(None, description="Place on the atlas.")
    position_y: Pixels | None = Field(None, description="Place on the atlas.")
    size_x: Pixels | None = Field(None, description="Width.")
    size_y: Pixels | None = Field(None, description="Height.")
    file_format: Text | None = Field(None, description="Format of its file.")
    base_filename: Text | None = Field(None, description="Name of its file.")


class AtlasTileCreateRequest(_Tile):
    """A new tile of an atlas; without EPU's id it is called by its own."""

    uuid: UUID = Field(description="Its id, of your choice.")
    atlas_uuid: UUID = Field(description="Its atlas.")


class AtlasTileUpdateRequest(_Tile):
    """What is new about a tile; what is not given stays."""

    uuid: UUID | None = Field(None, description="Its id.")
    atlas_uuid: UUID | None = Field(None, description="Its atlas.")


class _Atlas(Request):
    atlas_id: Text | None = Field(None, description="EPU's id.")
    acquisition_date: When | None = Field(None, description="When it was taken.")
    storage_folder: Text | None = Field(None, description="Where its files are.")
    description: Text | None = Field(None, description="Anything about it.")


class AtlasCreateRequest(_Atlas):
    """The atlas of the grid in the path, with its tiles."""

    uuid: UUID = Field(description="Its id, of your choice.")
    grid_uuid: UUID = Field(description="As in the path.")
    name: Text = Field(description="Its name.")
    tiles: list[AtlasTileCreateRequest] | None = Field(None, description="Its tiles.")


class AtlasUpdateRequest(_Atlas):
    """What is new about an atlas; what is not given stays."""

    uuid: UUID | None = Field(None, description="Its id.")
    grid_uuid: UUID | None = Field(None, description="Its grid.")
    name: Text | None = Field(None, description="Its name.")


class GridSquarePositionRequest(Request):
    """Where a square lies on a tile, in that tile's pixels."""

    gridsquare_uuid: UUID | None = Field(None, description="The square; as in the path, if there.")
    center_x: Pixels = Field(description="Centre of the square.")
    center_y: Pixels = Field(description="Centre of the square.")
    size_width: Pixels = Field(description="Width of the square.")
    size_height: Pixels = Field(description="Height of the square.")


class _Square(Request):
    data_dir: Text | None = Field(None, description="Where its images are.")
    atlas_node_id: Long | None = Field(None, description="Its node on the atlas.")
    state: Text | None = Field(None, description="EPU's state of it.")
    rotation: Number | None = Field(None, description="Radians.")
    image_path: Text | None = Field(None, description="Its image.")
    selected: Truth | None = Field(None, description="EPU's own selection.")
    unusable: Truth | None = Field(None, description="EPU found it unusable.")
    stage_position_x: Number | None = Field(None, description="Metres.")
    stage_position_y: Number | None = Field(None, description="Metres.")
    stage_position_z: Number | None = Field(None, description="Metres.")
    center_x: Pixels | None = Field(None, description="Place on the atlas in its pixels.")
    center_y: Pixels | None = Field(None, description="Place on the atlas in its pixels.")
    physical_x: Number | None = Field(None, description="Place on the grid in metres.")
    physical_y: Number | None = Field(None, description="Place on the grid in metres.")
    size_width: Pixels | None = Field(None, description="Width on the atlas in its pixels.")
    size_height: Pixels | None = Field(None, description="Height on the atlas in its pixels.")
    acquisition_datetime: When | None = Field(None, description="When it was imaged.")
    defocus: Number | None = Field(None, description="Metres.")
    magnification: Number | None = Field(None, description="Of its image.")
    pixel_size: Number | None = Field(None, description="Of its image, metres.")
    detector_name: Text | None = Field(None, description="Of its image.")
    applied_defocus: Number | None = Field(None, description="Metres.")
    status: SquareStatus | None = Field(None, description="How far it is.")
    lowmag: Truth = Field(False, description="Seen at low magnification only.")


class GridSquareCreateRequest(_Square):
    """A new square of the grid in the path."""

    uuid: UUID = Field(description="Its id, of your choice.")
    gridsquare_id: NaturalId = Field(description="EPU's id, unique on its grid.")
    grid_uuid: UUID = Field(description="As in the path.")


class GridSquareUpdateRequest(_Square):
    """What is new about a square; what is not given stays, as does its status for `none`."""

    uuid: UUID | None = Field(None, description="Its id.")
    gridsquare_id: NaturalId | None = Field(None, description="EPU's id, unique on its grid.")
    grid_uuid: UUID | None = Field(None, description="Its grid.")


class GridSquareBatchCreateRequest(Request):
    """New squares of the grid in the path: all of them, or none."""

    gridsquares: list[GridSquareCreateRequest] = Field(
        min_length=1, max_length=BATCH_MAX, description="The squares."
    )


class _Hole(Request):
    center_x: Number | None = Field(None, description="Place on the square's image, pixels.")
    center_y: Number | None = Field(None, description="Place on the square's image, pixels.")
    quality: Number | None = Field(None, description="EPU's own quality of it.")
    rotation: Number | None = Field(None, description="Radians.")
    size_width: Number | None = Field(None, description="Pixels.")
    size_height: Number | None = Field(None, description="Pixels.")
    x_location: Pixels | None = Field(None, description="Place in pixels.")
    y_location: Pixels | None = Field(None, description="Place in pixels.")
    x_stage_position: Number | None = Field(None, description="Metres.")
    y_stage_position: Number | None = Field(None, description="Metres.")
    diameter: Pixels | None = Field(None, description="Pixels.")
    is_near_grid_bar: Truth = Field(False, description="Too near a grid bar to be collected.")
    status: HoleStatus | None = Field(None, description="Whether it was imaged.")


class FoilHoleCreateRequest(_Hole):
    """A new hole of the square in the path."""

    uuid: UUID = Field(description="Its id, of your choice.")
    foilhole_id: NaturalId = Field(description="EPU's id, unique on its grid.")
    gridsquare_id: NaturalId = Field(description="EPU's id of its square.")
    gridsquare_uuid: UUID = Field(description="As in the path.")


class FoilHoleUpdateRequest(_Hole):
    """What is new about a hole; what is not given stays."""

    uuid: UUID | None = Field(None, description="Its id.")
    foilhole_id: NaturalId | None = Field(None, description="EPU's id, unique on its grid.")
    gridsquare_id: NaturalId | None = Field(None, description="EPU's id of its square.")
    gridsquare_uuid: UUID | None = Field(None, description="Its square.")


class _Micrograph(Request):
    micrograph_id: Text | None = Field(None, description="What you call it.")
    foilhole_uuid: UUID | None = Field(None, description="Its hole.")
    location_id: Text | None = Field(None, description="Where in the hole.")
    high_res_path: Text | None = Field(None, description="Its movie or image.")
    manifest_file: Text | None = Field(None, description="Its XML file.")
    acquisition_datetime: When | None = Field(None, description="When it was taken.")
    defocus: Number | None = Field(None, description="Metres.")
    detector_name: Text | None = Field(None, description="The camera.")
    energy_filter: Truth | None = Field(None, description="Taken through an energy filter.")
    phase_plate: Truth | None = Field(None, description="Taken with a phase plate.")
    image_size_x: Pixels | None = Field(None, description="Pixels.")
    image_size_y: Pixels | None = Field(None, description="Pixels.")
    binning_x: Pixels | None = Field(None, description="Pixels read as one.")
    binning_y: Pixels | None = Field(None, description="Pixels read as one.")
    total_motion: Amount | None = Field(None, description="Å, of all frames together.")
    average_motion: Amount | None = Field(None, description="Å per frame.")
    ctf_max_resolution_estimate: Amount | None = Field(None, description="Å.")
    number_of_particles_selected: Particles | None = Field(None, description="Particles kept.")
    number_of_particles_rejected: Particles | None = Field(None, description="Those left out.")
    selection_distribution: Text | None = Field(None, description="How scores are distributed.")
    number_of_particles_picked: Particles | None = Field(None, description="Particles found.")
    pick_distribution: Text | None = Field(None, description="How they are distributed.")
    status: MicrographStatus = Field(MicrographStatus.NONE, description="How far it is processed.")


class MicrographCreateRequest(_Micrograph):
    """A new micrograph of the hole in the path."""

    uuid: UUID = Field(description="Its id, of your choice.")
    foilhole_id: NaturalId = Field(description="EPU's id of its hole.")


class MicrographUpdateRequest(_Micrograph):
    """What is new about a micrograph; what is not given stays."""

    uuid: UUID | None = Field(None, description="Its id.")
    foilhole_id: NaturalId | None = Field(None, description="EPU's id of its hole.")
