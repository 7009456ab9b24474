"""A grid is scored, ordered and decided anew."""

from uuid import UUID

from prefect import flow

from tasks.cryoem.pictures import picture_session
from tasks.cryoem.reports import report_drained
from tasks.cryoem.scores import drain_refreshes
from tasks.draining import Drained


@flow(name="refresh-scores")
async def refresh_scores(grid_uuid: UUID, linger_seconds: float | None = None) -> Drained:
    """Score and order the grid's holes, and decide anew; what did not change stays as it is."""
    drained = await drain_refreshes(grid_uuid, linger_seconds=linger_seconds)
    await report_drained(grid_uuid, drained, what="refreshes")
    if drained.ran:
        await picture_session(grid_uuid)
    return drained
