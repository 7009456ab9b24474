"""What only the real RabbitMQ can do to us."""

import asyncio
from datetime import UTC, datetime

import pika
import pytest
from tenacity import wait_fixed

from core.errors import ConfigurationError
from messaging.rabbitmq.consumer import RabbitConsumer
from messaging.rabbitmq.port import Batch
from messaging.rabbitmq.publisher import RabbitPublisher
from messaging.rabbitmq.topology import QueuePlan
from tests.rabbitmq_fixtures import Rabbit
from tests.support import PATIENCE, wait_until


def consumer_of(rabbit: Rabbit, plan: QueuePlan, **options: float) -> RabbitConsumer:
    given = {"batch_seconds": 0.01, **options}
    return RabbitConsumer(rabbit.url, plan, pauses=wait_fixed(0.05), **given)


async def next_of(consumer: RabbitConsumer) -> Batch:
    return await asyncio.wait_for(consumer.next_batch(), PATIENCE)


async def until_there(rabbit: Rabbit, queue: str) -> None:
    async def there() -> bool:
        return await asyncio.to_thread(rabbit.exists, queue)

    await wait_until(there, what=f"queue {queue}")


def hostile(headers: dict[str, object]) -> pika.BasicProperties:
    return pika.BasicProperties(delivery_mode=2, headers=headers, message_id="mine")


async def test_headers_that_cannot_be_read_do_not_stop_the_queue(
    rabbit: Rabbit, monkeypatch: pytest.MonkeyPatch
):
    plan = QueuePlan(rabbit.name())
    rabbit.declare(plan.name)
    # A time in milliseconds, as some libraries write it, is in the year 56,000.
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    seconds = 1_772_323_200_000
    monkeypatch.setattr("pika.data.calendar.timegm", lambda _: seconds)
    await asyncio.to_thread(
        rabbit.put,
        plan.name,
        [b"before", b"hostile", b"after"],
        properties=[hostile({}), hostile({"at": moment}), hostile({})],
    )
    monkeypatch.undo()
    async with consumer_of(rabbit, plan) as consumer:
        bodies: list[bytes] = []
        ids: list[str | None] = []
        while len(bodies) < 3:
            batch = await next_of(consumer)
            bodies += batch.bodies
            ids += batch.message_ids
            consumer.acknowledge(batch)
        await consumer.settle()
    assert bodies == [b"before", b"hostile", b"after"]
    assert ids == ["mine", None, "mine"]


async def test_ids_of_any_kind_are_text(rabbit: Rabbit):
    plan = QueuePlan(rabbit.name())
    rabbit.declare(plan.name)
    given = [
        {"x-message-id": "from the header"},
        {"x-message-id": 17},
        {"x-message-id": b"\xff\xfe"},
        {"x-message-id": ""},
        {"other": 1},
    ]
    await asyncio.to_thread(
        rabbit.put, plan.name, [b""] * len(given), properties=[hostile(one) for one in given]
    )
    async with consumer_of(rabbit, plan, batch_size=len(given), batch_seconds=5) as consumer:
        batch = await next_of(consumer)
    assert batch.message_ids == ["from the header", "17", "\ufffd\ufffd", "mine", "mine"]


async def test_a_queue_deleted_under_the_consumer_is_made_again(rabbit: Rabbit):
    plan = QueuePlan(rabbit.name())
    async with consumer_of(rabbit, plan) as consumer:
        await until_there(rabbit, plan.name)
        await asyncio.to_thread(rabbit.put, plan.name, [b"1"])
        consumer.acknowledge(await next_of(consumer))
        await asyncio.to_thread(rabbit.delete, plan.name)
        await until_there(rabbit, plan.name)
        await asyncio.to_thread(rabbit.put, plan.name, [b"2"])
        assert (await next_of(consumer)).bodies == [b"2"]


async def test_a_direct_exchange_leads_to_the_queue_by_its_name(rabbit: Rabbit):
    plan = QueuePlan(rabbit.name(), exchange=rabbit.exchange_name())
    async with consumer_of(rabbit, plan) as consumer:
        await until_there(rabbit, plan.name)

        async def routed() -> bool:
            # Until the binding is there, nobody takes it.
            await asyncio.to_thread(rabbit.put, plan.name, [b"x"], exchange=plan.exchange)
            return await asyncio.to_thread(lambda: consumer.is_connected)

        await wait_until(routed)
        assert (await next_of(consumer)).bodies[0] == b"x"


async def test_our_queue_is_recognised_and_another_one_refused_when_ours_is_wanted(
    rabbit: Rabbit,
):
    ours = QueuePlan(rabbit.name("ours"), kind="quorum")
    for _ in range(2):
        async with consumer_of(rabbit, ours) as consumer:
            await until_there(rabbit, ours.name)
            await asyncio.to_thread(rabbit.put, ours.name, [b"1"])
            consumer.acknowledge(await next_of(consumer))
            await consumer.settle()
    other = QueuePlan(rabbit.name("other"), kind="quorum")
    rabbit.declare(other.name)
    async with consumer_of(rabbit, other) as consumer:
        with pytest.raises(ConfigurationError, match="QUEUE_TYPE=auto"):
            await next_of(consumer)


async def test_a_wrong_password_and_a_wrong_vhost_are_said(rabbit: Rabbit):
    url = rabbit.url.replace("guest:guest", "guest:wrong")
    if url == rabbit.url:
        pytest.skip("needs the user guest: what is tested is what is said of its wrong password")
    nowhere = f"{rabbit.url.rpartition('/')[0]}/no-such-vhost"
    async with RabbitConsumer(nowhere, QueuePlan(rabbit.name())) as consumer:
        with pytest.raises(ConfigurationError, match="has no vhost 'no-such-vhost'"):
            await next_of(consumer)
    publisher = RabbitPublisher(url, exchange="athanor")
    with pytest.raises(ConfigurationError, match="refuses the user or the password"):
        await publisher.publish([])
    async with RabbitConsumer(url, QueuePlan(rabbit.name())) as consumer:
        with pytest.raises(ConfigurationError, match="refuses the user or the password"):
            await next_of(consumer)
