"""Prefect's event stream as a doorbell, for what others do: the UI, automations, schedules."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final
from uuid import UUID

from prefect.events.clients import get_events_subscriber
from prefect.events.filters import EventAnyResourceFilter, EventFilter, EventNameFilter

logger = logging.getLogger(__name__)

#: Seconds before a lost stream is opened again; polling goes on meanwhile.
_REOPEN_SECONDS: Final = 5.0

#: State changes that ask something of a worker.
_EVENTS: Final = tuple(
    f"prefect.flow-run.{state}"
    for state in (
        "Scheduled",
        "AwaitingRetry",
        "AwaitingConcurrencySlot",
        "Resuming",
        "Late",
        "Cancelling",
        "Cancelled",
        "Suspended",
    )
)


async def listen(pool_id: UUID, ring: Callable[[], None]) -> None:
    """Call `ring` whenever something changes for a pool's runs, until cancelled."""
    wanted = EventFilter(
        event=EventNameFilter(name=list(_EVENTS)),
        any_resource=EventAnyResourceFilter(id=[f"prefect.work-pool.{pool_id}"]),
    )
    while True:
        try:
            async with get_events_subscriber(filter=wanted) as stream:
                ring()  # for what happened while nobody listened
                async for _event in stream:
                    ring()
        except Exception as exc:  # noqa: BLE001  # a process loop: the stream raises many kinds, and we can do without it
            logger.debug("Prefect's event stream is not to be had: %s", exc)
        await asyncio.sleep(_REOPEN_SECONDS)
