"""Squares and holes whose uuid does not follow from EPU's id, because a client chose it.

Messages that name a square or hole by grid and EPU's id mean the one that has that id, whatever
its uuid. Only what is not known by the uuid that would follow is looked for here.
"""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import select
from sqlmodel import Session, col

from domains.cryoem import ids
from models.cryoem.messages import HolePrediction, MultiHolePrediction, Prediction, SquarePrediction
from models.cryoem.tables import Hole, Square
from models.sql import chunks, one_of


def chosen_uuids(session: Session, predictions: Iterable[Prediction]) -> dict[UUID, UUID]:
    """Return the uuid that would follow → the one that it has; one query per grid and kind."""
    squares: dict[UUID, set[int]] = {}
    holes: dict[UUID, set[int]] = {}
    for one in predictions:
        if one.grid_uuid is None:
            continue
        match one:
            case SquarePrediction(gridsquare_id=int(square), gridsquare_uuid=None):
                squares.setdefault(one.grid_uuid, set()).add(square)
            case HolePrediction(foilhole_id=int(hole), foilhole_uuid=None):
                holes.setdefault(one.grid_uuid, set()).add(hole)
            case MultiHolePrediction(foilhole_ids=named):
                holes.setdefault(one.grid_uuid, set()).update(named)
            case _:
                pass
    found: dict[UUID, UUID] = {}
    for grid, named in squares.items():
        for part in chunks(sorted(filter(_storable, named))):
            known = select(col(Square.square_id), col(Square.uuid)).where(
                col(Square.grid_uuid) == grid, one_of(session, col(Square.square_id), part)
            )
            found |= {ids.square_uuid(grid, ident): uuid for ident, uuid in session.execute(known)}
    for grid, named in holes.items():
        for part in chunks(sorted(filter(_storable, named))):
            known = select(col(Hole.hole_id), col(Hole.uuid)).where(
                col(Hole.grid_uuid) == grid, one_of(session, col(Hole.hole_id), part)
            )
            found |= {ids.hole_uuid(grid, ident): uuid for ident, uuid in session.execute(known)}
    return found


def _storable(ident: int) -> bool:
    # What no column holds is nobody's id.
    return -(2**63) <= ident < 2**63
