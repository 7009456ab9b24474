"""The sensor on the twin of the broker: nothing lost, nothing twice, culprits set aside."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

import pytest
from sqlalchemy.exc import OperationalError

from core.errors import StorageUnavailable
from models.database import Database
from tests.integration.sensor.conftest import Queue, Where
from tests.integration.sensor.rigging import (
    GRID,
    MAX_BODY,
    Intake,
    dead,
    holes,
    intake_of,
    killed,
    prediction,
    remembered,
    sensing,
    until_stored,
)
from tests.support import wait_until

WITH_AND_WITHOUT_IDS = pytest.mark.parametrize("ids", [True, False], ids=["ids", "no ids"])


async def until_empty(queue: Queue) -> None:
    async def empty() -> bool:
        return not queue.waiting and not queue.unacknowledged

    await wait_until(empty, what="an empty queue")


async def test_messages_are_stored_acknowledged_and_rung_for(
    where: Where, queue: Queue, intake: Intake, database: Database
):
    queue.put(*(prediction(hole) for hole in range(30)))
    async with queue.consumer(batch_size=10) as consumer:
        async with sensing(consumer, intake, database) as sensor:
            await until_empty(queue)
        assert holes(database) == list(range(30))
        assert where.launcher.launched[0] == ("ingest-predictions", str(GRID))
        assert (sensor.counts.messages, sensor.counts.batches) == (30, 3)
    # A clean stop leaves nothing to be recognised: everything is acknowledged.
    assert remembered(database) == []


async def test_what_can_never_be_processed_is_kept_as_dead_and_acknowledged(
    queue: Queue, intake: Intake, database: Database
):
    large = b'{"event_type": "' + b"x" * MAX_BODY + b'"}'
    bad = [
        b"not json",
        b"\xff\xfe\x00",
        b'{"event_type": "nobody.knows"}',
        prediction(1, 1.5),
        prediction(1).replace(b"0.5", b"NaN"),
        b"[" * 2_000,
        b"",
        large,
    ]
    queue.put(prediction(7), *bad, prediction(8))
    async with queue.consumer() as consumer, sensing(consumer, intake, database) as sensor:
        await until_empty(queue)
    assert holes(database) == [7, 8]
    found = dead(database)
    assert len(found) == len(bad)
    assert all(reason for _, reason in found)
    ((payload, reason),) = [one for one in found if "are allowed" in one[1]]
    assert f"{len(large):,} bytes" in reason
    assert len(str(payload)) < len(large)
    assert sensor.counts.dead == 1
    assert queue.dead == []


@WITH_AND_WITHOUT_IDS
async def test_a_kill_between_commit_and_acknowledgement_doubles_nothing(
    queue: Queue, intake: Intake, database: Database, ids: bool
):
    # The same message twice is two messages where neither has an id.
    bodies = [prediction(1), prediction(1), prediction(2), b"not json"]
    queue.put(*bodies, ids=ids)

    def die(_bodies: Sequence[bytes]) -> None:
        raise asyncio.CancelledError

    intake.on(after=die)
    async with queue.consumer() as consumer:
        await killed(consumer, intake, database)
    assert queue.waiting == 4
    assert holes(database) == [1, 1, 2]
    intake.on(after=lambda _: None)
    async with queue.consumer() as consumer, sensing(consumer, intake, database) as sensor:
        await until_empty(queue)
    assert holes(database) == [1, 1, 2]
    assert len(dead(database)) == 1
    assert sensor.counts.repeated == 4
    assert remembered(database) == []


async def test_a_repeat_that_is_delivered_a_third_time_is_still_one(
    queue: Queue, intake: Intake, database: Database
):
    def die(_bodies: Sequence[bytes]) -> None:
        raise asyncio.CancelledError

    queue.put(prediction(1), prediction(2))
    intake.on(after=die)
    async with queue.consumer() as consumer:
        await killed(consumer, intake, database)
    # Now together with a new one, which lets the second sensor die after its commit too.
    queue.put(prediction(3))
    async with queue.consumer() as consumer:
        await killed(consumer, intake, database)
    assert holes(database) == [1, 2, 3]
    intake.on(after=lambda _: None)
    async with queue.consumer() as consumer, sensing(consumer, intake, database):
        await until_empty(queue)
    assert holes(database) == [1, 2, 3]
    assert remembered(database) == []


async def test_an_equal_message_that_was_really_sent_is_no_repeat(
    queue: Queue, intake: Intake, database: Database
):
    def die(_bodies: Sequence[bytes]) -> None:
        raise asyncio.CancelledError

    queue.put(prediction(1))
    intake.on(after=die)
    async with queue.consumer() as consumer:
        await killed(consumer, intake, database)
    intake.on(after=lambda _: None)
    # One comes again, the other for the first time; both are the same text.
    queue.put(prediction(1))
    async with queue.consumer() as consumer, sensing(consumer, intake, database):
        await until_empty(queue)
    assert holes(database) == [1, 1]


@pytest.mark.parametrize("moment", ["before", "after"])
@WITH_AND_WITHOUT_IDS
async def test_a_connection_lost_around_the_commit_doubles_nothing(
    queue: Queue, intake: Intake, database: Database, ids: bool, moment: str
):
    queue.put(*(prediction(hole) for hole in range(20)), ids=ids)
    lost: list[int] = []

    def lose(_bodies: Sequence[bytes]) -> None:
        if not lost:
            lost.append(1)
            queue.broker.cut()

    intake.on(**{moment: lose})
    async with queue.consumer() as consumer, sensing(consumer, intake, database):
        await until_empty(queue)
    assert sorted(holes(database)) == list(range(20))


@pytest.mark.parametrize(
    "trouble",
    [
        StorageUnavailable("the database is away"),
        OperationalError("SELECT 1", {}, Exception("gone")),
    ],
    ids=["named", "raw"],
)
@WITH_AND_WITHOUT_IDS
async def test_while_the_database_is_away_messages_are_held_and_none_is_rejected(
    queue: Queue, intake: Intake, database: Database, ids: bool, trouble: Exception
):
    tries: list[int] = []

    def fail(_bodies: Sequence[bytes]) -> None:
        tries.append(1)
        if len(tries) < 5:
            raise trouble

    intake.on(before=fail)
    queue.put(*(prediction(hole) for hole in range(20)), ids=ids)
    async with queue.consumer() as consumer, sensing(consumer, intake, database):
        await until_empty(queue)
    assert len(tries) == 5
    assert holes(database) == list(range(20))
    assert dead(database) == []
    assert queue.dead == []


@WITH_AND_WITHOUT_IDS
async def test_an_answer_lost_after_the_commit_doubles_nothing(
    queue: Queue, intake: Intake, database: Database, ids: bool
):
    tries: list[int] = []

    def fail(_bodies: Sequence[bytes]) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise StorageUnavailable

    intake.on(after=fail)
    queue.put(*(prediction(hole) for hole in range(20)), ids=ids)
    async with queue.consumer() as consumer, sensing(consumer, intake, database):
        await until_empty(queue)
    assert holes(database) == list(range(20))


async def test_a_broker_restarted_while_the_database_is_away_doubles_nothing(
    queue: Queue, intake: Intake, database: Database
):
    tries: list[int] = []

    def fail(_bodies: Sequence[bytes]) -> None:
        tries.append(1)
        if len(tries) == 3:
            queue.broker.cut()
        if len(tries) < 6:
            raise StorageUnavailable

    intake.on(before=fail)
    queue.put(*(prediction(hole) for hole in range(20)))
    async with queue.consumer() as consumer, sensing(consumer, intake, database):
        await until_empty(queue)
    assert holes(database) == list(range(20))


async def test_a_poisoned_message_is_set_aside_alone(
    queue: Queue, intake: Intake, database: Database
):
    poison = prediction(13)

    def choke(bodies: Sequence[bytes]) -> None:
        if poison in bodies:
            raise RuntimeError("cannot swallow this")

    intake.on(before=choke)
    queue.put(*(prediction(hole) for hole in range(50)))
    async with queue.consumer() as consumer, sensing(consumer, intake, database) as sensor:
        await until_empty(queue)
    assert holes(database) == [hole for hole in range(50) if hole != 13]
    ((payload, reason),) = dead(database)
    assert payload["foilhole_id"] == 13
    assert reason == "RuntimeError: cannot swallow this"
    assert sensor.counts.dead == 1
    assert remembered(database) == []


async def test_what_cannot_even_be_kept_as_dead_goes_to_the_brokers_dead_letters(
    queue: Queue, intake: Intake, database: Database, monkeypatch: pytest.MonkeyPatch
):
    poison = prediction(13)

    def choke(bodies: Sequence[bytes]) -> None:
        if poison in bodies:
            raise RuntimeError("cannot swallow this")

    async def refuse(*_args: object, **_options: object) -> None:
        raise ValueError("nor this")

    intake.on(before=choke)
    object.__setattr__(intake, "bury", refuse)
    queue.put(*(prediction(hole) for hole in range(20)))
    async with queue.consumer() as consumer, sensing(consumer, intake, database) as sensor:
        await until_empty(queue)
    assert holes(database) == [hole for hole in range(20) if hole != 13]
    assert queue.dead == [poison]
    assert sensor.counts.set_aside == 1


async def test_a_stop_while_the_database_is_away_gives_the_batch_back(
    queue: Queue, intake: Intake, database: Database
):
    tried = asyncio.Event()

    def fail(_bodies: Sequence[bytes]) -> None:
        tried.set()
        raise StorageUnavailable

    intake.on(before=fail)
    queue.put(*(prediction(hole) for hole in range(20)))
    async with queue.consumer() as consumer, sensing(consumer, intake, database):
        await tried.wait()
    assert queue.waiting == 20
    assert holes(database) == []


async def test_a_stop_acknowledges_what_is_stored_and_gives_the_rest_back(
    queue: Queue, intake: Intake, database: Database
):
    queue.put(*(prediction(hole) for hole in range(100)))
    async with (
        queue.consumer(batch_size=10, prefetch=50) as consumer,
        sensing(consumer, intake, database) as sensor,
    ):
        intake.on(after=lambda _: sensor.stop())
        await until_stored(database, 10)
    assert len(holes(database)) == 10
    assert queue.waiting == 90


async def test_no_more_than_the_prefetch_is_taken_while_nothing_is_stored(
    queue: Queue, intake: Intake, database: Database
):
    tried = asyncio.Event()

    def fail(_bodies: Sequence[bytes]) -> None:
        tried.set()
        raise StorageUnavailable

    intake.on(before=fail)
    queue.put(*(prediction(hole) for hole in range(100)))
    async with (
        queue.consumer(batch_size=10, prefetch=30) as consumer,
        sensing(consumer, intake, database),
    ):
        await tried.wait()
        assert (queue.unacknowledged, queue.waiting) == (30, 70)


@WITH_AND_WITHOUT_IDS
async def test_who_lost_its_connection_stores_nothing_after_another_has(
    queue: Queue, where: Where, intake: Intake, database: Database, ids: bool
):
    queue.put(*(prediction(hole) for hole in range(20)), ids=ids)
    reached, may_go_on = asyncio.Event(), asyncio.Event()

    async def dawdle() -> None:
        reached.set()
        await may_go_on.wait()

    slow = intake_of(where)
    slow.on(before=lambda _: dawdle())
    async with AsyncExitStack() as connections:
        cut_off = await connections.enter_async_context(queue.consumer())
        async with sensing(cut_off, slow, database) as late:
            await reached.wait()
            # Its messages go to another one, which stores them while this one is still about to.
            await connections.aclose()
            async with queue.consumer() as consumer, sensing(consumer, intake, database):
                await until_empty(queue)
            may_go_on.set()
        assert late.counts.messages == 0
    assert holes(database) == list(range(20))
    assert remembered(database) == []


async def test_two_sensors_store_each_message_once(
    queue: Queue, intake: Intake, database: Database
):
    queue.put(*(prediction(hole) for hole in range(300)))
    async with (
        queue.consumer(batch_size=10, prefetch=20) as one,
        queue.consumer(batch_size=10, prefetch=20) as other,
        sensing(one, intake, database) as first,
        sensing(other, intake, database) as second,
    ):
        await until_stored(database, 100)
        queue.broker.cut()
        await until_empty(queue)
    assert sorted(holes(database)) == list(range(300))
    assert first.counts.messages
    assert second.counts.messages
