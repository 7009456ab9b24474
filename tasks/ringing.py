"""Rings: make sure that a run works on a key, and wake the one that lingers over it (rule 6)."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from blocks.resources import current
from core import metrics
from core.clock import utcnow
from core.errors import PrefectUnavailable, StorageUnavailable
from messaging.doorbell import Doorbell
from messaging.launcher import Launcher
from models import drain
from models.cryoem import athena
from models.database import Database
from models.drain import Drain, DrainState

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
            metrics.LAUNCHES.labels(flow, "joined").inc()
            await where.doorbell.notify(flow, key)
            continue
        launched += await _launch(where, flow, key)
    return launched


async def ring_for_lost(flow: str, parameters: Mapping[str, Any]) -> None:
    """Ring anew where a run died between its launch and the moment at which it took its key.

    Until then the key is rung for, and for a minute nobody else would be launched. A key that the
    run had taken is left to its lease.
    """
    here, key = current(), parameters.get("grid_uuid")
    try:
        if key and await here.database.write(_take_back, flow, str(key)):
            await ring(here, [(flow, str(key))])
    except (StorageUnavailable, DBAPIError):
        logger.exception(
            "Could not ring for a lost run of %s of %s, the sweep will",
            flow,
            key,
            extra={"action": "ring_failed", "domain": "cryoem", "flow": flow},
        )


def _take_back(session: Session, flow: str, key: str) -> bool:
    """Take back a ring that nobody hears; return whether there was one."""
    found = session.get(Drain, (flow, key))
    if found is None or found.state != DrainState.RUNG:
        return False
    drain.unring(session, flow=flow, key=key)
    return True


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
        metrics.LAUNCHES.labels(flow, "failed").inc()
        logger.warning(
            "Could not launch %s for %s, the sweep will: %s",
            flow,
            key,
            error,
            extra={"action": "launch_failed", "domain": "cryoem", "flow": flow, "key": key},
        )
        return 0
    metrics.LAUNCHES.labels(flow, "launched").inc()
    return 1


class Ringer:
    """Rings in the background, for who has more to store meanwhile.

    A ring waits for the batch that a run has in hand; what is asked for a key while one waits
    is one ring more, however often it was asked for.
    """

    def __init__(self, where: Ringable) -> None:
        """Take what ringing needs."""
        self._where = where
        self._ringing: dict[Bell, asyncio.Task[None]] = {}
        self._again: set[Bell] = set()

    def ring(self, bells: Iterable[Bell]) -> None:
        """Have each (flow, grid) worked on, soon; call it after the commit."""
        for bell in bells:
            if bell in self._ringing:
                self._again.add(bell)
            else:
                self._again.discard(bell)
                self._ringing[bell] = asyncio.create_task(self._ring(bell), name=f"ring {bell}")

    async def close(self) -> None:
        """Return when all that was asked for is rung."""
        while self._ringing:
            await asyncio.wait(list(self._ringing.values()))

    async def _ring(self, bell: Bell) -> None:
        try:
            while True:
                self._again.discard(bell)
                await ring(self._where, [bell])
                if bell not in self._again:
                    return
        except (StorageUnavailable, DBAPIError):
            logger.exception(
                "Could not ring for %s of %s, the sweep will",
                *bell,
                extra={"action": "ring_failed", "domain": "cryoem", "flow": bell[0]},
            )
        finally:
            del self._ringing[bell]
