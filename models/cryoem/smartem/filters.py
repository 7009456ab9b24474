"""What may be asked of each list: filters, and the names of its sorts.

Each filter is a field here and a condition in its class's `conditions`; what an index does not
help with is offered only where a parent keeps the rows few.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
)
from sqlmodel import col

from core.clock import as_utc, written_out
from models.cryoem.smartem.statuses import (
    AcquisitionStatus,
    GridStatus,
    HoleStatus,
    MicrographStatus,
    SquareStatus,
)
from models.cryoem.smartem.views import ACQUISITION_STATUS
from models.cryoem.tables import Acquisition, Atlas, AtlasTile, Grid, Hole, Micrograph, Square
from models.listing import Condition
from models.paging import PageQuery


def _instant(value: datetime) -> datetime:
    try:
        return as_utc(value)
    except OverflowError as error:
        raise ValueError("time out of range") from error


#: A moment; one without a time zone is UTC.
Moment = Annotated[datetime, BeforeValidator(written_out), AfterValidator(_instant)]
Text = Annotated[str, StringConstraints(max_length=255, pattern=r"^[^\x00]*$")]
EpuId = Annotated[int, Field(ge=0, le=2**63 - 1)]
Make = Callable[[Any], Condition]


class ListQuery(PageQuery):
    """What every list of entities takes."""

    fields: Text | None = Field(
        None,
        description="Names of the fields that are wanted, separated by commas; without it all.",
        examples=["uuid,status"],
    )

    #: Filter → its condition.
    conditions: ClassVar[Mapping[str, Make]] = {}

    def where(self) -> tuple[Condition, ...]:
        """Return the conditions that the given filters make."""
        asked = ((make, getattr(self, name)) for name, make in self.conditions.items())
        return tuple(make(value) for make, value in asked if value is not None)


def _sort(*names: str) -> Any:
    return Field(
        "uuid",
        description="What to sort by, after `-` the largest first. Rows without a value come "
        "last, rows of the same value by uuid.",
        examples=[f"-{names[-1]}"],
    )


def _is(attribute: Any) -> Make:
    return lambda value: attribute == value


def _since(attribute: Any) -> Make:
    return lambda value: attribute >= value


def _before(attribute: Any) -> Make:
    return lambda value: attribute < value


def _status(attribute: Any) -> Make:
    # "none" is also what nobody told.
    return lambda value: (
        attribute.is_(None) | (attribute == value.value)
        if value.value == "none"
        else attribute == value.value
    )


def _only(description: str, example: Any = None) -> Any:
    return Field(None, description=description, examples=[] if example is None else [example])


_START = "2026-03-01T00:00:00Z"


class AcquisitionQuery(ListQuery):
    """What may be asked of acquisitions."""

    sort: Literal["uuid", "-uuid", "name", "-name", "start_time", "-start_time"] = _sort(
        "start_time"
    )
    name: Text | None = _only("Only of this name.", "Supervisor_20260302_090000")
    status: AcquisitionStatus | None = _only("Only those that go so.", "started")
    started_from: Moment | None = _only("Only those that started then or later.", _START)
    started_before: Moment | None = _only("Only those that started before.")

    conditions: ClassVar[Mapping[str, Make]] = {
        "name": _is(col(Acquisition.name)),
        "status": lambda value: value.value == ACQUISITION_STATUS,
        "started_from": _since(col(Acquisition.started_at)),
        "started_before": _before(col(Acquisition.started_at)),
    }


class GridsOfAcquisition(ListQuery):
    """What may be asked of the grids of an acquisition."""

    sort: Literal["uuid", "-uuid", "name", "-name", "scan_start_time", "-scan_start_time"] = _sort(
        "scan_start_time"
    )
    name: Text | None = _only("Only of this name.", "Supervisor_20260302_090000")
    status: GridStatus | None = _only("Only those that are so far.", "scan started")

    conditions: ClassVar[Mapping[str, Make]] = {
        "name": _is(col(Grid.name)),
        "status": _status(col(Grid.status)),
    }


class GridQuery(GridsOfAcquisition):
    """What may be asked of grids."""

    acquisition_uuid: UUID | None = _only("Only of this acquisition.")

    conditions: ClassVar[Mapping[str, Make]] = {
        **GridsOfAcquisition.conditions,
        "acquisition_uuid": _is(col(Grid.acquisition_uuid)),
    }


class AtlasQuery(ListQuery):
    """What may be asked of atlases."""

    sort: Literal["uuid", "-uuid", "name", "-name", "acquisition_date", "-acquisition_date"] = (
        _sort("acquisition_date")
    )
    grid_uuid: UUID | None = _only("Only of this grid.")
    acquired_from: Moment | None = _only("Only those taken then or later.", _START)
    acquired_before: Moment | None = _only("Only those taken before.")

    conditions: ClassVar[Mapping[str, Make]] = {
        "grid_uuid": _is(col(Atlas.grid_uuid)),
        "acquired_from": _since(col(Atlas.acquired_at)),
        "acquired_before": _before(col(Atlas.acquired_at)),
    }


class TilesOfAtlas(ListQuery):
    """What may be asked of the tiles of an atlas."""

    sort: Literal["uuid", "-uuid", "tile_id", "-tile_id"] = _sort("tile_id")
    tile_id: Text | None = _only("Only with this id of EPU's.", "17")

    conditions: ClassVar[Mapping[str, Make]] = {"tile_id": _is(col(AtlasTile.tile_id))}


class TileQuery(TilesOfAtlas):
    """What may be asked of atlas tiles."""

    atlas_uuid: UUID | None = _only("Only of this atlas.")

    conditions: ClassVar[Mapping[str, Make]] = {
        **TilesOfAtlas.conditions,
        "atlas_uuid": _is(col(AtlasTile.atlas_uuid)),
    }


class SquaresOfGrid(ListQuery):
    """What may be asked of the squares of a grid."""

    sort: Literal[
        "uuid",
        "-uuid",
        "gridsquare_id",
        "-gridsquare_id",
        "acquisition_datetime",
        "-acquisition_datetime",
    ] = _sort("acquisition_datetime")
    gridsquare_id: EpuId | None = _only("Only with this id of EPU's.", 4590776)
    status: SquareStatus | None = _only("Only those that are so far.", "none")
    selected: bool | None = _only("Only those that EPU selected, or did not.", True)

    conditions: ClassVar[Mapping[str, Make]] = {
        "gridsquare_id": _is(col(Square.square_id)),
        "status": _status(col(Square.status)),
        "selected": lambda value: col(Square.selected).is_(value),
    }


class SquareQuery(SquaresOfGrid):
    """What may be asked of grid squares."""

    grid_uuid: UUID | None = _only("Only of this grid.")

    conditions: ClassVar[Mapping[str, Make]] = {
        **SquaresOfGrid.conditions,
        "grid_uuid": _is(col(Square.grid_uuid)),
    }


class _Holes(ListQuery):
    sort: Literal["uuid", "-uuid", "foilhole_id", "-foilhole_id", "quality", "-quality"] = _sort(
        "quality"
    )
    foilhole_id: EpuId | None = _only("Only with this id of EPU's.", 4601234)
    status: HoleStatus | None = _only("Only those that are so far.", "none")

    conditions: ClassVar[Mapping[str, Make]] = {
        "foilhole_id": _is(col(Hole.hole_id)),
        "status": _status(col(Hole.status)),
    }


class HolesOfSquare(_Holes):
    """What may be asked of the holes of a square."""

    on_square_only: bool = Field(
        False, description="Leave out holes that are too near a grid bar.", examples=[True]
    )
    selected: bool | None = _only("Only those that EPU selected, or did not.", True)

    conditions: ClassVar[Mapping[str, Make]] = {
        **_Holes.conditions,
        "on_square_only": lambda value: (
            col(Hole.is_near_grid_bar).is_not(True) if value else col(Hole.uuid).is_not(None)
        ),
        "selected": lambda value: col(Hole.selected).is_(value),
    }


class HoleQuery(_Holes):
    """What may be asked of foil holes."""

    grid_uuid: UUID | None = _only("Only on this grid.")
    gridsquare_uuid: UUID | None = _only("Only on this square.")

    conditions: ClassVar[Mapping[str, Make]] = {
        **_Holes.conditions,
        "grid_uuid": _is(col(Hole.grid_uuid)),
        "gridsquare_uuid": _is(col(Hole.square_uuid)),
    }


class MicrographsOfHole(ListQuery):
    """What may be asked of the micrographs of a hole."""

    sort: Literal["uuid", "-uuid", "acquisition_datetime", "-acquisition_datetime"] = _sort(
        "acquisition_datetime"
    )
    status: MicrographStatus | None = _only("Only those that are so far.", "ctf completed")
    acquired_from: Moment | None = _only("Only those taken then or later.", _START)
    acquired_before: Moment | None = _only("Only those taken before.")

    conditions: ClassVar[Mapping[str, Make]] = {
        "status": _status(col(Micrograph.status)),
        "acquired_from": _since(col(Micrograph.acquired_at)),
        "acquired_before": _before(col(Micrograph.acquired_at)),
    }


class MicrographQuery(MicrographsOfHole):
    """What may be asked of micrographs."""

    grid_uuid: UUID | None = _only("Only on this grid.")
    foilhole_uuid: UUID | None = _only("Only of this hole.")

    conditions: ClassVar[Mapping[str, Make]] = {
        **MicrographsOfHole.conditions,
        "grid_uuid": _is(col(Micrograph.grid_uuid)),
        "foilhole_uuid": _is(col(Micrograph.hole_uuid)),
    }
