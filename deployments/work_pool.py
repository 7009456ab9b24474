"""The work pool that warm workers serve."""

from typing import Final

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import WorkPool
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from core.errors import ConfigurationError

#: Prefect's own workers refuse a pool of a type that is not theirs.
POOL_TYPE: Final = "athanor-warm"


async def ensure_work_pool(client: PrefectClient, name: str) -> WorkPool:
    """Return the work pool, created if Prefect does not have it.

    Raises:
        ConfigurationError: There is one of that name that other workers serve.
    """
    try:
        pool = await client.read_work_pool(name)
    except ObjectNotFound:
        wanted = WorkPoolCreate(
            name=name,
            type=POOL_TYPE,
            description="Runs flows inside running Athanor workers, within a tenth of a second.",
        )
        try:
            pool = await client.create_work_pool(wanted)
        except ObjectAlreadyExists:  # another worker was first
            pool = await client.read_work_pool(name)
    if pool.type != POOL_TYPE:
        raise ConfigurationError(
            f"Prefect's work pool {name!r} is of type {pool.type!r}, not {POOL_TYPE!r}. "
            "Choose another name with ATHANOR_WORKER__POOL, or delete that pool."
        )
    return pool
