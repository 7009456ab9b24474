"""Grids for benchmarks: planted in the database as if an agent had seen them."""

from typing import Any
from uuid import UUID, uuid4

from core.clock import utcnow
from domains.cryoem import ids
from domains.cryoem.manifests import (
    EpuSession,
    HoleTarget,
    SquareManifest,
    StagePosition,
)
from models.cryoem.entities import apply_epu
from models.cryoem.messages import EpuSessionMessage, EpuSquareMessage
from models.database import Database

#: As on a real grid.
HOLES_PER_SQUARE = 500
#: EPU's ids of the holes begin here.
FIRST_HOLE = 10_000
#: Between neighbours, in metres; an R1.2/1.3 film on a 300 mesh grid.
_HOLE_PITCH = 2.5e-6
_SQUARE_PITCH = 85e-6
_HOLES_PER_ROW = 25
_SQUARES_PER_ROW = 10


def plant(database: Database, count: int) -> tuple[UUID, list[UUID]]:
    """Make a grid with so many holes; return its uuid and theirs, square by square."""
    manifest = EpuSession(epu_id=str(uuid4()), name="benchmark", started_at=utcnow())
    grid = ids.grid_uuid(manifest)
    common: dict[str, Any] = {"grid_uuid": grid, "path": "benchmark", "observed_at": utcnow()}
    with database.transaction() as session:
        apply_epu(session, [EpuSessionMessage(manifest=manifest, **common)], now=utcnow())
        for square, first in enumerate(range(0, count, HOLES_PER_SQUARE), start=1):
            numbers = range(first, min(first + HOLES_PER_SQUARE, count))
            found = tuple(
                HoleTarget(
                    hole_id=FIRST_HOLE + n,
                    is_near_grid_bar=False,
                    stage_position=_place(square, n % HOLES_PER_SQUARE),
                )
                for n in numbers
            )
            squares = SquareManifest(square_id=square, position=_place(square, 0), holes=found)
            apply_epu(session, [EpuSquareMessage(manifest=squares, **common)], now=utcnow())
    return grid, [ids.hole_uuid(grid, FIRST_HOLE + n) for n in range(count)]


def _place(square: int, hole: int) -> StagePosition:
    """Return where a hole lies: squares in rows of ten, holes in rows of twenty-five."""
    row, column = divmod(hole, _HOLES_PER_ROW)
    down, across = divmod(square - 1, _SQUARES_PER_ROW)
    return StagePosition(
        x=across * _SQUARE_PITCH + column * _HOLE_PITCH,
        y=down * _SQUARE_PITCH + row * _HOLE_PITCH,
    )
