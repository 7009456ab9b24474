"""What is out of time in the agent channel: instructions, and agents that say nothing more."""

from dataclasses import dataclass

from prefect import task

from blocks.resources import current
from tasks.cryoem import instructing
from tasks.retrying import RETRIES


@dataclass(frozen=True)
class Expired:
    """What was found to be out of time."""

    instructions: int
    agents: int


@task(name="expire instructions", **RETRIES)
async def expire_overdue() -> Expired:
    """Expire instructions that are out of time, and report agents that are heard of no more."""
    here = current()
    instructions = await instructing.expire(here)
    agents = await instructing.report_offline(here)
    return Expired(len(instructions), len(agents))
