"""Decisions leave for Athena."""

from uuid import UUID

from prefect import flow

from tasks.cryoem.reports import report_drained, report_session
from tasks.cryoem.submission import drain_decisions
from tasks.draining import Drained


@flow(name="submit-decisions")
async def submit_decisions(grid_uuid: UUID, linger_seconds: float | None = None) -> Drained:
    """Send the grid's decisions to Athena, each once; safe to repeat."""
    drained = await drain_decisions(grid_uuid, linger_seconds=linger_seconds)
    await report_drained(grid_uuid, drained, what="decisions")
    await report_session(grid_uuid)
    return drained
