"""Tell people of trouble: in Prefect's pages always, elsewhere where an address is set."""

import asyncio
from datetime import timedelta
from time import monotonic
from typing import Final

import httpx
from prefect import task
from prefect.artifacts import acreate_markdown_artifact
from prefect.runtime import flow_run

from blocks.resources import current
from core.clock import utcnow
from core.errors import NotificationUnsent
from core.stopping import stop_request
from messaging.doorbell import woken
from tasks.cryoem.troubles import Troubles, as_text, find_troubles
from tasks.retrying import RETRIES

#: A run may have failed so long before the run that tells of it was asked for, in seconds.
_BEFORE: Final = timedelta(seconds=30)

#: Seconds that the address may take to answer.
_PATIENCE: Final = 10.0

#: The artifact's key: its history in Prefect's pages is that of the troubles.
ARTIFACT: Final = "notifications"


@task(name="look for trouble", **RETRIES)
async def look_for_trouble() -> Troubles:
    """Return what is wrong now; of runs, those that failed since this one was asked for."""
    asked = flow_run.scheduled_start_time or utcnow()
    return await find_troubles(current(), since=asked - _BEFORE)


@task(name="look again later")
async def look_again(told: Troubles) -> Troubles | None:
    """Wait until the next event would be heard; return what is wrong then, if there is more.

    Prefect hears no second event for a while after the first (`within` in prefect.yaml), so
    that nobody is flooded; what happens in that time would be told by nobody.
    """
    here = current()
    stop, event = stop_request(), asyncio.Event()
    until = monotonic() + here.settings.notify.quiet_seconds
    with stop.waking(event):
        while stop.why is None and (left := until - monotonic()) > 0:
            await woken(event, timeout=left)
    asked = flow_run.scheduled_start_time or utcnow()
    found = await find_troubles(here, since=asked - _BEFORE)
    return found if found.beyond(told) else None


@task(name="tell", **RETRIES)
async def tell(event: str, troubles: Troubles) -> None:
    """Leave an artifact, and send the same to the address that is set.

    Raises:
        NotificationUnsent: Nobody took it there.
    """
    text = as_text(troubles)
    await acreate_markdown_artifact(
        markdown=f"After `{event}`:\n\n{text}",
        key=ARTIFACT,
        description="Dead messages and failed runs.",
    )
    url = current().settings.notify.url
    if url is None:
        return
    body = {
        "text": f"Athanor: {text}",
        "event": event,
        "dead_messages": troubles.dead.total,
        "failed_runs": len(troubles.runs),
    }
    # The address may hold a secret: no error shows it.
    try:
        async with httpx.AsyncClient(timeout=_PATIENCE) as client:
            answer = await client.post(url.get_secret_value(), json=body)
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        raise NotificationUnsent(
            f"The address in ATHANOR_NOTIFY__URL cannot be reached: {type(exc).__name__}."
        ) from None
    if not answer.is_success:
        raise NotificationUnsent(
            f"The address in ATHANOR_NOTIFY__URL answered {answer.status_code}: {answer.text[:200]}"
        )
