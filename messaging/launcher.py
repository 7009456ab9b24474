"""Rings: flow runs created through Prefect's API, by the name of their deployment.

A ring is a doorbell, never the only copy: what a run shall do is in the inbox or the outbox,
and the sweep rings again for what no ring reached.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Any, Final, Self
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.events import emit_event
from prefect.exceptions import ObjectNotFound, PrefectException

from core import metrics
from core.errors import PrefectUnavailable

#: Seconds after which a ring is given up. Prefect's client would go on for a minute.
_PATIENCE: Final = 10.0

#: Once a ring was given up, further ones fail at once; Prefect is asked so often whether it
#: is back, and gets so long to answer, in seconds.
_ASK_EVERY: Final = 5.0
_ANSWER_WITHIN: Final = 1.0


def _nobody() -> None:
    """Wake nobody: the worker is in another process, and polls."""


class Launcher:
    """Creates flow runs over pooled connections: `async with Launcher() as launcher`."""

    def __init__(self, *, rung: Callable[[], None] = _nobody) -> None:
        """Take whom to wake.

        Args:
            rung: Called after every launch, for a worker in this process (`WarmWorker.wake`).
        """
        self._rung = rung
        self._client: PrefectClient | None = None
        self._ids: dict[str, UUID] = {}
        #: When to ask Prefect again whether it is back; None while it is there.
        self._ask_at: float | None = None

    async def __aenter__(self) -> Self:
        client = get_client()
        async with _translated("connect", "open a connection"):
            self._client = await client.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        client, self._client = self._client, None
        if client:
            await client.__aexit__(*error)

    async def launch(
        self,
        deployment: str,
        parameters: Mapping[str, Any],
        *,
        tags: Sequence[str] = (),
        idempotency_key: str | None = None,
        run_name: str | None = None,
    ) -> UUID:
        """Create a run of a deployment, to start now, and return its id.

        Args:
            deployment: "flow-name/deployment-name".
            parameters: JSON values, and ids only: Prefect refuses more than 512 kB.
            tags: Added to those of the deployment.
            idempotency_key: The same key is the same run, as long as Prefect keeps it.
            run_name: Shown in the UI; without it Prefect invents one.

        Raises:
            PrefectUnavailable: No run was created, or nobody knows whether one was.
        """
        run = {
            "parameters": dict(parameters),
            "tags": list(tags),
            "idempotency_key": idempotency_key,
            "name": run_name,
        }
        await self._unless_away(deployment)
        try:
            async with _translated("launch", f"launch {deployment}"):
                try:
                    run_id = await self._create(deployment, run)
                except ObjectNotFound:
                    # Deployed anew since we looked, under another id.
                    self._ids.pop(deployment, None)
                    run_id = await self._create(deployment, run)
        except PrefectUnavailable as exc:
            if isinstance(exc.__cause__, httpx.TransportError | TimeoutError):
                self._ask_at = monotonic()
            raise
        self._rung()
        return run_id

    def emit(self, event: str, resource_id: str, payload: Mapping[str, Any]) -> None:
        """Tell Prefect's automations that something happened; it may get lost."""
        emit(event, resource_id, payload)

    async def _unless_away(self, deployment: str) -> None:
        """Raise at once while Prefect is away, so that nobody's work waits for its rings."""
        if self._ask_at is None:
            return
        if monotonic() >= self._ask_at:
            self._ask_at = monotonic() + _ASK_EVERY
            with suppress(TimeoutError):
                async with asyncio.timeout(_ANSWER_WITHIN):
                    if await self._opened().api_healthcheck() is None:
                        self._ask_at = None
                        return
        raise PrefectUnavailable(f"Could not launch {deployment}: Prefect is away.")

    async def _create(self, deployment: str, run: Mapping[str, Any]) -> UUID:
        """Create the run; ObjectNotFound if Prefect does not know the deployment."""
        deployment_id = await self._deployment_id(deployment)
        try:
            created = await self._opened().create_flow_run_from_deployment(deployment_id, **run)
        except httpx.HTTPStatusError as exc:
            if exc.response.status_code == httpx.codes.NOT_FOUND:
                raise ObjectNotFound(exc) from exc
            raise
        return created.id

    async def _deployment_id(self, deployment: str) -> UUID:
        """Return the id of a deployment, asked for once."""
        if deployment not in self._ids:
            found = await self._opened().read_deployment_by_name(deployment)
            self._ids[deployment] = found.id
        return self._ids[deployment]

    def _opened(self) -> PrefectClient:
        if self._client is None:
            raise RuntimeError("the launcher is used before `async with`")
        return self._client


def emit(event: str, resource_id: str, payload: Mapping[str, Any]) -> None:
    """Tell Prefect's automations that something happened; it may get lost.

    Args:
        event: For example "athanor.cryoem.session.discovered".
        resource_id: What it happened to, for example "athanor.cryoem.grid.<uuid>".
        payload: JSON values that automations may use as parameters.
    """
    emit_event(event, resource={"prefect.resource.id": resource_id}, payload=dict(payload))


@asynccontextmanager
async def _translated(operation: str, doing: str) -> AsyncIterator[None]:
    """Turn what Prefect's client raises into our own error, and count it."""
    with metrics.PREFECT_ERRORS.labels(operation).count_exceptions(PrefectUnavailable):
        async with _named(doing):
            yield


@asynccontextmanager
async def _named(doing: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(_PATIENCE):
            yield
    except ObjectNotFound as exc:
        raise PrefectUnavailable(
            f"Could not {doing}: Prefect does not know it. `athanor init` registers deployments."
        ) from exc
    except httpx.HTTPStatusError as exc:
        raise PrefectUnavailable(
            f"Could not {doing}: Prefect answered {exc.response.status_code}: "
            f"{exc.response.text[:300]}"
        ) from exc
    except TimeoutError as exc:
        raise PrefectUnavailable(
            f"Could not {doing}: Prefect gave no answer in {_PATIENCE:.0f} s."
        ) from exc
    except (httpx.HTTPError, PrefectException) as exc:
        raise PrefectUnavailable(f"Could not {doing}: {exc or type(exc).__name__}") from exc
