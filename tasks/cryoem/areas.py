"""Register squares and holes as Athena areas, in bulk."""

from collections.abc import Sequence
from uuid import UUID

from sqlmodel import Session

from blocks.resources import Resources
from core.clock import utcnow
from core.errors import AthenaNotFound
from models import outbox
from models.athena import Area, AreaType
from models.cryoem import athena
from models.cryoem.decisions import SUBMIT
from models.cryoem.intake import AREAS
from models.cryoem.values import SUBMIT_VALUES
from tasks.ringing import ring

#: The deployment that opens a grid's Athena session.
REGISTER_SESSION = "register-session"


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
    pushed, waiting = 0, set[str]()
    while areas := await here.database.read(
        athena.unregistered_areas, grid, here.settings.athena.bulk_size
    ):
        asked = [
            Area(
                session_id=session.session_id,
                id=area.area_id,
                area_type=AreaType(area.area_type),
                parent_id=area.parent_area_id,
            )
            for area in areas
        ]
        try:
            await here.athena.put_areas(asked)
        except AthenaNotFound:
            await reconcile(here, grid)
            raise
        waiting |= await here.database.write(_confirm, grid, [area.area_uuid for area in areas])
        pushed += len(areas)
    await ring(here, [(flow, str(grid)) for flow in sorted(waiting)])
    return pushed


def _confirm(session: Session, grid: UUID, areas: Sequence[UUID]) -> set[str]:
    """Note that Athena has areas; return which deployments send what may have waited for them."""
    now = utcnow()
    athena.mark_registered(session, areas, now=now)
    # What is about these may have been put off until they are registered.
    outbox.hurry(session, flow=SUBMIT, key=str(grid), now=now)
    values = outbox.hurry(session, flow=SUBMIT_VALUES, key=str(grid), now=now)
    return {SUBMIT, SUBMIT_VALUES} if values else {SUBMIT}


async def reconcile(here: Resources, grid: UUID) -> None:
    """Find out what Athena lost, after it claimed not to know a session or an area.

    What it lacks is marked as unregistered, and the runs that register it are launched.
    """
    session = await here.database.read(athena.get_session, grid)
    if session is None:
        return
    if await here.athena.is_registered(session.session_id):
        known = {area.id for area in await here.athena.find_areas(session.session_id)}
        await here.database.write(athena.forget_areas_except, grid, known)
        await ring(here, [(AREAS, str(grid))])
    else:
        await here.database.write(athena.forget_session, grid)
        await ring(here, [(REGISTER_SESSION, str(grid))])
