"""Make everything ready to run: tables, work pool, blocks, deployments; safe to repeat."""

import asyncio
import logging
from dataclasses import dataclass

from prefect.client.orchestration import PrefectClient, get_client
from prefect.exceptions import ObjectNotFound

from blocks.athena.block import AthenaDecisionService
from core.settings import Settings
from deployments.project import read_project
from deployments.registry import PROJECT_FILE, register_blocks, register_deployments
from models import migrations
from models.database import Database

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Initialised:
    """What was made."""

    #: Revisions of the schema before and now; equal when there was nothing to do.
    schema_before: str | None
    schema: str | None
    deployments: tuple[str, ...]
    changed: tuple[str, ...]


async def initialise_database(database: Database) -> tuple[str | None, str | None]:
    """Migrate the database; return its revisions before and now."""
    before = await asyncio.to_thread(migrations.current, database)
    await asyncio.to_thread(migrations.upgrade, database)
    return before, await asyncio.to_thread(migrations.current, database)


async def initialise(settings: Settings, database: Database, *, force: bool = False) -> Initialised:
    """Migrate, and register work pool, blocks and deployments with Prefect.

    `force` writes deployments anew that a person has changed in Prefect's pages.
    """
    before, now = await initialise_database(database)
    definitions = read_project(PROJECT_FILE)
    async with get_client() as client:
        await register_blocks(client, [(settings.athena.block, _block(settings))])
        await _follow_settings(client, settings)
        registered = await register_deployments(client, definitions, force=force)
    return Initialised(
        schema_before=before,
        schema=now,
        deployments=tuple(one.name for one in registered),
        changed=tuple(one.name for one in registered if one.changed),
    )


def _block(settings: Settings) -> AthenaDecisionService:
    athena = settings.athena
    return AthenaDecisionService(
        base_url=athena.url,
        token=athena.token,
        verify_tls=athena.verify_tls,
        connect_timeout=athena.connect_timeout,
        read_timeout=athena.read_timeout,
    )


async def _follow_settings(client: PrefectClient, settings: Settings) -> None:
    """Update the stored block where the environment names another service.

    What a person changed in Prefect's pages stays, unless ATHANOR_ATHENA__URL is set.
    """
    if "url" not in settings.athena.model_fields_set:
        return
    wanted = _block(settings)
    try:
        stored = await AthenaDecisionService.aload(settings.athena.block, client=client)
    except ObjectNotFound:
        return
    if stored.base_url != wanted.base_url:
        await wanted.asave(settings.athena.block, overwrite=True, client=client)
        logger.info(
            "Block athena-decision-service/%s now points at %s",
            settings.athena.block,
            wanted.base_url,
            extra={"action": "block_updated"},
        )
