"""Retention as commands run it: with progress, and with Prefect's history where it answers."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import typer

from core.clock import utcnow
from core.settings import Settings
from domains.retention import Age, Operation, PolicyName
from entrypoints.environment import prepare_prefect
from models.database import Database
from models.retention.report import RetentionReport, RetentionStats

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

#: Nothing is said of what is done sooner; after that a line as often.
_SAY_EVERY: Final = 2.0


class Telling:
    """Says on standard error how far long work is."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _SAY_EVERY

    def __call__(self, what: str, rows: int) -> None:
        """Say it, unless something was said just now."""
        if (now := time.monotonic()) >= self._next:
            self._next = now + _SAY_EVERY
            typer.echo(f"{what}: {rows:,}", err=True)


def cleanup(
    settings: Settings,
    database: Database,
    operation: Operation,
    policy: PolicyName | None,
    *,
    dry_run: bool,
) -> RetentionReport:
    """Do what an operation says, or with `dry_run` say what it would do."""
    return asyncio.run(_cleanup(settings, database, operation, policy, dry_run=dry_run))


def stats(settings: Settings, database: Database, policy: PolicyName | None) -> RetentionStats:
    """Return what there is, and what a cleanup would do."""
    return asyncio.run(_stats(settings, database, policy))


async def _cleanup(
    settings: Settings,
    database: Database,
    operation: Operation,
    policy: PolicyName | None,
    *,
    dry_run: bool,
) -> RetentionReport:
    from tasks.retention import Retention, policy_of  # noqa: PLC0415 (`athanor --help` shall be fast)

    telling = Telling()
    chosen = policy_of(settings.retention, policy)
    retention = Retention(database, chosen, settings.retention.export_folder, telling)
    now = utcnow()
    work = retention.foresee if dry_run else retention.run
    report = await work(operation, now=now)
    if operation is not Operation.CLEANUP:
        return report
    before = chosen.cutoff(Age.RUNS, now)
    async with _prefect(settings) as client:
        if client is None:
            return report
        from tasks import retention_runs as runs  # noqa: PLC0415 (as above)

        pool = settings.worker.pool
        if dry_run:
            number = await runs.count_runs(client, pool, before=before)
        else:
            number = await runs.delete_runs(client, pool, before=before, progress=telling)
    return report.model_copy(update={"runs": number})


async def _stats(
    settings: Settings, database: Database, policy: PolicyName | None
) -> RetentionStats:
    from tasks.retention import Retention, policy_of  # noqa: PLC0415 (as above)

    chosen = policy_of(settings.retention, policy)
    found = await Retention(database, chosen).stats()
    async with _prefect(settings) as client:
        if client is None:
            return found
        from tasks import retention_runs as runs  # noqa: PLC0415 (as above)

        pool = settings.worker.pool
        there = await runs.count_runs(client, pool)
        old = await runs.count_runs(client, pool, before=chosen.cutoff(Age.RUNS, found.at))
    due = found.due.model_copy(update={"runs": old})
    return found.model_copy(update={"runs": there, "due": due})


@asynccontextmanager
async def _prefect(settings: Settings) -> "AsyncIterator[PrefectClient | None]":
    """Give a client of Prefect's server, or None where it does not answer."""
    from entrypoints.ringers import prefect_answers  # noqa: PLC0415 (as above)

    prepare_prefect(settings)
    if not await prefect_answers():
        yield None
        return
    # Prefect reads the environment when it is first imported: not before it is prepared.
    from prefect.client.orchestration import get_client  # noqa: PLC0415

    async with get_client() as client:
        yield client
