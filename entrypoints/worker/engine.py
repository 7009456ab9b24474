"""Prefect's flow engine, fitted to many runs on one event loop.

The engine is made for one run in a process of its own. Three of its habits do harm here:

- for a deployed run it starts a thread with an event loop and a websocket of its own, waits
  for the connection with our loop standing still, and waits again at the end
  (`observe_flow_run_suspension`); the worker watches all its runs with one connection instead;
- it takes SIGTERM over while a run is active and raises from the signal handler, into
  whatever our loop happens to be doing (`capture_sigterm`);
- a task that is cancelled is a crash to it, also when a person asked for the cancellation;
- it asks the server twice per run where results are stored, once with our loop standing still;
- it starts another thread per run to send heartbeats, which say less than the worker's own.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

from prefect import Flow, flow_engine
from prefect._flow_run_suspension import (  # no public way to tell a run of its suspension
    FlowRunSuspensionRequest,
    register_flow_run_suspension_request,
)
from prefect.client.schemas.objects import FlowRun, State
from prefect.flow_engine import AsyncFlowRunEngine
from prefect.settings import get_current_settings
from prefect.utilities.callables import get_call_parameters, parameters_to_args_kwargs


@dataclass
class WarmEngine(AsyncFlowRunEngine[..., Any]):
    """The engine of one run of a deployed flow."""

    #: Set before the run's task is cancelled because a person asked for that.
    cancelled_by_user: bool = False

    #: Set before the run's task is cancelled for another reason: the state to end in.
    ending: State[Any] | None = None

    @property
    def heartbeat_seconds(self) -> int | None:
        """No heartbeats per run."""
        return None

    @classmethod
    def of(cls, flow: Flow[..., Any], flow_run: FlowRun) -> Self:
        """Return the engine for a run, with its parameters and the flow's defaults."""
        args, kwargs = parameters_to_args_kwargs(flow.fn, flow_run.parameters)
        return cls(
            flow=_fitted(flow),
            flow_run=flow_run,
            parameters=get_call_parameters(flow.fn, args, kwargs),
        )

    async def run(self) -> None:
        """Run the flow to a final state; its own failure is that state, not an exception."""
        async with self.start():
            while self.is_running():
                async with self.run_context():
                    await self.call_flow_fn()

    @contextmanager
    def setup_flow_run_suspension_request(self) -> Iterator[FlowRunSuspensionRequest]:
        """Let the worker, which watches, tell this run of its suspension."""
        if self.flow_run is None:
            raise ValueError("an engine is started without a run")
        request = self._get_flow_run_suspension_request()
        with register_flow_run_suspension_request(self.flow_run.id, request):
            yield request

    async def handle_crash(self, exc: BaseException) -> None:
        """Report why the run's task was cancelled."""
        if self.cancelled_by_user:
            await self.handle_cancellation(exc)
        elif self.ending:
            await self.set_state(self.ending, force=True)
            self._raised = exc  # pyright: ignore[reportAttributeAccessIssue]  # as the engine does
        else:
            await super().handle_crash(exc)


@cache
def _fitted(flow: Flow[..., Any]) -> Flow[..., Any]:
    """Return the flow with a place for results, so that nobody asks the server for one.

    Whether results are kept is up to the flow; ours keep none.
    """
    if flow.result_storage is not None:
        return flow
    folder: Any = get_current_settings().results.local_storage_path  # a Path, which __init__ takes
    return flow.with_options(result_storage=folder, persist_result=bool(flow.persist_result))


@contextmanager
def signals_left_alone() -> Iterator[None]:
    """Keep every flow engine in this process, also of subflows, from taking SIGTERM over."""
    original = flow_engine.capture_sigterm  # pyright: ignore[reportPrivateImportUsage]
    flow_engine.capture_sigterm = nullcontext  # pyright: ignore[reportPrivateImportUsage]
    try:
        yield
    finally:
        flow_engine.capture_sigterm = original  # pyright: ignore[reportPrivateImportUsage]
