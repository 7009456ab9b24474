"""Entities by other uuids than their own.

EPU's id is what an entity is known by, and whoever tells of it first names its row: EPU's files
by the uuid that follows from the id, a client of the HTTP API by one of its choice. The other
uuids by which somebody may know it are kept beside (`entity_alias`). Only what is no row's own
uuid is looked for here.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import exists, select
from sqlmodel import Session, col

from models.cryoem.messages import MultiHolePrediction, Prediction
from models.cryoem.tables import Alias, Grid
from models.merge import Patch
from models.sql import chunks, insert_ignore, one_of

#: Uuid that is no row's own → the uuid of the row.
Names = dict[UUID, UUID]
#: Columns by which rows name entities.
_NAMING = ("uuid", "atlas_uuid", "tile_uuid", "square_uuid", "hole_uuid")


def targets(session: Session, uuids: Iterable[UUID]) -> Names:
    """Return the rows' own uuids of those that are known otherwise; one query per thousand."""
    return _of_names(session, uuids, col(Alias.target_uuid))


def grids(session: Session, uuids: Iterable[UUID]) -> dict[UUID, UUID]:
    """Return uuid → grid uuid, of those that are other names of something."""
    return _of_names(session, uuids, col(Alias.grid_uuid))


def _of_names(session: Session, uuids: Iterable[UUID], wanted: Any) -> dict[UUID, UUID]:
    found: dict[UUID, UUID] = {}
    for part in chunks(list(dict.fromkeys(uuids))):
        statement = select(col(Alias.uuid), wanted)
        rows = session.execute(statement.where(one_of(session, col(Alias.uuid), part)))
        found |= {uuid: of for uuid, of in rows}  # noqa: C416 (a Row is no pair to dict())
    return found


def chosen_uuids(session: Session, predictions: Iterable[Prediction]) -> Names:
    """Return the uuid that a prediction gives, or that follows → the one that it has."""
    wanted: list[UUID] = []
    for one in predictions:
        if isinstance(one, MultiHolePrediction):
            wanted += one.targets()
        else:
            wanted.append(one.target())
    return targets(session, wanted)


def put(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Remember other names; one that is a name already stays what it is."""
    insert_ignore(session, Alias, rows, unique=["uuid"])


def in_patches(
    session: Session, patches: Sequence[Patch], grids: Collection[UUID]
) -> tuple[list[Patch], Names]:
    """Return patches that name rows as they are named, and which were named otherwise."""
    named = exists().where(col(Alias.grid_uuid) == col(Grid.uuid))
    statement = select(col(Grid.uuid)).where(col(Grid.uuid).in_(grids), named).limit(1)
    if session.scalar(statement) is None:
        return list(patches), {}
    wanted = (one.values[column] for one in patches for column in _NAMING if column in one.values)
    names = targets(session, (uuid for uuid in wanted if uuid is not None))
    return [_named(one, names) for one in patches], names


def _named(patch: Patch, names: Names) -> Patch:
    other = {
        column: names[patch.values[column]]
        for column in _NAMING
        if patch.values.get(column) in names
    }
    return replace(patch, values={**patch.values, **other}) if other else patch
