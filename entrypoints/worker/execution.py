"""One flow run inside the worker, from the claim to its final state."""

import asyncio
import logging
from contextlib import suppress
from typing import Any, Final

# Nothing public tells a run in this process that it is suspended.
from prefect._flow_run_suspension import mark_flow_run_suspension_requested
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import Abort, ObjectNotFound, Pause
from prefect.states import AwaitingRetry, Cancelled, Crashed, Failed

from core import metrics
from core.errors import ConfigurationError
from core.logging import bound
from core.stopping import StopRequest, Why, provide_stop_request
from deployments.entrypoint import load_flow
from entrypoints.worker.engine import WarmEngine
from entrypoints.worker.pool import UNREACHABLE, PoolClient

logger = logging.getLogger(__name__)

#: A run that takes longer is signed; less than what the reconciler waits for a signature.
_SIGN_AFTER_SECONDS: Final = 1.0

#: How long a cancelled run may take to its next safe point before it is interrupted.
_SAFE_POINT_SECONDS: Final = 5.0

_STOPPED: Final = "The worker was stopped before this run had finished; it will run again."
_TOO_LATE: Final = "The run was about to end when it was cancelled."


class Execution:
    """A run that this worker has taken, or tries to take."""

    def __init__(self, pool: PoolClient, run: FlowRun, *, limit_seconds: float) -> None:
        """Begin at once, in a task that has the caller's context."""
        self._pool = pool
        self._run = run
        self._limit_seconds = limit_seconds
        self._engine: WarmEngine | None = None
        self._claimed = False
        self._stop = StopRequest()
        with bound(flow_run_id=str(run.id)):
            self.task = asyncio.create_task(self._execute(), name=f"run {run.name}")

    @property
    def is_ours(self) -> bool:
        """Whether the run was claimed and its engine is at work."""
        return self._engine is not None

    def heed(self, run: FlowRun) -> None:
        """Do what a person told Prefect to do with the run."""
        if self._engine is None or run.state is None or self._engine.cancelled_by_user:
            return
        if run.state.is_paused():
            if run.state.name == "Suspended":
                mark_flow_run_suspension_requested(run.id, run.state)
            return
        self._engine.cancelled_by_user = True
        self._end_at_safe_point()

    def wind_down(self) -> None:
        """Ask the run to end early, because the worker stops."""
        self._stop.ask(Why.WORKER_STOPS)

    def break_off(self) -> None:
        """End the run now, to be run again by another worker."""
        self._let_end_in(AwaitingRetry(message=_STOPPED))
        self.task.cancel()

    def _time_out(self) -> None:
        message = f"The run took longer than a worker's runs may: {self._limit_seconds:g} s."
        logger.warning("Run %s: %s", self._run.name, message, extra={"action": "run_timed_out"})
        self._let_end_in(Failed(name="TimedOut", message=message))
        self._end_at_safe_point()

    def _end_at_safe_point(self) -> None:
        """Have the run end where nothing is half done; at once if it looks at no such point."""
        self._stop.ask(Why.CANCELLED)
        if self._stop.is_heeded:
            asyncio.get_running_loop().call_later(_SAFE_POINT_SECONDS, self._insist)
        else:
            self.task.cancel()

    def _insist(self) -> None:
        """Interrupt a run that did not come to a safe point; one that did is saying so by now."""
        if self._stop.is_heeded:
            self.task.cancel()

    def _let_end_in(self, ending: State[Any]) -> None:
        if self._engine and self._engine.ending is None:
            self._engine.ending = ending

    async def _execute(self) -> None:
        """Execute the run; the one place where whatever may go wrong with a run ends up."""
        provide_stop_request(self._stop)
        try:
            if await self._pool.claim(self._run):
                self._claimed = True
                await self._run_flow()
        except asyncio.CancelledError:
            await self._unless_begun()
            raise
        except (Abort, Pause) as exc:
            logger.debug("Prefect ended run %s: %s", self._run.name, exc)
        except ObjectNotFound as exc:
            await self._crashed(f"What the run needs is no longer in Prefect: {exc}")
        except UNREACHABLE as exc:
            # What state Prefect has it in nobody knows; the reconciler looks later.
            logger.warning("Lost run %s on the way to Prefect: %s", self._run.name, exc)
        except ConfigurationError as exc:
            await self._crashed(str(exc))
        except Exception as exc:
            logger.exception("Could not execute run %s", self._run.name)
            await self._crashed(f"{type(exc).__name__}: {exc}")

    async def _run_flow(self) -> None:
        """Run the claimed run's flow."""
        deployment_id = self._run.deployment_id
        entrypoint = await self._pool.entrypoint(deployment_id) if deployment_id else None
        if entrypoint is None:
            raise ConfigurationError("The run's deployment has no entrypoint.")
        self._engine = WarmEngine.of(load_flow(entrypoint), self._run)
        signing = asyncio.create_task(self._sign())
        timer = asyncio.get_running_loop().call_later(self._limit_seconds, self._time_out)
        try:
            await self._measured(self._engine)
            if self._engine.state.is_cancelling():
                # It was done when the cancellation came, and Prefect let it end in no other state.
                await self._pool.end(self._run.id, Cancelled(message=_TOO_LATE))
        finally:
            timer.cancel()
            signing.cancel()
            await asyncio.wait({signing})

    async def _measured(self, engine: WarmEngine) -> None:
        """Run the engine; say when the run begins and how it ends."""
        flow = engine.flow.name
        logger.info("Run %s begins", self._run.name, extra={"action": "run_started", "flow": flow})
        try:
            await engine.run()
        finally:
            state = engine.state
            outcome = state.type.value.lower() if state.is_final() else "given_back"
            metrics.RUNS.labels(flow, outcome).inc()
            logger.info(
                "Run %s ended: %s",
                self._run.name,
                outcome,
                extra={"action": "run_ended", "flow": flow, "outcome": outcome},
            )

    async def _sign(self) -> None:
        """Write down who executes the run, unless it is over before that is of use to anybody."""
        await asyncio.sleep(_SIGN_AFTER_SECONDS)
        try:
            await self._pool.sign(self._run.id)
        except UNREACHABLE as exc:
            logger.warning("Could not sign run %s: %s", self._run.name, exc)

    async def _unless_begun(self) -> None:
        """Give a run back that was claimed when the worker stopped, and not begun."""
        if self._claimed and self._engine is None:
            with suppress(*UNREACHABLE):
                await self._pool.end(self._run.id, AwaitingRetry(message=_STOPPED))

    async def _crashed(self, message: str) -> None:
        with suppress(*UNREACHABLE):
            await self._pool.end(self._run.id, Crashed(message=message))
