"""Runs whose worker is gone are marked crashed, so that Prefect's UI tells the truth.

Prefect leaves them running for ever. What they were to work on is told to `Lost`; nothing depends
on it: our leases and rings expire, and the sweep launches the work again.
"""

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from prefect.client.schemas.objects import FlowRun, StateType
from prefect.states import Cancelled, Crashed

from core.clock import utcnow
from entrypoints.worker.identity import WorkerIdentity
from entrypoints.worker.pool import PoolClient

logger = logging.getLogger(__name__)

#: A worker signs a run a second after it began; for so long it is left alone.
_SIGN_SECONDS: Final = 5.0

_MESSAGE: Final = "The worker that executed this run is gone (found by the reconciler)."


#: Told the deployment and the parameters of each run that was lost.
Lost = Callable[[str, Mapping[str, Any]], Awaitable[None]]


class Verdict(StrEnum):
    """Whether somebody is at work on a run."""

    ALIVE = "alive"
    #: Crashed if the next look says so again: heartbeats pause while Prefect is down.
    SUSPECT = "suspect"
    LOST = "lost"


def judge(
    run: FlowRun,
    *,
    me: WorkerIdentity,
    running_here: Collection[UUID],
    online: Collection[str],
    now: datetime,
) -> Verdict:
    """Decide whether an active run still has a worker."""
    since = run.state.timestamp if run.state else None
    if run.id in running_here or since is None or now - since < timedelta(seconds=_SIGN_SECONDS):
        return Verdict.ALIVE
    owner = WorkerIdentity.parse(run.infrastructure_pid)
    if owner is None:
        # Another kind of worker's, or claimed by one that died before it could sign.
        return Verdict.ALIVE if run.infrastructure_pid else Verdict.SUSPECT
    if owner == me:
        return Verdict.SUSPECT
    if owner.process_is_gone():
        return Verdict.LOST
    return Verdict.ALIVE if owner.name in online else Verdict.SUSPECT


class Reconciler:
    """Looks now and then for runs that nobody is at work on."""

    def __init__(self, pool: PoolClient, me: WorkerIdentity, *, lost: Lost | None) -> None:
        """Take the pool to look after, who looks, and whom to tell."""
        self._pool = pool
        self._me = me
        self._lost = lost
        self._suspects: frozenset[UUID] = frozenset()

    async def look(self, running_here: Collection[UUID]) -> list[UUID]:
        """Mark lost runs and return their ids."""
        active = await self._pool.active()
        online = await self._pool.online() if active else frozenset()
        now = utcnow()
        verdicts = {
            run.id: judge(run, me=self._me, running_here=running_here, online=online, now=now)
            for run in active
        }
        lost = [
            run
            for run in active
            if verdicts[run.id] is Verdict.LOST
            or (verdicts[run.id] is Verdict.SUSPECT and run.id in self._suspects)
        ]
        self._suspects = frozenset(
            run_id for run_id, verdict in verdicts.items() if verdict is Verdict.SUSPECT
        )
        for run in lost:
            await self._mark(run)
            if self._lost and run.deployment_id:
                name = await self._pool.deployment_name(run.deployment_id)
                await self._lost(name, run.parameters)
        return [run.id for run in lost]

    async def _mark(self, run: FlowRun) -> None:
        """Mark a run, and what it had begun, as ended."""
        subflows, tasks = await self._pool.children(run.id)
        for subflow in subflows:
            await self._mark(subflow)
        for task in tasks:
            await self._pool.end_task(task.id, Crashed(message=_MESSAGE))
        cancelling = run.state_type is StateType.CANCELLING
        state = Cancelled(message=_MESSAGE) if cancelling else Crashed(message=_MESSAGE)
        await self._pool.end(run.id, state)
        logger.warning(
            "Run %s had lost its worker: marked %s",
            run.name,
            state.name,
            extra={"action": "run_reconciled", "flow_run_id": str(run.id)},
        )
