"""Where each field that SmartEM's clients know is kept: field → column, per table.

Both ways go by it: what a client says is written there, and read from there. A field that is
missing here is in no column of the table: it belongs to a parent, or is put together.
"""

from collections.abc import Mapping
from typing import Final

from sqlmodel import SQLModel

from models.cryoem.tables import Acquisition, Atlas, AtlasTile, Grid, Hole, Micrograph, Square

ACQUISITION: Final[Mapping[str, str]] = {
    "uuid": "uuid",
    "name": "name",
    "status": "status",
    "start_time": "started_at",
    "end_time": "ended_at",
    "paused_time": "paused_at",
    "storage_path": "storage_path",
    "atlas_path": "atlas_path",
    "clustering_mode": "clustering_mode",
    "clustering_radius": "clustering_radius",
    "instrument_model": "instrument_model",
    "instrument_id": "instrument_id",
    "computer_name": "computer_name",
}

GRID: Final[Mapping[str, str]] = {
    "uuid": "uuid",
    "acquisition_uuid": "acquisition_uuid",
    "status": "status",
    "name": "name",
    "data_dir": "data_dir",
    "atlas_dir": "atlas_dir",
    "scan_start_time": "scan_started_at",
    "scan_end_time": "scan_ended_at",
}

ATLAS: Final[Mapping[str, str]] = {
    "uuid": "uuid",
    "grid_uuid": "grid_uuid",
    "atlas_id": "epu_id",
    "acquisition_date": "acquired_at",
    "storage_folder": "storage_folder",
    "description": "description",
    "name": "name",
}

TILE: Final[Mapping[str, str]] = {
    "uuid": "uuid",
    "atlas_uuid": "atlas_uuid",
    "tile_id": "tile_id",
    "position_x": "x",
    "position_y": "y",
    "size_x": "width",
    "size_y": "height",
    "file_format": "file_format",
    "base_filename": "image_name",
}

TILE_SQUARE: Final[Mapping[str, str]] = {
    "atlastile_uuid": "tile_uuid",
    "gridsquare_uuid": "square_uuid",
    "center_x": "x",
    "center_y": "y",
    "size_width": "width",
    "size_height": "height",
}

SQUARE: Final[Mapping[str, str]] = {
    "uuid": "uuid",
    "gridsquare_id": "square_id",
    "grid_uuid": "grid_uuid",
    "status": "status",
    "data_dir": "data_dir",
    "atlas_node_id": "atlas_node_id",
    "state": "state",
    "rotation": "rotation",
    "image_path": "image_path",
    "selected": "selected",
    "unusable": "unusable",
    "stage_position_x": "stage_x",
    "stage_position_y": "stage_y",
    "stage_position_z": "stage_z",
    "center_x": "atlas_x",
    "center_y": "atlas_y",
    "physical_x": "physical_x",
    "physical_y": "physical_y",
    "size_width": "atlas_width",
    "size_height": "atlas_height",
    "acquisition_datetime": "imaged_at",
    "defocus": "defocus",
    "magnification": "magnification",
    "pixel_size": "pixel_size",
    "detector_name": "detector",
    "applied_defocus": "applied_defocus",
}

HOLE: Final[Mapping[str, str]] = {
    "uuid": "uuid",
    "gridsquare_uuid": "square_uuid",
    "foilhole_id": "hole_id",
    "status": "status",
    "center_x": "x",
    "center_y": "y",
    "quality": "quality",
    "rotation": "rotation",
    "size_width": "width",
    "size_height": "height",
    "x_location": "x_location",
    "y_location": "y_location",
    "x_stage_position": "stage_x",
    "y_stage_position": "stage_y",
    "diameter": "diameter",
    "is_near_grid_bar": "is_near_grid_bar",
}

MICROGRAPH: Final[Mapping[str, str]] = {
    "uuid": "uuid",
    "foilhole_uuid": "hole_uuid",
    "micrograph_id": "micrograph_id",
    "location_id": "location_id",
    "status": "status",
    "high_res_path": "high_res_path",
    "manifest_file": "path",
    "acquisition_datetime": "acquired_at",
    "defocus": "defocus",
    "detector_name": "detector",
    "energy_filter": "is_eftem",
    "phase_plate": "phase_plate_used",
    "image_size_x": "readout_width",
    "image_size_y": "readout_height",
    "binning_x": "binning_x",
    "binning_y": "binning_y",
    "total_motion": "total_motion",
    "average_motion": "average_motion",
    "ctf_max_resolution_estimate": "ctf_max_resolution_estimate",
    "number_of_particles_selected": "number_of_particles_selected",
    "number_of_particles_rejected": "number_of_particles_rejected",
    "selection_distribution": "selection_distribution",
    "number_of_particles_picked": "number_of_particles_picked",
    "pick_distribution": "pick_distribution",
}

COLUMNS: Final[Mapping[type[SQLModel], Mapping[str, str]]] = {
    Acquisition: ACQUISITION,
    Grid: GRID,
    Atlas: ATLAS,
    AtlasTile: TILE,
    Square: SQUARE,
    Hole: HOLE,
    Micrograph: MICROGRAPH,
}
