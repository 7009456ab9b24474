"""The safety net, every 30 s."""

from prefect import flow

from tasks.cryoem.sweeping import Swept, sweep_all


@flow(name="sweep", flow_run_name="sweep")
async def sweep() -> Swept:
    """Launch a run for all work that no ring has reached."""
    return await sweep_all()
