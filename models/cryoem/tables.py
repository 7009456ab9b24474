"""Tables of what EPU images: acquisition, grid, atlas, tile, square, hole, micrograph.

Units as in `domains.cryoem.manifests`: metres, radians, seconds, volts, pixels; an
unmeasured value is NULL. Keys are deterministic (`domains.cryoem.ids`).
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index, text
from sqlmodel import Field, SQLModel

from models import base  # noqa: F401 (names constraints, so it goes before any table)

#: Of the rows of which a client said how far they are; the others are most.
_SAID: dict[str, Any] = {
    "postgresql_where": text("status <> 'none'"),
    "sqlite_where": text("status <> 'none'"),
}


class Acquisition(SQLModel, table=True):
    """One EPU session."""

    uuid: UUID = Field(primary_key=True)
    epu_id: str | None = None
    name: str
    started_at: datetime | None = None
    ended_at: datetime | None = None
    end_reason: str | None = None
    paused_at: datetime | None = None
    #: As a client says it goes: planned, started, completed, paused, abandoned.
    status: str | None = None
    atlas_path: str | None = None
    storage_path: str | None = None
    clustering_mode: str | None = None
    clustering_radius: float | None = None
    instrument_model: str | None = None
    instrument_id: str | None = None
    computer_name: str | None = None
    software_version: str | None = None
    #: Where its EpuSession.dm was read.
    path: str | None = None
    #: Modification time of the file that these values come from; an older file fills gaps only.
    observed_at: datetime | None = None
    #: When it was said to exist no longer, and `seq` of the newest message that says whether.
    deleted_at: datetime | None = None
    life_seq: int | None = Field(default=None, sa_type=BigInteger)


class Grid(SQLModel, table=True):
    """The grid that an acquisition images."""

    uuid: UUID = Field(primary_key=True)
    acquisition_uuid: UUID = Field(foreign_key="acquisition.uuid", index=True)
    name: str
    grid_type: str | None = None
    #: How far a client says that it is scanned and decided.
    status: str | None = None
    data_dir: str | None = None
    atlas_dir: str | None = None
    scan_started_at: datetime | None = None
    scan_ended_at: datetime | None = None
    autoloader_slot: int | None = None
    atlas_path: str | None = None
    #: How many squares EpuSession.dm lists.
    squares_listed: int | None = None
    #: Set with every message about the grid: tells when a session has fallen silent.
    last_news_at: datetime | None = Field(default=None, index=True)
    observed_at: datetime | None = None
    #: Since when all of its squares are known.
    squares_known_at: datetime | None = None
    #: When it was said to exist no longer, and `seq` of the newest message that says whether.
    deleted_at: datetime | None = None
    life_seq: int | None = Field(default=None, sa_type=BigInteger)


class Atlas(SQLModel, table=True):
    """The overview of a grid."""

    uuid: UUID = Field(primary_key=True)
    grid_uuid: UUID = Field(foreign_key="grid.uuid", unique=True)
    epu_id: str | None = None
    name: str | None = None
    description: str | None = None
    acquired_at: datetime | None = None
    storage_folder: str | None = None
    path: str | None = None
    observed_at: datetime | None = None
    #: When it was said to exist no longer, and `seq` of the newest message that says whether.
    deleted_at: datetime | None = None
    life_seq: int | None = Field(default=None, sa_type=BigInteger)


class AtlasTile(SQLModel, table=True):
    """One image of the atlas mosaic, placed in atlas pixels."""

    __tablename__ = "atlas_tile"  # pyright: ignore[reportAssignmentType]

    __table_args__ = (Index("ix_atlas_tile_tile_id_uuid", "tile_id", "uuid"),)

    uuid: UUID = Field(primary_key=True)
    atlas_uuid: UUID = Field(foreign_key="atlas.uuid", index=True)
    tile_id: str
    image_name: str | None = None
    file_format: str | None = None
    x: float | None = None
    y: float | None = None
    width: float | None = None
    height: float | None = None
    observed_at: datetime | None = None
    #: When it was said to exist no longer, and `seq` of the newest message that says whether.
    deleted_at: datetime | None = None
    life_seq: int | None = Field(default=None, sa_type=BigInteger)


class Square(SQLModel, table=True):
    """A grid square: its node on the atlas, and what its own .dm file and image say."""

    __table_args__ = (
        Index("uq_square_grid_uuid_square_id", "grid_uuid", "square_id", unique=True),
        Index("ix_square_square_id_uuid", "square_id", "uuid"),
        Index("ix_square_imaged_at_uuid", "imaged_at", "uuid"),
    )

    uuid: UUID = Field(primary_key=True)
    grid_uuid: UUID = Field(foreign_key="grid.uuid")
    square_id: int = Field(sa_type=BigInteger)
    # From the atlas.
    atlas_x: float | None = None
    atlas_y: float | None = None
    atlas_width: float | None = None
    atlas_height: float | None = None
    atlas_rotation: float | None = None
    physical_x: float | None = None
    physical_y: float | None = None
    placed_at: datetime | None = None
    # From its .dm file.
    atlas_node_id: int | None = Field(default=None, sa_type=BigInteger)
    stage_x: float | None = None
    stage_y: float | None = None
    stage_z: float | None = None
    stage_a: float | None = None
    stage_b: float | None = None
    state: str | None = None
    selected: bool | None = None
    unusable: bool | None = None
    rotation: float | None = None
    image_path: str | None = None
    observed_at: datetime | None = None
    # From its image.
    image_id: str | None = None
    imaged_at: datetime | None = None
    pixel_size: float | None = None
    magnification: float | None = None
    defocus: float | None = None
    applied_defocus: float | None = None
    detector: str | None = None
    # From a client.
    status: str | None = None
    data_dir: str | None = None
    is_low_magnification: bool | None = None
    #: Since when hole predictions wait for the square's other holes before it is decided.
    undecided_since: datetime | None = Field(default=None, index=True)
    #: Since when all of its holes are known.
    holes_known_at: datetime | None = None
    #: When it was said to exist no longer, and `seq` of the newest message that says whether.
    deleted_at: datetime | None = None
    life_seq: int | None = Field(default=None, sa_type=BigInteger)


class TileSquare(SQLModel, table=True):
    """Where a square lies on a tile, in that tile's pixels."""

    __tablename__ = "tile_square"  # pyright: ignore[reportAssignmentType]

    tile_uuid: UUID = Field(foreign_key="atlas_tile.uuid", primary_key=True)
    square_uuid: UUID = Field(foreign_key="square.uuid", primary_key=True, index=True)
    x: float | None = None
    y: float | None = None
    width: float | None = None
    height: float | None = None
    observed_at: datetime | None = None


class Hole(SQLModel, table=True):
    """A foil hole: a target of its square, and its latest image."""

    __table_args__ = (
        Index("uq_hole_grid_uuid_hole_id", "grid_uuid", "hole_id", unique=True),
        Index("ix_hole_hole_id_uuid", "hole_id", "uuid"),
        Index("ix_hole_quality_uuid", "quality", "uuid"),
        Index("ix_hole_status_uuid", "status", "uuid", **_SAID),
        Index("ix_hole_grid_uuid_uuid", "grid_uuid", "uuid"),
    )

    uuid: UUID = Field(primary_key=True)
    grid_uuid: UUID = Field(foreign_key="grid.uuid")
    square_uuid: UUID = Field(foreign_key="square.uuid", index=True)
    hole_id: int = Field(sa_type=BigInteger)
    # From its square's .dm file.
    x: float | None = None
    y: float | None = None
    width: float | None = None
    height: float | None = None
    stage_x: float | None = None
    stage_y: float | None = None
    rotation: float | None = None
    is_near_grid_bar: bool | None = None
    quality: float | None = None
    selected: bool | None = None
    state: str | None = None
    observed_at: datetime | None = None
    # From its own latest image.
    image_id: str | None = None
    imaged_at: datetime | None = None
    found_x: float | None = None
    found_y: float | None = None
    found_width: float | None = None
    found_height: float | None = None
    found_quality: float | None = None
    found_rotation: float | None = None
    # From a client.
    status: str | None = None
    x_location: float | None = None
    y_location: float | None = None
    diameter: float | None = None
    #: When it was said to exist no longer, and `seq` of the newest message that says whether.
    deleted_at: datetime | None = None
    life_seq: int | None = Field(default=None, sa_type=BigInteger)


class Micrograph(SQLModel, table=True):
    """An exposure of a hole."""

    __table_args__ = (
        Index("ix_micrograph_grid_uuid_acquired_at_uuid", "grid_uuid", "acquired_at", "uuid"),
        Index("ix_micrograph_acquired_at_uuid", "acquired_at", "uuid"),
        Index("ix_micrograph_status_uuid", "status", "uuid", **_SAID),
        Index("ix_micrograph_grid_uuid_uuid", "grid_uuid", "uuid"),
        Index("ix_micrograph_grid_uuid_stem", "grid_uuid", "stem"),
    )

    uuid: UUID = Field(primary_key=True)
    grid_uuid: UUID = Field(foreign_key="grid.uuid")
    hole_uuid: UUID = Field(foreign_key="hole.uuid", index=True)
    stem: str
    location_id: str | None = None
    image_id: str | None = None
    acquired_at: datetime | None = None
    exposure_time: float | None = None
    defocus: float | None = None
    applied_defocus: float | None = None
    magnification: float | None = None
    pixel_size: float | None = None
    dose: float | None = None
    acceleration_voltage: float | None = None
    binning_x: float | None = None
    binning_y: float | None = None
    readout_width: float | None = None
    readout_height: float | None = None
    is_eftem: bool | None = None
    phase_plate_used: bool | None = None
    detector: str | None = None
    stage_x: float | None = None
    stage_y: float | None = None
    stage_z: float | None = None
    stage_a: float | None = None
    stage_b: float | None = None
    path: str | None = None
    # From a client; what processing measured is in `processing_tables`.
    status: str | None = None
    micrograph_id: str | None = None
    high_res_path: str | None = None
    total_motion: float | None = None
    average_motion: float | None = None
    ctf_max_resolution_estimate: float | None = None
    number_of_particles_picked: int | None = None
    number_of_particles_selected: int | None = None
    number_of_particles_rejected: int | None = None
    selection_distribution: str | None = None
    pick_distribution: str | None = None
    observed_at: datetime | None = None
    #: When it was said to exist no longer, and `seq` of the newest message that says whether.
    deleted_at: datetime | None = None
    life_seq: int | None = Field(default=None, sa_type=BigInteger)


class Alias(SQLModel, table=True):
    """Another uuid of an entity: one that follows from EPU's id, or that a client chose."""

    __tablename__ = "entity_alias"  # pyright: ignore[reportAssignmentType]

    uuid: UUID = Field(primary_key=True)
    #: The uuid of its row: whoever came first named that.
    target_uuid: UUID
    #: What it is, one of `messages.Entity`.
    entity: str
    grid_uuid: UUID = Field(foreign_key="grid.uuid", index=True)
