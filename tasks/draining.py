"""Drain a key: handle all that is stored for it, in batches, and linger for what follows.

One run drains a flow's key at a time (`models.drain`); it renews its hold with every
transaction, so that a run which lost it can change nothing.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from uuid import uuid4

from sqlalchemy.exc import OperationalError
from sqlmodel import Session

from blocks.resources import Resources
from core import metrics
from core.clock import utcnow
from core.errors import LeaseLost, StorageUnavailable
from core.logging import bound
from core.stopping import Why, stop_request
from messaging.doorbell import woken
from models import drain, interrupted
from models.drain import DrainLease
from tasks.ringing import ring

#: A run that has drained for so long ends, so that Prefect's pages show news; another follows.
_LONGEST_RUN = 600.0


@dataclass
class Drained:
    """What a run did."""

    messages: int = 0
    waiting: int = 0
    dead: int = 0
    batches: int = 0
    notes: dict[str, int] = field(default_factory=dict)
    #: False when another run was at work on the key.
    ran: bool = True

    def count(self, what: str, number: int) -> None:
        """Add to a number that the run's artifact will show."""
        if number:
            self.notes[what] = self.notes.get(what, 0) + number


#: Does one batch; returns how much was done: 0 when nothing was left.
Step = Callable[[DrainLease], Awaitable[int]]
#: What to do when nothing is left; returns in how many seconds to look again, or None.
Rest = Callable[[DrainLease], Awaitable[float | None]]


def holder_name() -> str:
    """Return a name for this run that no other has, readable in the tables."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"


async def drain_key(
    here: Resources,
    *,
    flow: str,
    key: str,
    step: Step,
    has_work: Callable[[Session], bool],
    idle: Rest | None = None,
    linger_seconds: float | None = None,
) -> bool:
    """Run `step` until nothing is left and nothing came for a while; False if another run does.

    Errors of a step end the drain; what is not done stays stored. A run that is asked to end
    does so after the step at hand.
    """
    settings = here.settings.worker
    linger = settings.linger_seconds if linger_seconds is None else linger_seconds
    deadline = monotonic() + _LONGEST_RUN
    stop = stop_request()
    async with holding(here, flow=flow, key=key) as lease:
        if lease is None:
            return False
        with here.doorbell.listening(flow, key) as event, stop.waking(event):
            quiet_since = monotonic()
            while True:
                event.clear()
                late = monotonic() >= deadline
                # Not before the first step: a run that is asked to end as it begins does one.
                if await step(lease):
                    quiet_since = monotonic()
                    if not late and stop.why is None:
                        continue
                if stop.why is Why.CANCELLED:
                    # As if interrupted, but here, where nothing is half done.
                    raise asyncio.CancelledError(f"{flow} of {key} was cancelled")
                if stop.why and idle:
                    break  # there may be more to do than `step` knows of
                again = await idle(lease) if idle else None
                # Being woken for nothing prolongs no wait: on SQLite any commit wakes all.
                waits = [quiet_since + linger - monotonic(), *([] if again is None else [again])]
                left = [seconds for seconds in waits if seconds > 0]
                if left and not late and stop.why is None:
                    await woken(event, timeout=min(left))
                    continue
                if await here.database.write(_finish, lease, has_work, settings.lease_seconds):
                    return True
                if late or stop.why:
                    break
    await ring(here, [(flow, key)])
    return True


@asynccontextmanager
async def holding(here: Resources, *, flow: str, key: str) -> AsyncIterator[DrainLease | None]:
    """Hold a flow's key for this run alone; gives None when another run holds it."""
    seconds = here.settings.worker.lease_seconds
    lease = await here.database.write(
        drain.begin,
        flow=flow,
        key=key,
        holder=holder_name(),
        now=utcnow(),
        lease_seconds=seconds,
    )
    if lease is None:
        yield None
        return
    keeper = asyncio.create_task(_keep(here, lease, seconds), name=f"lease {flow} {key}")
    try:
        with metrics.DRAINS.labels(flow).track_inprogress(), bound(flow=flow, key=key):
            yield lease
    except asyncio.CancelledError:
        with suppress(LeaseLost, StorageUnavailable, OperationalError):
            await _surely(here.database.write(_let_go, lease, seconds))
        raise
    finally:
        keeper.cancel()
        with suppress(asyncio.CancelledError):
            await keeper
        await _surely(here.database.write(drain.finish, lease))


async def _surely(work: Coroutine[Any, Any, None]) -> None:
    """Do the last work of a run that is being cancelled, however often it is told."""
    working = asyncio.create_task(work)
    told: asyncio.CancelledError | None = None
    while not working.done():
        try:
            await asyncio.wait({working})
        except asyncio.CancelledError as again:
            told = again
    if told:
        working.exception()  # its failure is less news than the end of the run
        raise told
    working.result()


def _let_go(session: Session, lease: DrainLease, seconds: float) -> None:
    # Holding the row first waits for a batch that a thread is still writing, and keeps one
    # that has not begun from being written at all.
    drain.hold(session, lease, now=utcnow(), lease_seconds=seconds)
    interrupted.give_back(session, flow=lease.flow, key=lease.key, holder=lease.holder)
    drain.finish(session, lease)


def _finish(
    session: Session, lease: DrainLease, has_work: Callable[[Session], bool], seconds: float
) -> bool:
    # Holding the row first makes a ring that is under way wait for us, or us for it.
    drain.hold(session, lease, now=utcnow(), lease_seconds=seconds)
    if has_work(session):
        return False
    drain.finish(session, lease)
    return True


async def _keep(here: Resources, lease: DrainLease, seconds: float) -> None:
    """Renew the lease while a long step (a slow Athena) is under way."""
    while True:
        await asyncio.sleep(seconds / 3)
        with suppress(LeaseLost, StorageUnavailable, OperationalError):
            await here.database.write(drain.hold, lease, now=utcnow(), lease_seconds=seconds)
