"""The whole life of one session as subflows: what a new user looks at."""

from uuid import UUID

from prefect import flow

from flows.cryoem.close_session import close_session
from flows.cryoem.ingest_measurements import ingest_measurements
from flows.cryoem.ingest_predictions import ingest_predictions
from flows.cryoem.refresh_scores import refresh_scores
from flows.cryoem.register_areas import register_areas
from flows.cryoem.register_session import register_session
from flows.cryoem.submit_decisions import submit_decisions
from flows.cryoem.submit_values import submit_values


@flow(name="session-lifecycle")
async def session_lifecycle(grid_uuid: UUID, close: bool = False) -> None:
    """Bring one session up to date from beginning to end, and close it when asked to.

    Each step does what is left to do: running it on a session that is up to date changes
    nothing.
    """
    await register_areas(grid_uuid, linger_seconds=0)
    await register_session(grid_uuid)
    await register_areas(grid_uuid, linger_seconds=0)
    await ingest_predictions(grid_uuid, linger_seconds=0)
    await ingest_measurements(grid_uuid, linger_seconds=0)
    await refresh_scores(grid_uuid, linger_seconds=0)
    await register_areas(grid_uuid, linger_seconds=0)
    await submit_decisions(grid_uuid, linger_seconds=0)
    await submit_values(grid_uuid, linger_seconds=0)
    if close:
        await close_session(grid_uuid)
