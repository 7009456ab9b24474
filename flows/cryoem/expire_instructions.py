"""Instructions and agents that are out of time are found, and people are asked what waits."""

from prefect import flow

from tasks.cryoem.approving import ask_people
from tasks.cryoem.expiring import expire_overdue


@flow(name="expire-instructions", flow_run_name="expire-instructions")
async def expire_instructions() -> tuple[int, int, int]:
    """Return how many instructions expired, agents went offline, and people were asked."""
    expired = await expire_overdue()
    asked = await ask_people()
    return expired.instructions, expired.agents, asked.launched
