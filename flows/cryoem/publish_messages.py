"""Messages of ours leave for the facility's RabbitMQ."""

from uuid import UUID

from prefect import flow

from tasks.cryoem.publishing import drain_messages
from tasks.cryoem.reports import report_drained
from tasks.draining import Drained


@flow(name="publish-messages")
async def publish_messages(grid_uuid: UUID, linger_seconds: float | None = None) -> Drained:
    """Publish what was put in the outbox about a grid; safe to repeat."""
    drained = await drain_messages(grid_uuid, linger_seconds=linger_seconds)
    await report_drained(grid_uuid, drained)
    return drained
