"""What one EPU message says, as patches of rows."""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from core.errors import MessageRejected, UnknownParent
from domains.cryoem import ids
from domains.cryoem.manifests import Extent, ImageManifest, Point, StagePosition
from models.cryoem.messages import (
    EpuAtlasMessage,
    EpuImageMessage,
    EpuMessage,
    EpuSessionMessage,
    EpuSquareMessage,
)
from models.cryoem.tables import (
    Acquisition,
    Atlas,
    AtlasTile,
    Grid,
    Hole,
    Micrograph,
    Square,
    TileSquare,
)
from models.merge import Patch


def patches_of(message: EpuMessage, orphans: Mapping[UUID, UUID | None]) -> Iterator[Patch]:
    """Yield the rows that a message tells of.

    `orphans` gives the square of each hole whose image does not name it.

    Raises:
        UnknownParent: The image's hole is not known yet.
        MessageRejected: The message contradicts itself.
    """
    match message:
        case EpuSessionMessage():
            yield from _session_patches(message)
        case EpuAtlasMessage():
            yield from _atlas_patches(message)
        case EpuSquareMessage():
            yield from _square_patches(message)
        case EpuImageMessage():
            yield from _image_patches(message, orphans)


def instrument_patch(acquisition: UUID, manifest: ImageManifest) -> Patch:
    """Return what an image says of its acquisition: which instrument took it."""
    return Patch(
        Acquisition,
        {
            "uuid": acquisition,
            "instrument_model": manifest.instrument_model,
            "instrument_id": manifest.instrument_id,
            "computer_name": manifest.computer_name,
            "software_version": manifest.software_version,
        },
    )


def _session_patches(message: EpuSessionMessage) -> Iterator[Patch]:
    manifest = message.manifest
    try:
        acquisition = ids.acquisition_uuid(manifest)
    except ValueError as error:
        raise MessageRejected(str(error), fields=["manifest"]) from error
    if message.grid_uuid != ids.grid_uuid(manifest):
        raise MessageRejected(
            "grid_uuid: is not the uuid that follows from the manifest", fields=["grid_uuid"]
        )
    name = manifest.name or f"EPU session {manifest.epu_id}"
    yield Patch(
        Acquisition,
        {
            "uuid": acquisition,
            "epu_id": manifest.epu_id,
            "name": name,
            "started_at": manifest.started_at,
            "storage_path": manifest.storage_path,
            "clustering_mode": manifest.clustering_mode,
            "clustering_radius": manifest.clustering_radius,
            "path": message.path,
            "observed_at": message.observed_at,
        },
        clock="observed_at",
    )
    yield Patch(
        Grid,
        {
            "uuid": message.grid_uuid,
            "acquisition_uuid": acquisition,
            "name": name,
            "grid_type": manifest.grid_type,
            "autoloader_slot": manifest.autoloader_slot,
            "atlas_path": manifest.atlas_path,
            "squares_listed": len(manifest.squares),
            "observed_at": message.observed_at,
        },
        clock="observed_at",
    )
    for square in manifest.squares:
        yield _square_exists(message.grid_uuid, square.square_id)


def _atlas_patches(message: EpuAtlasMessage) -> Iterator[Patch]:
    manifest, grid = message.manifest, message.grid_uuid
    atlas = ids.atlas_uuid(grid)
    yield Patch(
        Atlas,
        {
            "uuid": atlas,
            "grid_uuid": grid,
            "epu_id": manifest.epu_id,
            "name": manifest.name,
            "acquired_at": manifest.acquired_at,
            "storage_folder": manifest.storage_folder,
            "path": message.path,
            "observed_at": message.observed_at,
        },
        clock="observed_at",
    )
    for tile in manifest.tiles:
        yield Patch(
            AtlasTile,
            {
                "uuid": ids.tile_uuid(grid, tile.tile_id),
                "atlas_uuid": atlas,
                "tile_id": tile.tile_id,
                "image_name": tile.image_name,
                **_point("", tile.position),
                **_extent("", tile.size),
                "observed_at": message.observed_at,
            },
            clock="observed_at",
        )
    known_tiles = {tile.tile_id for tile in manifest.tiles}
    for square in manifest.squares:
        yield Patch(
            Square,
            {
                "uuid": ids.square_uuid(grid, square.square_id),
                "grid_uuid": grid,
                "square_id": square.square_id,
                **_point("atlas_", square.center),
                **_extent("atlas_", square.size),
                "atlas_rotation": square.rotation,
                **_point("physical_", square.physical),
                "placed_at": message.observed_at,
            },
            clock="placed_at",
        )
        for tile in square.tiles:
            if tile.tile_id in known_tiles:
                yield Patch(
                    TileSquare,
                    {
                        "tile_uuid": ids.tile_uuid(grid, tile.tile_id),
                        "square_uuid": ids.square_uuid(grid, square.square_id),
                        **_point("", tile.position),
                        "observed_at": message.observed_at,
                    },
                    clock="observed_at",
                )


def _square_patches(message: EpuSquareMessage) -> Iterator[Patch]:
    manifest, grid = message.manifest, message.grid_uuid
    square = ids.square_uuid(grid, manifest.square_id)
    yield Patch(
        Square,
        {
            "uuid": square,
            "grid_uuid": grid,
            "square_id": manifest.square_id,
            "atlas_node_id": manifest.atlas_node_id,
            **_stage(manifest.position),
            "state": manifest.state,
            "selected": manifest.selected,
            "unusable": manifest.unusable,
            "rotation": manifest.rotation,
            "image_path": manifest.image_path,
            "observed_at": message.observed_at,
        },
        clock="observed_at",
    )
    for hole in manifest.holes:
        stage = hole.stage_position or StagePosition()
        yield Patch(
            Hole,
            {
                "uuid": ids.hole_uuid(grid, hole.hole_id),
                "grid_uuid": grid,
                "square_uuid": square,
                "hole_id": hole.hole_id,
                **_point("", hole.pixel_center),
                **_extent("", hole.pixel_size),
                "stage_x": stage.x,
                "stage_y": stage.y,
                "rotation": hole.rotation,
                "is_near_grid_bar": hole.is_near_grid_bar,
                "quality": hole.quality,
                "selected": hole.selected,
                "state": hole.state,
                "observed_at": message.observed_at,
            },
            clock="observed_at",
        )


def _image_patches(
    message: EpuImageMessage, orphans: Mapping[UUID, UUID | None]
) -> Iterator[Patch]:
    """Yield what an image says; that a square or hole was imaged is proof that it exists."""
    name, manifest, grid = message.name, message.manifest, message.grid_uuid
    if name.square_id is not None:
        yield _square_exists(grid, name.square_id)
    if name.level == "square":
        if name.square_id is None:
            raise MessageRejected(
                "name.square_id: a square image names its square", fields=["name"]
            )
        yield Patch(
            Square,
            {
                "uuid": ids.square_uuid(grid, name.square_id),
                "image_id": manifest.unique_id,
                "imaged_at": manifest.acquired_at,
                "pixel_size": manifest.pixel_size,
                "magnification": manifest.magnification,
                "defocus": manifest.defocus,
            },
            clock="imaged_at",
        )
        return
    if name.hole_id is None:
        raise MessageRejected("name.hole_id: this image names its hole", fields=["name"])
    hole = ids.hole_uuid(grid, name.hole_id)
    if name.square_id is not None:
        square: UUID | None = ids.square_uuid(grid, name.square_id)
    else:
        square = orphans.get(hole)
    if square is None:
        raise UnknownParent("hole", str(hole))
    yield Patch(
        Hole, {"uuid": hole, "grid_uuid": grid, "square_uuid": square, "hole_id": name.hole_id}
    )
    yield _hole_image(hole, manifest) if name.level == "hole" else _micrograph(message, hole)


def _hole_image(hole: UUID, manifest: ImageManifest) -> Patch:
    found = manifest.hole_center
    return Patch(
        Hole,
        {
            "uuid": hole,
            "image_id": manifest.unique_id,
            "imaged_at": manifest.acquired_at,
            **_point("found_", found.center if found else None),
            **_extent("found_", found.size if found else None),
            "found_quality": found.quality if found else None,
            "found_rotation": found.rotation if found else None,
        },
        clock="imaged_at",
    )


def _micrograph(message: EpuImageMessage, hole: UUID) -> Patch:
    name, manifest = message.name, message.manifest
    binning, readout = manifest.binning, manifest.readout_area
    return Patch(
        Micrograph,
        {
            "uuid": ids.micrograph_uuid(message.grid_uuid, name.stem),
            "grid_uuid": message.grid_uuid,
            "hole_uuid": hole,
            "stem": name.stem,
            "location_id": name.location_id,
            "image_id": manifest.unique_id,
            "acquired_at": manifest.acquired_at,
            "exposure_time": manifest.exposure_time,
            "defocus": manifest.defocus,
            "applied_defocus": manifest.applied_defocus,
            "magnification": manifest.magnification,
            "pixel_size": manifest.pixel_size,
            "dose": manifest.dose,
            "acceleration_voltage": manifest.acceleration_voltage,
            "binning_x": binning.x if binning else None,
            "binning_y": binning.y if binning else None,
            "readout_width": readout.width if readout else None,
            "readout_height": readout.height if readout else None,
            "is_eftem": manifest.is_eftem,
            "phase_plate_used": manifest.phase_plate_used,
            "detector": manifest.detector,
            **_stage(manifest.stage),
            "path": message.path,
            "observed_at": message.observed_at,
        },
        clock="observed_at",
    )


def _square_exists(grid: UUID, square_id: int) -> Patch:
    return Patch(
        Square,
        {"uuid": ids.square_uuid(grid, square_id), "grid_uuid": grid, "square_id": square_id},
    )


def _point(prefix: str, point: Point | None) -> dict[str, Any]:
    return {f"{prefix}{axis}": getattr(point, axis, None) for axis in ("x", "y")}


def _extent(prefix: str, extent: Extent | None) -> dict[str, Any]:
    return {f"{prefix}{side}": getattr(extent, side, None) for side in ("width", "height")}


def _stage(position: StagePosition | None) -> dict[str, Any]:
    return {f"stage_{axis}": getattr(position, axis, None) for axis in ("x", "y", "z", "a", "b")}
