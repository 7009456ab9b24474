"""Rings: make sure that a run works on a key, and wake the one that lingers over it (rule 6)."""

import logging
from collections.abc import Iterable
from typing import Protocol
from uuid import UUID

from core.clock import utcnow
from core.errors import PrefectUnavailable
from messaging.doorbell import Doorbell
from messaging.launcher import Launcher
from models import drain
from models.cryoem import athena
from models.database import Database

logger = logging.getLogger(__name__)

Bell = tuple[str, str]


class Ringable(Protocol):
    """What ringing needs; `blocks.resources.Resources` and the API's state are such."""

    @property
    def database(self) -> Database:
        """The database with the drains."""
        ...

    @property
    def doorbell(self) -> Doorbell:
        """Wakes runs that linger."""
        ...

    @property
    def launcher(self) -> Launcher | None:
        """Creates runs; None where Prefect is not used."""
        ...


async def ring(where: Ringable, bells: Iterable[Bell]) -> int:
    """Have each (flow, grid) worked on; return how many runs were launched.

    Call it after the commit of what there is to work on. A launch that fails is taken back
    and left to the sweep: the work itself is stored.
    """
    launched = 0
    for flow, key in dict.fromkeys(bells):
        wanted = await where.database.write(drain.ring, flow=flow, key=key, now=utcnow())
        if not wanted:
            await where.doorbell.notify(flow, key)
            continue
        launched += await _launch(where, flow, key)
    return launched


async def _launch(where: Ringable, flow: str, key: str) -> int:
    if where.launcher is None:
        await where.database.write(drain.unring, flow=flow, key=key)
        return 0
    name = await where.database.read(athena.grid_name, UUID(key))
    try:
        await where.launcher.launch(
            f"{flow}/{flow}", {"grid_uuid": key}, tags=[f"grid:{key}"], run_name=f"{flow} {name}"
        )
    except PrefectUnavailable as error:
        await where.database.write(drain.unring, flow=flow, key=key)
        logger.warning(
            "Could not launch %s for %s, the sweep will: %s",
            flow,
            key,
            error,
            extra={"action": "launch_failed", "domain": "cryoem", "flow": flow, "key": key},
        )
        return 0
    return 1
