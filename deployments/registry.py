"""Registers work pools, deployments, automations and blocks with Prefect's server."""

import asyncio
import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from types import ModuleType
from typing import Any, Final
from uuid import UUID

from prefect import Flow
from prefect.blocks.core import Block
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import ConcurrencyOptions
from prefect.events import DeploymentTriggerTypes
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.utilities.callables import parameter_schema
from pydantic import TypeAdapter, ValidationError
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt

import blocks
from core.errors import ConfigurationError
from deployments.entrypoint import load_flow
from deployments.project import DeploymentDefinition
from deployments.work_pool import ensure_work_pool

logger = logging.getLogger(__name__)

#: The prefect.yaml of this checkout.
PROJECT_FILE: Final = Path(__file__).resolve().parent.parent / "prefect.yaml"

#: Two processes that register at once may both find nothing and then get in each other's way.
_ONE_MORE_TRY: Final = AsyncRetrying(
    retry=retry_if_exception_type(ObjectAlreadyExists), stop=stop_after_attempt(2), reraise=True
)

_TRIGGERS: Final[TypeAdapter[list[DeploymentTriggerTypes]]] = TypeAdapter(
    list[DeploymentTriggerTypes]
)


@dataclass(frozen=True)
class Registered:
    """A deployment as Prefect has it now."""

    #: "flow-name/deployment-name".
    name: str
    deployment_id: UUID
    #: Whether anything had to be written.
    changed: bool


async def register_deployments(
    client: PrefectClient, definitions: Sequence[DeploymentDefinition], *, force: bool = False
) -> list[Registered]:
    """Make Prefect's deployments what the definitions say.

    A deployment whose definition and flow parameters are those of the last registration is
    left alone, with whatever a person changed in the UI (a paused schedule, for example),
    unless `force`.

    Raises:
        ConfigurationError: A flow cannot be loaded, or a trigger is not one.
    """
    flows = {definition.entrypoint: load_flow(definition.entrypoint) for definition in definitions}
    for pool in sorted({definition.work_pool.name for definition in definitions}):
        await ensure_work_pool(client, pool)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_register(client, definition, flows[definition.entrypoint], force))
            for definition in definitions
        ]
    return [task.result() for task in tasks]


async def register_blocks(client: PrefectClient, defaults: Sequence[tuple[str, Block]]) -> None:
    """Make our block types known, and save blocks that are not there yet.

    Args:
        client: Prefect's API.
        defaults: Name and content of blocks to save; one that exists is never overwritten.
    """
    for block_type in _block_types(blocks):
        async for attempt in _ONE_MORE_TRY:
            with attempt:
                await block_type.aregister_type_and_schema(client=client)
    for name, block in defaults:
        slug = type(block).get_block_type_slug()
        try:
            await client.read_block_document_by_name(name, slug)
        except ObjectNotFound:
            await block.asave(name, client=client)
            logger.info("Saved block %s/%s", slug, name, extra={"action": "block_saved"})


def _block_types(package: ModuleType) -> Iterator[type[Block]]:
    """Yield every block class that a package's modules define."""
    for module_info in walk_packages(package.__path__, f"{package.__name__}."):
        module = import_module(module_info.name)
        for value in vars(module).values():
            if (
                isinstance(value, type)
                and issubclass(value, Block)
                and value.__module__ == module.__name__
            ):
                yield value


async def _register(
    client: PrefectClient, definition: DeploymentDefinition, flow: Flow[..., Any], force: bool
) -> Registered:
    """Write one deployment and its automations, unless Prefect has them already."""
    name = f"{flow.name}/{definition.name}"
    schema = parameter_schema(flow).model_dump(exclude_unset=True)
    version = _fingerprint(definition, schema)
    if not force:
        try:
            existing = await client.read_deployment_by_name(name)
        except ObjectNotFound:
            pass
        else:
            if existing.version == version:
                return Registered(name, existing.id, changed=False)
    limit = definition.concurrency_limit
    deployment_id = await client.create_deployment(
        flow_id=await client.create_flow_from_name(flow.name),
        name=definition.name,
        version=version,
        description=definition.description,
        tags=list(definition.tags),
        parameters=definition.parameters,
        schedules=[schedule.for_prefect() for schedule in definition.schedules],
        concurrency_limit=limit.limit if limit else None,
        concurrency_options=(
            ConcurrencyOptions(collision_strategy=limit.collision_strategy) if limit else None
        ),
        work_pool_name=definition.work_pool.name,
        entrypoint=definition.entrypoint,
        pull_steps=[],
        parameter_openapi_schema=schema,
        enforce_parameter_schema=True,
    )
    await _automate(client, name, definition, deployment_id)
    logger.info("Registered deployment %s", name, extra={"action": "deployment_registered"})
    return Registered(name, deployment_id, changed=True)


async def _automate(
    client: PrefectClient, name: str, definition: DeploymentDefinition, deployment_id: UUID
) -> None:
    """Replace the automations that belong to a deployment."""
    try:
        triggers = _TRIGGERS.validate_python(list(definition.triggers))
    except ValidationError as exc:
        raise ConfigurationError(f"The triggers of {name} are wrong: {exc}") from exc
    await client.delete_resource_owned_automations(f"prefect.deployment.{deployment_id}")
    for trigger in triggers:
        trigger.set_deployment_id(deployment_id)
        await client.create_automation(trigger.as_automation())


def _fingerprint(definition: DeploymentDefinition, schema: dict[str, Any]) -> str:
    """Return what changes when a definition or its flow's parameters change."""
    content = json.dumps([definition.model_dump(mode="json"), schema], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:12]
