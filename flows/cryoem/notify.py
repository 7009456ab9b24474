"""Somebody is told when messages die or runs fail."""

from prefect import flow

from tasks.cryoem.notifying import look_again, look_for_trouble, tell


@flow(name="notify", flow_run_name="notify of {event}")
async def notify(event: str = "a request by hand") -> None:
    """Tell what is wrong at once, and once more if there is more after a while."""
    troubles = await look_for_trouble()
    await tell(event, troubles)
    if more := await look_again(troubles):
        await tell(event, more)
