"""One flow run inside the worker, from the claim to its final state."""

import asyncio
import logging
from contextlib import suppress
from typing import Final

# Nothing public tells a run in this process that it is suspended.
from prefect._flow_run_suspension import mark_flow_run_suspension_requested
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import Abort, ObjectNotFound, Pause
from prefect.states import Crashed

from core.errors import ConfigurationError
from deployments.entrypoint import load_flow
from entrypoints.worker.engine import WarmEngine
from entrypoints.worker.pool import UNREACHABLE, PoolClient

logger = logging.getLogger(__name__)

#: A run that takes longer is signed; less than what the reconciler waits for a signature.
_SIGN_AFTER_SECONDS: Final = 1.0


class Execution:
    """A run that this worker has taken, or tries to take."""

    def __init__(self, pool: PoolClient, run: FlowRun) -> None:
        """Begin at once, in a task that has the caller's context."""
        self._pool = pool
        self._run = run
        self._engine: WarmEngine | None = None
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
        else:
            self._engine.cancelled_by_user = True
            self.task.cancel()

    def break_off(self, message: str) -> None:
        """End the run now, as crashed."""
        if self._engine:
            self._engine.crash_message = message
        self.task.cancel()

    async def _execute(self) -> None:
        """Execute the run; the one place where whatever may go wrong with a run ends up."""
        try:
            if await self._pool.claim(self._run):
                await self._run_flow()
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
        try:
            await self._engine.run()
        finally:
            signing.cancel()
            await asyncio.wait({signing})

    async def _sign(self) -> None:
        """Write down who executes the run, unless it is over before that is of use to anybody."""
        await asyncio.sleep(_SIGN_AFTER_SECONDS)
        try:
            await self._pool.sign(self._run.id)
        except UNREACHABLE as exc:
            logger.warning("Could not sign run %s: %s", self._run.name, exc)

    async def _crashed(self, message: str) -> None:
        with suppress(*UNREACHABLE):
            await self._pool.end(self._run.id, Crashed(message=message))
