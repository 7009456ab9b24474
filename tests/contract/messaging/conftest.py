"""Each test of this folder runs against the twin in memory and against RabbitMQ."""

from collections.abc import AsyncIterator

import pytest

from tests.contract.messaging.rigs import MemoryRig, RabbitRig, Rig
from tests.rabbitmq_fixtures import Proxy, Rabbit


@pytest.fixture(params=["memory", "rabbitmq"])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    """A broker of this test's own."""
    if request.param == "memory":
        yield MemoryRig()
        return
    url = request.getfixturevalue("amqp_url")
    rabbit, proxy = Rabbit(url), Proxy(url)
    await proxy.up()
    yield RabbitRig(rabbit, proxy)
    await proxy.cut(down=True)
    rabbit.close()
