"""From what SmartEM's clients send to rows: which table, which columns, what it belongs to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Final
from uuid import UUID

from sqlmodel import SQLModel

from domains.cryoem import ids
from models.cryoem.messages import Entity
from models.cryoem.smartem.columns import COLUMNS
from models.cryoem.smartem.requests import Request
from models.cryoem.tables import Acquisition, Atlas, AtlasTile, Grid, Hole, Micrograph, Square
from models.sql import table_of

Row = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """One kind of entity: its table, and what its rows say of their place."""

    entity: Entity
    model: type[SQLModel]
    #: What it belongs to, and the column that names that.
    parent: Entity | None
    parent_column: str | None
    #: Columns that no two of them have alike.
    natural: tuple[str, ...] = ()
    #: The field of EPU's own id, which never changes.
    natural_field: str | None = None
    #: The field by which a child repeats EPU's id of its parent.
    parent_natural_field: str | None = None

    @property
    def columns(self) -> Mapping[str, str]:
        """Field → column."""
        return COLUMNS[self.model]

    @cached_property
    def parent_field(self) -> str | None:
        """Field by which it says what it belongs to."""
        column = self.parent_column
        return next((name for name, at in self.columns.items() if at == column), None)


#: Parents first.
KINDS: Final[Mapping[Entity, Kind]] = {
    kind.entity: kind
    for kind in (
        Kind(Entity.ACQUISITION, Acquisition, None, None),
        Kind(Entity.GRID, Grid, Entity.ACQUISITION, "acquisition_uuid"),
        Kind(Entity.ATLAS, Atlas, Entity.GRID, "grid_uuid", ("grid_uuid",)),
        Kind(
            *(Entity.TILE, AtlasTile, Entity.ATLAS, "atlas_uuid", ("atlas_uuid", "tile_id")),
            natural_field="tile_id",
        ),
        Kind(
            *(Entity.SQUARE, Square, Entity.GRID, "grid_uuid", ("grid_uuid", "square_id")),
            natural_field="gridsquare_id",
        ),
        Kind(
            *(Entity.HOLE, Hole, Entity.SQUARE, "square_uuid", ("grid_uuid", "hole_id")),
            natural_field="foilhole_id",
            parent_natural_field="gridsquare_id",
        ),
        Kind(
            *(Entity.MICROGRAPH, Micrograph, Entity.HOLE, "hole_uuid", ("hole_uuid", "stem")),
            parent_natural_field="foilhole_id",
        ),
    )
}

#: Columns that are numbers where the field is text.
_NUMBERS: Final[Mapping[str, type]] = {"square_id": int, "hole_id": int, "clustering_radius": float}
#: Columns that do not hold what the field does.
_CONVERTED: Final[Mapping[Entity, Sequence[str]]] = {
    kind.entity: [name for name in kind.columns.values() if name in {"status", *_NUMBERS}]
    for kind in KINDS.values()
}
#: What a client does not say when it makes one, but every one has.
_STATUS: Final[Mapping[Entity, str]] = {
    Entity.ACQUISITION: "started",
    Entity.GRID: "none",
    Entity.SQUARE: "none",
    Entity.HOLE: "none",
    Entity.MICROGRAPH: "none",
}
_BLANK: Final[Mapping[Entity, Row]] = {
    kind.entity: dict.fromkeys(table_of(kind.model).columns.keys()) for kind in KINDS.values()
}


def new_row(kind: Kind, request: Request, grid: UUID | None) -> Row:
    """Return all columns of a new entity, on its grid."""
    said = request.__dict__
    row = dict(_BLANK[kind.entity])
    for field, column in kind.columns.items():
        row[column] = said[field]
    for column in _CONVERTED[kind.entity]:
        row[column] = _value(column, row[column])
    match kind.entity:
        case Entity.ACQUISITION:
            row["name"] = row["name"] or str(row["uuid"])
        case Entity.TILE:
            row["tile_id"] = row["tile_id"] or str(row["uuid"])
        case Entity.SQUARE:
            row["is_low_magnification"] = said["lowmag"]
        case Entity.HOLE:
            row["grid_uuid"] = grid
        case Entity.MICROGRAPH:
            row["grid_uuid"], row["stem"] = grid, _stem(row)
        case _:
            pass
    if kind.entity in _STATUS:
        row["status"] = row["status"] or _STATUS[kind.entity]
    return row


def changes(kind: Kind, request: Request) -> Row:
    """Return the columns that a request gives; what every one must have is not emptied."""
    given = request.model_fields_set
    table = table_of(kind.model)
    found: Row = {}
    for field, column in kind.columns.items():
        if field in given and column not in ("uuid", kind.parent_column):
            value = _value(column, getattr(request, field))
            if value is not None or table.c[column].nullable:
                found[column] = value
    if kind.entity is Entity.SQUARE:
        if found.get("status") in (None, "none"):
            # A client that registers a square sends all of it again, as SmartEM's agent does.
            found.pop("status", None)
        if "lowmag" in given:
            found["is_low_magnification"] = getattr(request, "lowmag")  # noqa: B009 (of squares only)
    return found


def _value(column: str, value: Any) -> Any:
    if value is None:
        return None
    if column == "status":
        return str(value)
    number = _NUMBERS.get(column)
    return number(value) if number else value


def _stem(row: Row) -> str:
    """Return what names a micrograph: the client's word, else its file's stem, else its uuid."""
    if row["micrograph_id"]:
        return row["micrograph_id"]
    for path in (row["path"], row["high_res_path"]):
        if path:
            name = (PureWindowsPath(path) if "\\" in path else PurePosixPath(path)).name
            if name:
                return name.rsplit(".", maxsplit=1)[0] or name
    return str(row["uuid"])


def derived_uuid(kind: Kind, row: Row, grid: UUID) -> UUID | None:
    """Return the uuid that follows from an entity's grid and EPU's id, if it has one."""
    match kind.entity:
        case Entity.ATLAS:
            return ids.atlas_uuid(grid)
        case Entity.TILE if row["tile_id"] != str(row["uuid"]):
            return ids.tile_uuid(grid, row["tile_id"])
        case Entity.SQUARE:
            return ids.square_uuid(grid, row["square_id"])
        case Entity.HOLE:
            return ids.hole_uuid(grid, row["hole_id"])
        case Entity.MICROGRAPH if row["stem"] != str(row["uuid"]):
            return ids.micrograph_uuid(grid, row["stem"])
        case _:
            return None
