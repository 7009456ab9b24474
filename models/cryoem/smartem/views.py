"""From rows to what SmartEM's clients get: one listing per kind of entity.

What is deleted, or on something deleted, is in none of them.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import Select, String, and_, case, cast, false, func, or_, select
from sqlmodel import Session, SQLModel, col

from core.errors import NotFound
from models.athena import Time
from models.cryoem.processing_tables import CurrentMeasurement
from models.cryoem.smartem.columns import COLUMNS
from models.cryoem.smartem.filling import (
    DISTRIBUTION,
    MEASURED,
    fill_measured,
    fill_tiles,
    rounded,
)
from models.cryoem.smartem.responses import (
    AcquisitionGridCountResponse,
    AcquisitionResponse,
    AtlasResponse,
    AtlasTileResponse,
    FoilHoleResponse,
    GridResponse,
    GridSquareResponse,
    MicrographResponse,
)
from models.cryoem.smartem.statuses import AcquisitionStatus, GridStatus
from models.cryoem.tables import Acquisition, Atlas, AtlasTile, Grid, Hole, Micrograph, Square
from models.listing import Filled, Listing, Shown, Sort, find, require

_Source = Callable[[Select[Any]], Select[Any]]

#: A status that nobody told.
_NONE = "none"


def _shown(model: type[SQLModel], **other: Shown) -> dict[str, Shown]:
    """Return the fields of a table's columns, and other ones or the same ones otherwise."""
    columns = {name: Shown(getattr(model, at)) for name, at in COLUMNS[model].items()}
    return {**columns, **other}


def _text(attribute: Any) -> Shown:
    return Shown(cast(attribute, String))


def _pixels(model: type[SQLModel], *names: str) -> dict[str, Shown]:
    return {name: Shown(getattr(model, COLUMNS[model][name]), rounded) for name in names}


def _status(attribute: Any) -> dict[str, Shown]:
    return {"status": Shown(func.coalesce(attribute, _NONE))}


def _radius(value: float | None) -> str | None:
    return None if value is None else f"{value:g}"


def _by(attribute: Any, key: Any, *, nullable: bool = True) -> Sort:
    return Sort(attribute, key, nullable)


def _uuid(attribute: Any) -> Mapping[str, Sort]:
    return {"uuid": _by(attribute, UUID, nullable=False)}


def _acquisitions(statement: Select[Any]) -> Select[Any]:
    return statement.where(col(Acquisition.deleted_at).is_(None))


def _below(
    child: Any, key: Any, parent: Any, above: _Source, statement: Select[Any]
) -> Select[Any]:
    """Add what a child belongs to by its key, and all above that; leave out deleted children."""
    owner = col(parent.uuid) == key
    return above(statement.join(parent, owner).where(col(child.deleted_at).is_(None)))


_grids = partial(_below, Grid, col(Grid.acquisition_uuid), Acquisition, _acquisitions)
_atlases = partial(_below, Atlas, col(Atlas.grid_uuid), Grid, _grids)
_tiles = partial(_below, AtlasTile, col(AtlasTile.atlas_uuid), Atlas, _atlases)
_squares = partial(_below, Square, col(Square.grid_uuid), Grid, _grids)
_holes = partial(_below, Hole, col(Hole.square_uuid), Square, _squares)
_micrographs = partial(_below, Micrograph, col(Micrograph.hole_uuid), Hole, _holes)

#: How an acquisition goes: a client's word, else what its times tell.
ACQUISITION_STATUS = func.coalesce(
    col(Acquisition.status),
    case(
        (col(Acquisition.ended_at).is_not(None), AcquisitionStatus.COMPLETED.value),
        (col(Acquisition.paused_at).is_not(None), AcquisitionStatus.PAUSED.value),
        (col(Acquisition.started_at).is_not(None), AcquisitionStatus.STARTED.value),
        else_=AcquisitionStatus.PLANNED.value,
    ),
)

ACQUISITIONS = Listing(
    name="acquisition",
    view=AcquisitionResponse,
    model=Acquisition,
    uuid=col(Acquisition.uuid),
    fields=_shown(
        Acquisition,
        status=Shown(ACQUISITION_STATUS),
        clustering_radius=Shown(col(Acquisition.clustering_radius), _radius),
    ),
    sorts={
        **_uuid(col(Acquisition.uuid)),
        "name": _by(col(Acquisition.name), str, nullable=False),
        "start_time": _by(col(Acquisition.started_at), Time),
    },
    source=_acquisitions,
)

_OF_ACQUISITION = and_(
    col(Grid.acquisition_uuid) == col(Acquisition.uuid), col(Grid.deleted_at).is_(None)
)
#: A grid is done when a client says so, or with its acquisition.
_DONE = or_(
    col(Grid.status) == GridStatus.DECISION_COMPLETED.value,
    ACQUISITION_STATUS.in_([AcquisitionStatus.COMPLETED.value]),
)


def _grids_where(*conditions: Any) -> Shown:
    count = select(func.count()).select_from(Grid).where(_OF_ACQUISITION, *conditions)
    return Shown(count.correlate(Acquisition).scalar_subquery())


GRID_COUNTS = Listing(
    name="acquisition",
    view=AcquisitionGridCountResponse,
    model=Acquisition,
    uuid=col(Acquisition.uuid),
    fields={
        "acquisition_uuid": Shown(col(Acquisition.uuid)),
        "grids_total": _grids_where(),
        "grids_completed": _grids_where(_DONE),
    },
    sorts=ACQUISITIONS.sorts,
    source=_acquisitions,
    beside=(Grid, col(Grid.acquisition_uuid) == col(Acquisition.uuid)),
)

GRIDS = Listing(
    name="grid",
    view=GridResponse,
    model=Grid,
    uuid=col(Grid.uuid),
    fields=_shown(Grid, **_status(col(Grid.status))),
    sorts={
        **_uuid(col(Grid.uuid)),
        "name": _by(col(Grid.name), str, nullable=False),
        "scan_start_time": _by(col(Grid.scan_started_at), Time),
    },
    source=_grids,
)

ATLASES = Listing(
    name="atlas",
    view=AtlasResponse,
    model=Atlas,
    uuid=col(Atlas.uuid),
    fields=_shown(
        Atlas,
        atlas_id=Shown(func.coalesce(col(Atlas.epu_id), "")),
        name=Shown(func.coalesce(col(Atlas.name), "")),
    ),
    sorts={
        **_uuid(col(Atlas.uuid)),
        "name": _by(col(Atlas.name), str),
        "acquisition_date": _by(col(Atlas.acquired_at), Time),
    },
    source=_atlases,
    filled=Filled(frozenset({"tiles"}), fill_tiles),
    beside=(AtlasTile, col(AtlasTile.atlas_uuid) == col(Atlas.uuid)),
)

TILES = Listing(
    name="atlas tile",
    view=AtlasTileResponse,
    model=AtlasTile,
    uuid=col(AtlasTile.uuid),
    fields=_shown(AtlasTile, **_pixels(AtlasTile, "position_x", "position_y", "size_x", "size_y")),
    sorts={
        **_uuid(col(AtlasTile.uuid)),
        "tile_id": _by(col(AtlasTile.tile_id), str, nullable=False),
    },
    source=_tiles,
)

SQUARES = Listing(
    name="grid square",
    view=GridSquareResponse,
    model=Square,
    uuid=col(Square.uuid),
    fields=_shown(
        Square,
        gridsquare_id=_text(col(Square.square_id)),
        **_status(col(Square.status)),
        **_pixels(Square, "center_x", "center_y", "size_width", "size_height"),
    ),
    sorts={
        **_uuid(col(Square.uuid)),
        "gridsquare_id": _by(col(Square.square_id), int, nullable=False),
        "acquisition_datetime": _by(col(Square.imaged_at), Time),
    },
    source=_squares,
)

HOLES = Listing(
    name="foil hole",
    view=FoilHoleResponse,
    model=Hole,
    uuid=col(Hole.uuid),
    fields=_shown(
        Hole,
        foilhole_id=_text(col(Hole.hole_id)),
        gridsquare_id=_text(col(Square.square_id)),
        is_near_grid_bar=Shown(func.coalesce(col(Hole.is_near_grid_bar), false())),
        **_status(col(Hole.status)),
        **_pixels(Hole, "x_location", "y_location", "diameter"),
    ),
    sorts={
        **_uuid(col(Hole.uuid)),
        "foilhole_id": _by(col(Hole.hole_id), int, nullable=False),
        "quality": _by(col(Hole.quality), float),
    },
    source=_holes,
)

MICROGRAPHS = Listing(
    name="micrograph",
    view=MicrographResponse,
    model=Micrograph,
    uuid=col(Micrograph.uuid),
    fields=_shown(
        Micrograph,
        foilhole_id=_text(col(Hole.hole_id)),
        micrograph_id=Shown(func.coalesce(col(Micrograph.micrograph_id), col(Micrograph.stem))),
        **_status(col(Micrograph.status)),
        **_pixels(Micrograph, "image_size_x", "image_size_y", "binning_x", "binning_y"),
    ),
    sorts={
        **_uuid(col(Micrograph.uuid)),
        "acquisition_datetime": _by(col(Micrograph.acquired_at), Time),
    },
    source=_micrographs,
    filled=Filled(frozenset({*MEASURED, DISTRIBUTION}), fill_measured),
    beside=(
        CurrentMeasurement,
        col(CurrentMeasurement.micrograph_uuid) == col(Micrograph.uuid),
    ),
)


def atlas_of(session: Session, grid: UUID) -> AtlasResponse:
    """Return the atlas of a grid, with its tiles.

    Raises:
        NotFound: There is no such grid, or it has no atlas.
    """
    require(session, GRIDS, grid)
    uuid = session.scalar(select(col(Atlas.uuid)).where(col(Atlas.grid_uuid) == grid))
    for row in find(session, ATLASES, [uuid] if uuid else []):
        return AtlasResponse.model_validate(row)
    raise NotFound(f"There is no atlas of grid {grid}.")
