"""A discovered session becomes an Athena session with a run."""

from uuid import UUID

from prefect import flow

from tasks.cryoem.reports import name_run, report_session
from tasks.cryoem.sessions import open_session


@flow(name="register-session")
async def register_session(grid_uuid: UUID) -> bool:
    """Register the grid's session at Athena and start its run; safe to repeat."""
    opened = await open_session(grid_uuid)
    await name_run(grid_uuid)
    await report_session(grid_uuid)
    return opened
