"""How a drain ends, takes over and hands over, on both databases."""

import asyncio
from uuid import uuid4

import pytest
from sqlmodel import Session

from core.clock import utcnow
from models import drain
from models.cryoem.intake import PREDICTIONS
from models.drain import DrainLease
from tasks.draining import drain_key, holding
from tests.session_fixtures import Here
from tests.support import wait_until


def nothing(_session: Session) -> bool:
    return False


async def no_step(_lease: DrainLease) -> int:
    return 0


async def test_a_drain_ends_though_others_keep_committing(here: Here) -> None:
    """On SQLite any commit wakes all who linger; that must not keep them lingering."""
    busy = True

    async def commit_on_and_on() -> None:
        while busy:
            await here.resources.database.write(
                drain.ring, flow="another", key=str(uuid4()), now=utcnow()
            )
            await here.resources.doorbell.notify(PREDICTIONS, "a")
            await asyncio.sleep(0.01)

    others = asyncio.create_task(commit_on_and_on())
    try:
        async with asyncio.timeout(10):
            assert await drain_key(
                here.resources,
                flow=PREDICTIONS,
                key="a",
                step=no_step,
                has_work=nothing,
                linger_seconds=0.3,
            )
    finally:
        busy = False
        await others


async def test_what_comes_while_a_run_lingers_is_handled_by_it(here: Here) -> None:
    left = [0, 1, 0]
    handled: list[int] = []

    async def step(_lease: DrainLease) -> int:
        handled.append(left.pop(0) if left else 0)
        return handled[-1]

    draining = asyncio.create_task(
        drain_key(
            here.resources,
            flow=PREDICTIONS,
            key="a",
            step=step,
            has_work=nothing,
            linger_seconds=30,
        )
    )
    async with asyncio.timeout(10):

        async def woken() -> bool:
            await here.resources.doorbell.notify(PREDICTIONS, "a")
            return sum(handled) > 0

        await wait_until(woken, what="the lingering run to be woken")
    draining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await draining
    assert sum(handled) == 1


async def test_a_second_run_leaves_the_key_to_the_first(here: Here) -> None:
    async with holding(here.resources, flow=PREDICTIONS, key="a") as first:
        assert first is not None
        async with holding(here.resources, flow=PREDICTIONS, key="a") as second:
            assert second is None
    async with holding(here.resources, flow=PREDICTIONS, key="a") as third:
        assert third is not None


async def test_a_run_that_fails_lets_go_of_its_key(here: Here) -> None:
    async def broken(_lease: DrainLease) -> int:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        await drain_key(here.resources, flow=PREDICTIONS, key="a", step=broken, has_work=nothing)
    with here.resources.database.reading() as db:
        assert drain.is_quiet(db, flow=PREDICTIONS, key="a", now=utcnow())


async def test_a_run_ends_only_when_nothing_is_left(here: Here) -> None:
    looks: list[int] = []

    def work_on_first_look(_session: Session) -> bool:
        looks.append(1)
        return len(looks) == 1

    assert await drain_key(
        here.resources,
        flow=PREDICTIONS,
        key="a",
        step=no_step,
        has_work=work_on_first_look,
        linger_seconds=0,
    )
    assert len(looks) == 2
