"""Sessions that nobody ended are closed once they have been silent for long."""

from prefect import flow

from tasks.cryoem.sweeping import ring_for_silent


@flow(name="close-idle-sessions", flow_run_name="close-idle-sessions")
async def close_idle_sessions() -> int:
    """Launch `close-session` for each session that is over; return how many."""
    return await ring_for_silent()
