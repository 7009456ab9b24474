"""Predictions become history, current values and decisions."""

from uuid import UUID

from prefect import flow

from tasks.cryoem.predictions import drain_predictions
from tasks.cryoem.reports import report_drained
from tasks.draining import Drained


@flow(name="ingest-predictions")
async def ingest_predictions(grid_uuid: UUID, linger_seconds: float | None = None) -> Drained:
    """Record the grid's predictions and decide on them; safe to repeat."""
    drained = await drain_predictions(grid_uuid, linger_seconds=linger_seconds)
    await report_drained(grid_uuid, drained)
    return drained
