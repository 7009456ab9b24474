"""What every publisher promises."""

import pytest

from core.errors import BrokerOutcomeUnknown, BrokerUnavailable
from messaging.rabbitmq.port import Outgoing
from tests.contract.messaging.rigs import Rig
from tests.support import wait_until


def outgoing(count: int, routing_key: str = "ctf.registered") -> list[Outgoing]:
    return [Outgoing(f"id-{n}", routing_key, b'{"n": %d}' % n) for n in range(count)]


async def test_messages_reach_the_queues_whose_pattern_fits(rig: Rig):
    exchange, all_of_it, some = rig.exchange_name(), rig.name("all"), rig.name("some")
    await rig.bind(exchange, "#", all_of_it)
    await rig.bind(exchange, "ctf.*", some)
    publisher = rig.publisher(exchange)
    await publisher.publish([*outgoing(3), Outgoing("other", "agent.instruction.created", b"{}")])
    assert [ident for ident, _, _ in await rig.take(all_of_it)] == ["id-0", "id-1", "id-2", "other"]
    found = await rig.take(some)
    assert [(ident, body) for ident, body, _ in found] == [
        (one.id, one.body) for one in outgoing(3)
    ]
    assert [headers["x-message-id"] for _, _, headers in found] == ["id-0", "id-1", "id-2"]
    await close(publisher)


async def close(publisher: object) -> None:
    if hasattr(publisher, "close"):
        await publisher.close()


async def test_a_message_that_nobody_is_bound_for_is_published(rig: Rig):
    publisher = rig.publisher(rig.exchange_name())
    await publisher.publish(outgoing(1))
    await close(publisher)


async def test_nothing_to_publish_is_published(rig: Rig):
    publisher = rig.publisher(rig.exchange_name())
    await publisher.publish([])
    await close(publisher)


async def test_a_broker_that_is_away_is_said_and_used_again_later(rig: Rig):
    exchange, queue = rig.exchange_name(), rig.name()
    await rig.bind(exchange, "#", queue)
    publisher = rig.publisher(exchange)
    await rig.cut(down=True)
    with pytest.raises(BrokerUnavailable):
        await publisher.publish(outgoing(1))
    await rig.up()
    await publisher.publish(outgoing(2))
    assert await rig.size(queue) == 2
    await close(publisher)


async def test_a_connection_that_broke_meanwhile_is_made_again(rig: Rig):
    exchange, queue = rig.exchange_name(), rig.name()
    await rig.bind(exchange, "#", queue)
    publisher = rig.publisher(exchange)
    await publisher.publish(outgoing(1))
    await rig.cut()

    async def published() -> bool:
        try:
            await publisher.publish(outgoing(1))
        except BrokerOutcomeUnknown:
            return False
        return True

    await wait_until(published)
    assert await rig.size(queue) >= 2
    await close(publisher)


async def test_a_break_tells_what_was_confirmed_and_the_rest_can_be_sent_again(rig: Rig):
    exchange, queue = rig.exchange_name(), rig.name()
    await rig.bind(exchange, "#", queue)
    publisher = rig.publisher(exchange)
    messages = outgoing(200)
    with pytest.raises(BrokerOutcomeUnknown) as raised:
        await rig.publish_and_break(publisher, messages, queue)
    confirmed = raised.value.confirmed
    assert len(confirmed) < len(messages)
    await publisher.publish([one for one in messages if one.id not in confirmed])
    arrived = {ident for ident, _, _ in await rig.take(queue)}
    assert arrived == {one.id for one in messages}
    await close(publisher)
