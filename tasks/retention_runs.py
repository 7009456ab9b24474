"""Prefect's own history: how many runs there are, and which are old enough to go.

Its server lets go of runs and events by itself where `athanor up` runs it (after 30 days); one
that somebody else runs may not. Only runs of our work pool are counted and deleted here.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Final

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterEndTime,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound

#: Runs that are deleted at once: its SQLite takes one after the other anyway.
_TOGETHER: Final = 20


def _of(pool: str) -> WorkPoolFilter:
    return WorkPoolFilter(name=WorkPoolFilterName(any_=[pool]))


def _ended(before: datetime) -> FlowRunFilter:
    # Its own type is pendulum's; any aware moment does.
    return FlowRunFilter(end_time=FlowRunFilterEndTime.model_validate({"before_": before}))


async def count_runs(client: PrefectClient, pool: str, *, before: datetime | None = None) -> int:
    """Return how many runs of a work pool there are, or of those how many ended before."""
    return await client.count_flow_runs(
        flow_run_filter=_ended(before) if before else None, work_pool_filter=_of(pool)
    )


async def delete_runs(
    client: PrefectClient,
    pool: str,
    *,
    before: datetime,
    progress: Callable[[str, int], None] = lambda _what, _rows: None,
) -> int:
    """Delete the runs of a work pool that ended before a moment; return how many."""
    done = 0
    while True:
        runs = await client.read_flow_runs(
            flow_run_filter=_ended(before), work_pool_filter=_of(pool), limit=_TOGETHER
        )
        if not runs:
            return done
        await asyncio.gather(*(_delete(client, run) for run in runs))
        done += len(runs)
        progress("flow runs of Prefect", done)


async def _delete(client: PrefectClient, run: FlowRun) -> None:
    with suppress(ObjectNotFound):  # its own vacuum was first
        await client.delete_flow_run(run.id)
