"""What was measured leaves for Athena."""

from uuid import UUID

from prefect import flow

from tasks.cryoem.reports import report_drained
from tasks.cryoem.values import drain_values
from tasks.draining import Drained


@flow(name="submit-values")
async def submit_values(grid_uuid: UUID, linger_seconds: float | None = None) -> Drained:
    """Tell Athena what was measured on the grid's holes, each value once; safe to repeat."""
    drained = await drain_values(grid_uuid, linger_seconds=linger_seconds)
    await report_drained(grid_uuid, drained, what="values")
    return drained
