"""What a warm worker asks of its work pool, and tells it, through Prefect's API."""

import inspect
from collections.abc import Collection
from typing import Any, Final
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterFlowRunId,
    TaskRunFilterState,
    TaskRunFilterStateType,
    WorkerFilter,
    WorkerFilterStatus,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, State, StateType, TaskRun, WorkerStatus
from prefect.client.schemas.responses import DeploymentResponse
from prefect.events.worker import EventsWorker
from prefect.exceptions import Abort, ObjectNotFound, Pause
from prefect.logging.handlers import APILogHandler
from prefect.states import Pending
from prefect.utilities.engine import propose_state

from core.clock import utcnow
from entrypoints.worker.identity import WorkerIdentity

#: Seconds for events on their way to Prefect.
_FLUSH_SECONDS: Final = 5.0

#: States in which some worker is at work on a run.
ACTIVE: Final = (StateType.PENDING, StateType.RUNNING, StateType.CANCELLING)


class PoolClient:
    """One worker's view of one work pool."""

    def __init__(
        self,
        client: PrefectClient,
        pool: str,
        worker: WorkerIdentity,
        *,
        heartbeat_seconds: float,
    ) -> None:
        """Take an open client."""
        self._client = client
        self._pool = pool
        self._worker = worker
        self._heartbeat_seconds = heartbeat_seconds
        self._deployments: dict[UUID, DeploymentResponse] = {}

    async def heartbeat(self) -> None:
        """Say that the worker is there."""
        await self._client.send_worker_heartbeat(
            self._pool, self._worker.name, heartbeat_interval_seconds=self._heartbeat_seconds
        )
        # Deployments may have been changed meanwhile: look again when next needed.
        self._deployments.clear()

    async def leave(self) -> None:
        """Take the worker out of the pool; its name never comes again."""
        await self._client.request(
            "DELETE",
            "/work_pools/{work_pool_name}/workers/{name}",
            path_params={"work_pool_name": self._pool, "name": self._worker.name},
        )

    async def online(self) -> frozenset[str]:
        """Return the names of the workers heard of late."""
        workers = await self._client.read_workers_for_work_pool(
            self._pool,
            worker_filter=WorkerFilter(status=WorkerFilterStatus(any_=[WorkerStatus.ONLINE])),
        )
        return frozenset(worker.name for worker in workers)

    async def due(self) -> list[FlowRun]:
        """Return the runs that shall start now."""
        found = await self._client.get_scheduled_flow_runs_for_work_pool(
            self._pool, scheduled_before=utcnow()
        )
        return [entry.flow_run for entry in found]

    async def claim(self, run: FlowRun) -> bool:
        """Take a run; return False if another worker has it, or Prefect wants it to wait."""
        try:
            state = await propose_state(
                self._client,
                Pending(message=f"Claimed by {self._worker.name}."),
                flow_run_id=run.id,
            )
        except (Abort, Pause):
            return False
        run.state = state
        return state.is_pending()

    async def sign(self, run_id: UUID) -> None:
        """Write on a claimed run who has it."""
        await self._client.update_flow_run(run_id, infrastructure_pid=str(self._worker))

    async def entrypoint(self, deployment_id: UUID) -> str | None:
        """Return where the flow of a deployment is."""
        return (await self._deployment(deployment_id)).entrypoint or None

    async def deployment_name(self, deployment_id: UUID) -> str:
        """Return what a deployment is called, without its flow."""
        return (await self._deployment(deployment_id)).name

    async def _deployment(self, deployment_id: UUID) -> DeploymentResponse:
        if deployment_id not in self._deployments:
            found = await self._client.read_deployment(deployment_id)
            self._deployments[deployment_id] = found
        return self._deployments[deployment_id]

    async def told_otherwise(self, run_ids: Collection[UUID]) -> list[FlowRun]:
        """Return those of the runs here that a person cancelled or suspended."""
        if not run_ids:
            return []
        return await self._client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                id=FlowRunFilterId(any_=list(run_ids)),
                state=FlowRunFilterState(
                    type=FlowRunFilterStateType(
                        any_=[StateType.CANCELLING, StateType.CANCELLED, StateType.PAUSED]
                    )
                ),
            )
        )

    async def active(self) -> list[FlowRun]:
        """Return the pool's runs that some worker should be at work on."""
        return await self._client.read_flow_runs(
            work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[self._pool])),
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(ACTIVE)))
            ),
        )

    async def children(self, run_id: UUID) -> tuple[list[FlowRun], list[TaskRun]]:
        """Return a run's subflow and task runs that are not finished."""
        subflows = await self._client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run_id]),
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(ACTIVE))),
            )
        )
        tasks = await self._client.read_task_runs(
            task_run_filter=TaskRunFilter(
                flow_run_id=TaskRunFilterFlowRunId(any_=[run_id]),
                state=TaskRunFilterState(type=TaskRunFilterStateType(any_=list(ACTIVE))),
            )
        )
        return subflows, tasks

    async def end(self, run_id: UUID, state: State[Any]) -> None:
        """Set a run's final state, unless it has one."""
        # Not `force`: then Prefect itself refuses to overwrite a final state.
        await self._client.set_flow_run_state(run_id, state)

    async def end_task(self, run_id: UUID, state: State[Any]) -> None:
        """Set a task run's final state."""
        await self._client.set_task_run_state(run_id, state, force=True)


#: What can go wrong on the way to Prefect and may be better the next time.
UNREACHABLE: Final = (httpx.HTTPError, ObjectNotFound, TimeoutError)


async def flush() -> None:
    """Wait until Prefect has the log lines and events of the runs here."""
    await APILogHandler.aflush()
    draining = EventsWorker.drain_all(timeout=_FLUSH_SECONDS)
    if inspect.isawaitable(draining):  # as it is wherever a loop runs
        await draining
