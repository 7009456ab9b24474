"""Measurements become history and current values."""

from uuid import UUID

from prefect import flow

from tasks.cryoem.measurements import drain_measurements
from tasks.cryoem.reports import report_drained
from tasks.draining import Drained


@flow(name="ingest-measurements")
async def ingest_measurements(grid_uuid: UUID, linger_seconds: float | None = None) -> Drained:
    """Record what was measured on the grid's micrographs; safe to repeat."""
    drained = await drain_measurements(grid_uuid, linger_seconds=linger_seconds)
    await report_drained(grid_uuid, drained)
    return drained
