"""The warm worker's life: take runs, heed cancellations, show that it lives, drain."""

import asyncio
import logging
from asyncio import Event, Task
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from typing import Final
from uuid import UUID

from prefect.context import AsyncClientContext, SyncClientContext
from prefect.settings import get_current_settings

from core import metrics
from core.clock import utcnow
from core.errors import PrefectUnavailable
from core.settings import WorkerSettings
from deployments.work_pool import ensure_work_pool
from entrypoints.worker.doorbell import listen
from entrypoints.worker.engine import signals_left_alone
from entrypoints.worker.execution import Execution
from entrypoints.worker.health import WorkerHealth
from entrypoints.worker.identity import WorkerIdentity
from entrypoints.worker.pool import UNREACHABLE, PoolClient, flush
from entrypoints.worker.reconciler import Lost, Reconciler

logger = logging.getLogger(__name__)

#: Seconds between heartbeats; Prefect calls a worker offline after three missed ones.
_HEARTBEAT_SECONDS: Final = 10.0

#: Seconds that one look at Prefect may take. Its client would try for a minute.
_PATIENCE: Final = 10.0

#: Seconds for interrupted runs to say so to Prefect; the second time they may not.
_LAST_WORDS_SECONDS: Final = 6.0
_NO_WORDS_SECONDS: Final = 2.0

#: Seconds for the worker itself to take its leave.
_LEAVE_SECONDS: Final = 5.0

#: Seconds for the event stream to close; a server that hangs would keep it open.
_CLOSE_SECONDS: Final = 2.0

#: Seconds that a worker takes at most to stop, beside what the settings give to its runs.
STOPS_WITHIN: Final = _CLOSE_SECONDS + _LAST_WORDS_SECONDS + _NO_WORDS_SECONDS + _LEAVE_SECONDS

_Step = Callable[[], Awaitable[None]]


class WarmWorker:
    """Executes the runs of one work pool in this process, on the loop that starts it.

    Flows see the context variables of whoever calls `start` or `serve`.
    """

    name = "worker"

    def __init__(
        self,
        settings: WorkerSettings,
        *,
        reconcile_seconds: float = 15.0,
        lost: Lost | None = None,
    ) -> None:
        """Take the settings; nothing is opened.

        Args:
            settings: Pool, limits and intervals.
            reconcile_seconds: Between looks for lost runs; longer than a heartbeat where
                several workers share a pool, since two looks must agree.
            lost: Told of each run whose worker is gone, once it is marked.
        """
        self.identity = WorkerIdentity.of_this_process()
        self._settings = settings
        self._reconcile_seconds = reconcile_seconds
        self._lost = lost
        self._due = Event()
        self._told = Event()
        self._stopping = Event()
        self._executions: dict[UUID, Execution] = {}
        self._finished = 0
        self._last_poll: datetime | None = None
        self._problem: str | None = None
        self._life: Task[None] | None = None

    def wake(self) -> None:
        """Look for due runs now; call it on the worker's event loop."""
        self._due.set()

    def health(self) -> WorkerHealth:
        """Return how the worker is."""
        return WorkerHealth(
            name=self.identity.name,
            pool=self._settings.pool,
            running=len(self._executions),
            max_runs=self._settings.max_runs,
            finished=self._finished,
            last_poll=self._last_poll,
            problem=self._problem,
            stopping=self._stopping.is_set(),
        )

    async def serve(self) -> None:
        """Work until `stop` is called or the caller is cancelled."""
        await self.start()
        try:
            await self.wait()
        finally:
            await self.stop()

    async def start(self) -> None:
        """Return once the worker takes runs.

        Raises:
            PrefectUnavailable: Prefect's server does not answer.
            ConfigurationError: The work pool is not one for warm workers.
        """
        ready = Event()
        self._life = asyncio.create_task(self._live(ready), name="warm worker")
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({self._life, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._life.done():
            await self._life  # raises what went wrong

    async def wait(self) -> None:
        """Return when the worker has stopped; raise what stopped it, if it was an error."""
        if self._life:
            await asyncio.shield(self._life)

    async def stop(self) -> None:
        """Take no more runs, let those here come to a safe point, then hand them on."""
        self._stopping.set()
        if self._life:
            await asyncio.wait({self._life})

    async def _live(self, ready: Event) -> None:
        """Everything between start and stop, in one task so that the contexts nest."""
        with signals_left_alone():
            async with AsyncExitStack() as stack:
                pool, pool_id = await self._join(stack)
                ready.set()
                try:
                    await self._work(pool, pool_id)
                finally:
                    await self._drain()
                    await self._leave(pool)

    async def _join(self, stack: AsyncExitStack) -> tuple[PoolClient, UUID]:
        """Open connections to Prefect and appear in the work pool."""
        try:
            # All runs find these clients in the context, instead of opening their own.
            context = await stack.enter_async_context(AsyncClientContext())
            stack.enter_context(SyncClientContext())
            async with asyncio.timeout(_PATIENCE):
                work_pool = await ensure_work_pool(context.client, self._settings.pool)
                pool = PoolClient(
                    context.client,
                    work_pool.name,
                    self.identity,
                    heartbeat_seconds=_HEARTBEAT_SECONDS,
                )
                await pool.heartbeat()
        except (*UNREACHABLE, RuntimeError) as exc:  # RuntimeError: from the version check
            raise PrefectUnavailable(
                f"The worker cannot reach Prefect at {get_current_settings().api.url}: "
                f"{exc or type(exc).__name__}"
            ) from exc
        return pool, work_pool.id

    async def _leave(self, pool: PoolClient) -> None:
        """Take leave of a server that is there to hear it."""
        if self._problem:
            return
        with suppress(*UNREACHABLE):
            async with asyncio.timeout(_LEAVE_SECONDS):
                await pool.leave()
                # While there is a server to take them.
                await flush()

    async def _work(self, pool: PoolClient, pool_id: UUID) -> None:
        """Do all that a worker does, until told to stop."""
        reconciler = Reconciler(pool, self.identity, lost=self._lost)

        async def reconcile() -> None:
            await reconciler.look(self._executions)

        listening = asyncio.create_task(listen(pool_id, self._changed), name="event stream")
        try:
            async with asyncio.TaskGroup() as group:
                poll = self._settings.poll_seconds
                loops = [
                    group.create_task(self._every(poll, lambda: self._take(pool), self._due)),
                    group.create_task(self._every(poll, lambda: self._heed(pool), self._told)),
                    group.create_task(self._every(_HEARTBEAT_SECONDS, pool.heartbeat, Event())),
                    group.create_task(self._every(self._reconcile_seconds, reconcile, Event())),
                ]
                await self._stopping.wait()
                for loop in loops:
                    loop.cancel()
        finally:
            listening.cancel()
            await asyncio.wait({listening}, timeout=_CLOSE_SECONDS)

    async def _every(self, seconds: float, step: _Step, bell: Event) -> None:
        """Take a step every so often, and at once when the bell rings."""
        while True:
            bell.clear()
            try:
                async with asyncio.timeout(_PATIENCE):
                    await step()
            except UNREACHABLE as exc:
                metrics.PREFECT_ERRORS.labels("poll").inc()
                if self._problem is None:
                    logger.warning("Prefect cannot be reached: %s", exc or type(exc).__name__)
                self._problem = f"Prefect cannot be reached: {exc or type(exc).__name__}"
            else:
                self._problem = None
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await bell.wait()

    def _changed(self) -> None:
        """Look at everything again: Prefect says that something changed."""
        self._due.set()
        self._told.set()

    async def _take(self, pool: PoolClient) -> None:
        """Begin as many due runs as there are places."""
        if len(self._executions) >= self._settings.max_runs:
            return
        due = await pool.due()
        self._last_poll = utcnow()
        for run in due:
            if len(self._executions) >= self._settings.max_runs:
                return
            if run.id not in self._executions:
                execution = Execution(pool, run, limit_seconds=self._settings.run_seconds)
                self._executions[run.id] = execution
                execution.task.add_done_callback(lambda task, id_=run.id: self._done(id_, task))

    def _done(self, run_id: UUID, task: Task[None]) -> None:
        """Make room for the next run."""
        if len(self._executions) >= self._settings.max_runs:
            self._due.set()  # there may be runs that found no place
        del self._executions[run_id]
        self._finished += 1
        if not task.cancelled() and (error := task.exception()):
            logger.error("A run broke the worker's own code", exc_info=error)

    async def _heed(self, pool: PoolClient) -> None:
        """Cancel or suspend what a person wants cancelled or suspended."""
        ours = [run_id for run_id, execution in self._executions.items() if execution.is_ours]
        for run in await pool.told_otherwise(ours):
            if execution := self._executions.get(run.id):
                execution.heed(run)

    async def _drain(self) -> None:
        """Let runs come to a safe point; interrupt those that take too long."""
        if self._executions:
            logger.info("Waiting for %d runs to come to a safe point", len(self._executions))
        for execution in self._executions.values():
            execution.wind_down()
        # A server that is away hears no last words.
        last = _NO_WORDS_SECONDS if self._problem else _LAST_WORDS_SECONDS
        waits = (self._settings.stop_seconds, last, _NO_WORDS_SECONDS)
        for seconds in waits:
            tasks = [execution.task for execution in self._executions.values()]
            if not tasks:
                return
            await asyncio.wait(tasks, timeout=seconds)
            for execution in list(self._executions.values()):
                execution.break_off()
        if self._executions:
            logger.error("%d runs did not end", len(self._executions))
