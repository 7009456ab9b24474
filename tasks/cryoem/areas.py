"""Register squares and holes as Athena areas, in bulk."""

from collections.abc import Sequence
from uuid import UUID

from sqlmodel import Session

from blocks.resources import Resources
from core.clock import utcnow
from models import outbox
from models.athena import Area, AreaType
from models.cryoem import athena
from models.cryoem.decisions import SUBMIT
from tasks.ringing import ring


async def push_areas(here: Resources, grid: UUID) -> int:
    """Register what Athena does not know yet; return how many areas it confirmed.

    PUT registers or updates, so a repeat after an unknown outcome does no harm. Nothing
    happens before the grid has its Athena session.
    """
    session = await here.database.read(athena.get_session, grid)
    if session is None or session.run_stopped_at is not None:
        return 0
    if await here.database.read(athena.has_unallocated_areas, grid):
        await here.database.write(athena.allocate_areas, grid)
    pushed = 0
    while areas := await here.database.read(
        athena.unregistered_areas, grid, here.settings.athena.bulk_size
    ):
        await here.athena.put_areas(
            [
                Area(
                    session_id=session.session_id,
                    id=area.area_id,
                    area_type=AreaType(area.area_type),
                    parent_id=area.parent_area_id,
                )
                for area in areas
            ]
        )
        await here.database.write(_confirm, grid, [area.area_uuid for area in areas])
        pushed += len(areas)
    if pushed:
        # Decisions may have been waiting for these.
        await ring(here, [(SUBMIT, str(grid))])
    return pushed


def _confirm(session: Session, grid: UUID, areas: Sequence[UUID]) -> None:
    now = utcnow()
    athena.mark_registered(session, areas, now=now)
    # Decisions about these may have been put off until they are registered.
    outbox.hurry(session, flow=SUBMIT, key=str(grid), now=now)


async def reconcile_areas(here: Resources, grid: UUID) -> int:
    """Compare our areas with Athena's after it claimed not to know one; return how many it lost."""
    session = await here.database.read(athena.get_session, grid)
    if session is None:
        return 0
    known = {area.id for area in await here.athena.find_areas(session.session_id)}
    return await here.database.write(athena.forget_areas_except, grid, known)
