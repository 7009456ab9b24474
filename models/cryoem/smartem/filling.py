"""Fields that come from other tables, for many rows at once."""

from collections.abc import Mapping
from math import isfinite
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlmodel import Session, col

from models.cryoem.processing_tables import CurrentMeasurement
from models.cryoem.smartem.columns import TILE
from models.cryoem.tables import AtlasTile
from models.json_text import dumps
from models.listing import Row
from models.select_by_keys import SelectByKeys
from models.sql import chunks, one_of

#: What is measured on a micrograph, by the names of both the measurement and the field.
MEASURED: Final[Mapping[str, type[int] | type[float]]] = {
    "total_motion": float,
    "average_motion": float,
    "ctf_max_resolution_estimate": float,
    "number_of_particles_picked": int,
    "number_of_particles_selected": int,
    "number_of_particles_rejected": int,
}
#: The measurement that brings a distribution, and its field.
_SELECTED: Final = "number_of_particles_selected"
DISTRIBUTION: Final = "selection_distribution"
_LAST: Final = SelectByKeys(
    col(CurrentMeasurement.micrograph_uuid),
    lambda one: select(
        col(CurrentMeasurement.micrograph_uuid),
        col(CurrentMeasurement.name),
        col(CurrentMeasurement.value),
        col(CurrentMeasurement.distribution),
    ).where(one, col(CurrentMeasurement.name).in_(MEASURED)),
)


def rounded(value: float | None) -> int | None:
    """Return a place on a picture as the whole pixel that clients know."""
    return None if value is None or not isfinite(value) else round(value)


def fill_measured(session: Session, rows: Mapping[UUID, Row]) -> None:
    """Set what was measured last, where it was; else a client's word stands."""
    for part in chunks(list(rows)):
        for micrograph, name, value, distribution in _LAST.execute(session, part):
            row = rows[micrograph]
            if name in row:
                row[name] = MEASURED[name](value)
            if name == _SELECTED and distribution and DISTRIBUTION in row:
                row[DISTRIBUTION] = dumps(distribution)


def fill_tiles(session: Session, rows: Mapping[UUID, Row]) -> None:
    """Set the tiles of atlases, in order of EPU's id."""
    for row in rows.values():
        row["tiles"] = []
    values: list[Any] = [getattr(AtlasTile, column) for column in TILE.values()]
    for part in chunks(list(rows)):
        statement = (
            select(*values)
            .where(
                one_of(session, col(AtlasTile.atlas_uuid), part),
                col(AtlasTile.deleted_at).is_(None),
            )
            .order_by(col(AtlasTile.tile_id), col(AtlasTile.uuid))
        )
        for found in session.execute(statement):
            tile = dict(zip(TILE, found, strict=True))
            for name in ("position_x", "position_y", "size_x", "size_y"):
                tile[name] = rounded(tile[name])
            rows[tile["atlas_uuid"]]["tiles"].append(tile)
