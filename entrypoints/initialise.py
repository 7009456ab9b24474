"""Make everything ready to run: tables, models, work pool, blocks, deployments; repeatable."""

import asyncio
import logging
from dataclasses import dataclass

from prefect.client.orchestration import PrefectClient, get_client
from prefect.exceptions import ObjectNotFound
from sqlmodel import Session

from blocks.athena.block import AthenaDecisionService
from blocks.rabbitmq.block import RabbitMQ
from core.clock import utcnow
from core.settings import Settings
from deployments.project import read_project
from deployments.registry import PROJECT_FILE, register_blocks, register_deployments
from models import migrations
from models.cryoem.model_registry import Known, ModelLevel, ensure
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
    #: How many models of the settings were not known before.
    new_models: int = 0


async def initialise_database(database: Database) -> tuple[str | None, str | None]:
    """Migrate the database; return its revisions before and now."""
    before = await asyncio.to_thread(migrations.current, database)
    await asyncio.to_thread(migrations.upgrade, database)
    return before, await asyncio.to_thread(migrations.current, database)


async def initialise(settings: Settings, database: Database, *, force: bool = False) -> Initialised:
    """Migrate, make models known, and register work pool, blocks and deployments with Prefect.

    `force` writes deployments anew that a person has changed in Prefect's pages.
    """
    before, now = await initialise_database(database)
    new_models = await database.write(_make_known, settings)
    definitions = read_project(PROJECT_FILE)
    async with get_client() as client:
        await register_blocks(client, [(settings.athena.block, _block(settings))])
        await _follow_settings(client, settings)
        await _save_rabbitmq(client, settings)
        registered = await register_deployments(client, definitions, force=force)
    return Initialised(
        schema_before=before,
        schema=now,
        deployments=tuple(one.name for one in registered),
        changed=tuple(one.name for one in registered if one.changed),
        new_models=new_models,
    )


def _make_known(session: Session, settings: Settings) -> int:
    """Make metrics, and the models of the settings, exist; return how many models are new."""
    wanted = [
        Known(one.name, one.description, ModelLevel(one.level) if one.level else None, one.weight)
        for one in settings.models.known
    ]
    return ensure(session, wanted, now=utcnow())


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


async def _save_rabbitmq(client: PrefectClient, settings: Settings) -> None:
    """Keep the RabbitMQ block as the environment says, where it says something."""
    chosen = settings.rabbitmq
    if chosen.url is None:
        return
    wanted = RabbitMQ(url=chosen.url, exchange=chosen.publish_exchange)
    try:
        stored = await RabbitMQ.aload(chosen.block, client=client)
    except ValueError:  # Prefect's word for a block that is not there
        stored = None
    if stored is None or (stored.url, stored.exchange) != (wanted.url, wanted.exchange):
        await wanted.asave(chosen.block, overwrite=True, client=client)
        logger.info(
            "Saved block athanor-rabbitmq/%s", chosen.block, extra={"action": "block_saved"}
        )
