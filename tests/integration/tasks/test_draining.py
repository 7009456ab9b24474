"""How a drain ends, takes over and hands over, on both databases."""

import asyncio
from collections.abc import Iterator
from uuid import uuid4

import pytest
from sqlalchemy import update
from sqlmodel import Session, col, select

from core.clock import utcnow
from core.stopping import StopRequest, Why, provide_stop_request
from models import drain, inbox
from models.base import DeliveryState
from models.cryoem.intake import PREDICTIONS
from models.drain import DrainLease
from models.inbox import InboxMessage, NewMessage
from tasks.draining import drain_key, holding
from tests.session_fixtures import Here
from tests.support import PATIENCE, wait_until


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
        async with asyncio.timeout(PATIENCE):
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
    async with asyncio.timeout(PATIENCE):

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


def message(number: int) -> NewMessage:
    return NewMessage("test", "cryoem", "kind", PREDICTIONS, "a", {}, message_id=str(number))


def claim_all(session: Session, lease: DrainLease) -> None:
    session.execute(
        update(InboxMessage).values(
            state=DeliveryState.CLAIMED,
            attempts=col(InboxMessage.attempts) + 1,
            claimed_by=lease.holder,
        )
    )


def rows(here: Here) -> list[tuple[str, int]]:
    with here.resources.database.reading() as db:
        return [(row.state, row.attempts) for row in db.exec(select(InboxMessage))]


def is_quiet(here: Here) -> bool:
    with here.resources.database.reading() as db:
        return drain.is_quiet(db, flow=PREDICTIONS, key="a", now=utcnow())


async def happened(event: asyncio.Event, working: asyncio.Task[bool]) -> bool:
    if working.done():
        await working
    return event.is_set()


@pytest.fixture
def stop() -> Iterator[StopRequest]:
    """The request of the test's run."""
    request = StopRequest()
    provide_stop_request(request)
    yield request
    # Tests share a context: the next one's runs are not to stop.
    provide_stop_request(StopRequest())


async def test_a_cancelled_run_ends_between_two_batches(here: Here, stop: StopRequest) -> None:
    steps: list[str] = []

    async def step(_lease: DrainLease) -> int:
        steps.append("begun")
        stop.ask(Why.CANCELLED)
        await asyncio.sleep(0)
        steps.append("ended")
        return 1

    with pytest.raises(asyncio.CancelledError):
        await drain_key(
            here.resources, flow=PREDICTIONS, key="a", step=step, has_work=lambda _db: True
        )

    assert steps == ["begun", "ended"]
    assert is_quiet(here)
    assert here.resources.launcher.launched == []


async def test_a_run_interrupted_in_a_batch_gives_back_what_it_had_claimed(here: Here) -> None:
    await here.resources.database.write(inbox.store, [message(1), message(2)], now=utcnow())
    claimed = asyncio.Event()

    async def step(lease: DrainLease) -> int:
        await here.resources.database.write(claim_all, lease)
        claimed.set()
        await asyncio.sleep(600)
        return 0

    draining = asyncio.create_task(
        drain_key(here.resources, flow=PREDICTIONS, key="a", step=step, has_work=nothing)
    )
    await wait_until(lambda: happened(claimed, draining), what="the claim")
    assert rows(here) == [(DeliveryState.CLAIMED, 1)] * 2
    draining.cancel()
    # Who is in a hurry asks again and again.
    await asyncio.sleep(0)
    draining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await draining

    assert rows(here) == [(DeliveryState.PENDING, 0)] * 2
    assert is_quiet(here)


async def test_a_run_that_lost_its_key_gives_nothing_back(here: Here) -> None:
    await here.resources.database.write(inbox.store, [message(1)], now=utcnow())
    claimed = asyncio.Event()

    async def step(lease: DrainLease) -> int:
        await here.resources.database.write(claim_all, lease)
        await here.resources.database.write(drain.finish, lease)
        claimed.set()
        await asyncio.sleep(600)
        return 0

    draining = asyncio.create_task(
        drain_key(here.resources, flow=PREDICTIONS, key="a", step=step, has_work=nothing)
    )
    await wait_until(lambda: happened(claimed, draining), what="the claim")
    draining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await draining

    assert rows(here) == [(DeliveryState.CLAIMED, 1)]


async def test_a_lingering_run_whose_worker_stops_ends_at_once_and_rings_nobody(
    here: Here, stop: StopRequest
) -> None:
    draining = asyncio.create_task(
        drain_key(
            here.resources,
            flow=PREDICTIONS,
            key="a",
            step=no_step,
            has_work=nothing,
            linger_seconds=600,
        )
    )

    async def lingers() -> bool:
        return stop.is_heeded

    await wait_until(lingers)
    stop.ask(Why.WORKER_STOPS)
    async with asyncio.timeout(PATIENCE):
        assert await draining

    assert is_quiet(here)
    assert here.resources.launcher.launched == []


async def test_a_run_whose_worker_stops_leaves_the_rest_to_another(
    here: Here, stop: StopRequest
) -> None:
    grid = str(uuid4())
    steps: list[int] = []

    async def step(_lease: DrainLease) -> int:
        steps.append(1)
        stop.ask(Why.WORKER_STOPS)
        return 1

    assert await drain_key(
        here.resources, flow=PREDICTIONS, key=grid, step=step, has_work=lambda _db: True
    )

    assert steps == [1]
    assert here.resources.launcher.launched == [(PREDICTIONS, grid)]
