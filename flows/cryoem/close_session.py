"""An ended session's run is stopped at Athena."""

from uuid import UUID

from prefect import flow

from tasks.cryoem.pictures import picture_session
from tasks.cryoem.reports import name_run, report_session
from tasks.cryoem.sessions import close_run


@flow(name="close-session")
async def close_session(grid_uuid: UUID, reason: str | None = None) -> bool:
    """Stop the grid's run at Athena and leave summary and pictures; safe to repeat."""
    stopped = await close_run(grid_uuid, reason)
    await name_run(grid_uuid)
    await report_session(grid_uuid)
    await picture_session(grid_uuid, now=True)
    return stopped
