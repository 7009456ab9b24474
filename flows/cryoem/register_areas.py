"""What EPU's files say becomes rows, and squares and holes become Athena areas."""

from uuid import UUID

from prefect import flow

from tasks.cryoem.entities import drain_entities
from tasks.cryoem.reports import report_drained
from tasks.draining import Drained


@flow(name="register-areas")
async def register_areas(grid_uuid: UUID, linger_seconds: float | None = None) -> Drained:
    """Store what came in for the grid and register its areas; safe to repeat."""
    drained = await drain_entities(grid_uuid, linger_seconds=linger_seconds)
    await report_drained(grid_uuid, drained, what="files")
    return drained
