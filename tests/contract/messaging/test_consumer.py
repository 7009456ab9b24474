"""What every consumer promises."""

import asyncio

import pytest

from core.errors import ConfigurationError
from messaging.rabbitmq.port import Batch, Consumer
from messaging.rabbitmq.topology import QueuePlan
from tests.contract.messaging.rigs import Rig
from tests.support import PATIENCE, wait_until


def numbered(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


async def taken(consumer: Consumer, count: int) -> list[Batch]:
    """Take batches until so many messages are there."""
    batches: list[Batch] = []
    async with asyncio.timeout(PATIENCE):
        while sum(map(len, batches)) < count:
            batches.append(await consumer.next_batch())
    return batches


async def rig_ready(rig: Rig, plan: QueuePlan) -> None:
    """Wait until the consumer has made its queue."""

    async def made() -> bool:
        return await rig.exists(plan.name)

    await wait_until(made, what="the queue")


async def test_batches_are_full_while_there_is_enough_and_in_order(rig: Rig):
    plan = QueuePlan(rig.name())
    async with rig.consumer(plan, batch_size=100, batch_seconds=5, prefetch=1000) as consumer:
        await rig_ready(rig, plan)
        await rig.put(plan.name, numbered(300))
        batches = await taken(consumer, 300)
        assert [len(batch) for batch in batches] == [100, 100, 100]
        assert [body for batch in batches for body in batch.bodies] == numbered(300)
        assert [batch.first_tag for batch in batches] == [1, 101, 201]
        assert batches[-1].last_tag == 300


async def test_one_message_waits_only_for_a_moment(rig: Rig):
    plan = QueuePlan(rig.name())
    async with rig.consumer(plan, batch_seconds=0.01) as consumer:
        await rig_ready(rig, plan)
        await rig.put(plan.name, [b"alone"])
        (batch,) = await taken(consumer, 1)
        assert batch.bodies == [b"alone"]
        assert batch.redelivered == [False]


async def test_ids_come_with_the_messages(rig: Rig):
    plan = QueuePlan(rig.name())
    async with rig.consumer(plan) as consumer:
        await rig_ready(rig, plan)
        await rig.put(plan.name, [b"a", b"b"], ids=["one", "two"])
        await rig.put(plan.name, [b"c"])
        batches = await taken(consumer, 3)
        assert [i for batch in batches for i in batch.message_ids] == ["one", "two", None]


async def test_what_is_not_acknowledged_goes_back_and_comes_again_in_order(rig: Rig):
    plan = QueuePlan(rig.name())
    async with rig.consumer(plan, batch_size=10, batch_seconds=5) as consumer:
        await rig_ready(rig, plan)
        await rig.put(plan.name, numbered(30))
        first, second, _ = await taken(consumer, 30)
        consumer.acknowledge(first)
        await consumer.settle()
        assert consumer.is_settled(first)
        assert not consumer.is_settled(second)

    async def gone_back() -> bool:
        return await rig.size(plan.name) == 20

    await wait_until(gone_back)
    async with rig.consumer(plan, batch_size=20, batch_seconds=5) as consumer:
        (again,) = await taken(consumer, 20)
        assert list(again.bodies) == numbered(30)[10:]
        assert list(again.redelivered) == [True] * 20


async def test_an_acknowledgement_covers_all_earlier_batches(rig: Rig):
    plan = QueuePlan(rig.name())
    async with rig.consumer(plan, batch_size=10, batch_seconds=5) as consumer:
        await rig_ready(rig, plan)
        await rig.put(plan.name, numbered(20))
        _, second = await taken(consumer, 20)
        consumer.acknowledge(second)
        await consumer.settle()
    async with rig.consumer(plan, batch_seconds=0.01) as consumer:
        await rig.put(plan.name, [b"new"])
        assert (await taken(consumer, 1))[0].bodies == [b"new"]


async def test_no_more_than_the_prefetch_is_held(rig: Rig):
    plan = QueuePlan(rig.name())
    async with rig.consumer(plan, batch_size=4, batch_seconds=0.01, prefetch=10) as consumer:
        await rig_ready(rig, plan)
        await rig.put(plan.name, numbered(50))
        batches = await taken(consumer, 10)
        assert sum(map(len, batches)) == 10

        async def rest() -> bool:
            return await rig.size(plan.name) == 40

        await wait_until(rest)
        waiting = asyncio.create_task(consumer.next_batch())
        await asyncio.wait({waiting}, timeout=0.2)
        assert not waiting.done()
        consumer.acknowledge(batches[-1])
        batch = await asyncio.wait_for(waiting, PATIENCE)
        assert batch.bodies[0] == b"10"


async def test_a_lost_connection_is_made_again_and_its_batches_come_again(rig: Rig):
    plan = QueuePlan(rig.name())
    async with rig.consumer(plan, batch_size=10, batch_seconds=5) as consumer:
        await rig_ready(rig, plan)
        await rig.put(plan.name, numbered(20))
        first, second = await taken(consumer, 20)
        assert consumer.holds(first)
        consumer.acknowledge(first)
        await consumer.settle()
        await rig.cut()
        (again,) = await taken(consumer, 10)
        assert not consumer.is_current(second)
        assert not consumer.holds(second)
        assert not consumer.is_settled(first)
        assert again.bodies == second.bodies
        assert list(again.redelivered) == [True] * 10
        assert again.generation > second.generation
        # An acknowledgement that comes too late does no harm.
        consumer.acknowledge(second)
        await consumer.settle()
        assert consumer.is_current(again)
        assert not consumer.is_settled(again)


async def test_what_was_not_taken_before_a_loss_is_not_handed_out_after_it(rig: Rig):
    plan = QueuePlan(rig.name())
    async with rig.consumer(plan, batch_size=10, batch_seconds=0.01) as consumer:
        await rig_ready(rig, plan)
        await rig.put(plan.name, numbered(10))

        async def delivered() -> bool:
            return await rig.size(plan.name) == 0

        await wait_until(delivered)
        await rig.cut(down=True)
        waiting = asyncio.create_task(consumer.next_batch())
        await asyncio.wait({waiting}, timeout=0.1)
        await rig.up()
        batch = await asyncio.wait_for(waiting, PATIENCE)
        assert consumer.is_current(batch)
        assert list(batch.redelivered) == [True] * len(batch)


async def test_a_broker_that_is_away_is_waited_for(rig: Rig):
    plan = QueuePlan(rig.name())
    async with rig.consumer(plan, batch_seconds=0.01) as consumer:
        await rig_ready(rig, plan)
        await rig.cut(down=True)
        waiting = asyncio.create_task(consumer.next_batch())
        await rig.put(plan.name, [b"meanwhile"])
        await asyncio.wait({waiting}, timeout=0.2)
        assert not waiting.done()
        await rig.up()
        assert (await asyncio.wait_for(waiting, PATIENCE)).bodies == [b"meanwhile"]


async def test_a_message_set_aside_is_kept_with_its_reason(rig: Rig):
    plan = QueuePlan(rig.name())
    async with rig.consumer(plan, batch_size=3, batch_seconds=5) as consumer:
        await rig_ready(rig, plan)
        await rig.put(plan.name, [b"good", b"bad", b"good too"], ids=["1", "2", "3"])
        (batch,) = await taken(consumer, 3)
        await consumer.set_aside(batch, 1, "cannot be stored")
        consumer.acknowledge(batch)
        await consumer.settle()
    ((ident, body, headers),) = await rig.take(plan.dead_name)
    assert (ident, body) == ("2", b"bad")
    assert headers["x-reason"] == "cannot be stored"
    assert await rig.size(plan.name) == 0


async def test_what_is_delivered_too_often_becomes_a_dead_letter(rig: Rig):
    plan = QueuePlan(rig.name(), delivery_limit=2)
    async with rig.consumer(plan, batch_seconds=0.01) as consumer:
        await rig_ready(rig, plan)
        await rig.put(plan.name, [b"kills"])
        for _ in range(3):
            await taken(consumer, 1)
            await rig.cut()

        async def dead() -> bool:
            return await rig.size(plan.dead_name) == 1

        await wait_until(dead)
    assert [body for _, body, _ in await rig.take(plan.dead_name)] == [b"kills"]


async def test_a_queue_that_exists_is_taken_as_it_is(rig: Rig):
    for kind in ("auto", "existing"):
        plan = QueuePlan(rig.name(kind), kind=kind)
        await rig.declare_plain(plan.name)
        await rig.put(plan.name, numbered(3))
        async with rig.consumer(plan, batch_size=3, batch_seconds=5) as consumer:
            (batch,) = await taken(consumer, 3)
            await consumer.set_aside(batch, 0, "for a reason")
            consumer.acknowledge(batch)
            await consumer.settle()
        assert await rig.size(plan.name) == 0
        assert await rig.size(plan.dead_name) == 1


async def test_a_queue_that_should_exist_and_does_not_is_said(rig: Rig):
    plan = QueuePlan(rig.name("nowhere"), kind="existing")
    async with rig.consumer(plan) as consumer:
        with pytest.raises(ConfigurationError, match="There is no queue"):
            await asyncio.wait_for(consumer.next_batch(), PATIENCE)


async def test_two_consumers_share_a_queue_and_no_message_goes_to_both(rig: Rig):
    plan = QueuePlan(rig.name())
    options = {"batch_size": 10, "batch_seconds": 0.01, "prefetch": 20}
    async with rig.consumer(plan, **options) as one, rig.consumer(plan, **options) as other:
        await rig_ready(rig, plan)
        await rig.put(plan.name, numbered(200))
        seen: list[bytes] = []

        async def work(consumer: Consumer) -> None:
            while True:
                batch = await consumer.next_batch()
                seen.extend(batch.bodies)
                consumer.acknowledge(batch)

        working = [asyncio.create_task(work(one)), asyncio.create_task(work(other))]

        async def all_seen() -> bool:
            return len(seen) >= 200

        await wait_until(all_seen)
        for task in working:
            task.cancel()
        await asyncio.wait(working)
    assert sorted(seen, key=int) == numbered(200)
