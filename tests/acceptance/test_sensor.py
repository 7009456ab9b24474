"""`athanor sensor rabbitmq` as a process: killed, cut off, stopped, and told nonsense."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pika
import pytest
from sqlalchemy import select
from sqlmodel import col

from models.base import DeliveryState
from models.database import Database
from models.deliveries import Delivery
from models.inbox import InboxMessage
from tests.acceptance.processes import Process
from tests.rabbitmq_fixtures import Proxy, Rabbit
from tests.support import wait_until

GRID = "11111111-2222-4333-8444-555555555555"
COUNT = 500


def prediction(hole: int) -> bytes:
    return json.dumps(
        {
            "event_type": "foilhole.model_prediction",
            "grid_uuid": GRID,
            "foilhole_id": hole,
            "prediction_model_name": "m",
            "prediction_value": 0.5,
        }
    ).encode()


async def ended(process: Process) -> int:
    """Wait until a process ends by itself; its start alone takes seconds of a busy machine."""
    return await asyncio.to_thread(process.ended)


class Bench:
    """A queue, a database, and sensors between them."""

    def __init__(self, folder: Path, rabbit: Rabbit, broker: Proxy, url: str) -> None:
        self.rabbit = rabbit
        self.broker = broker
        self.database = Database(url)
        self.queue = rabbit.name()
        self._folder = folder
        self._processes: list[Process] = []

    async def sensor(self, *, database_url: str = "", **environment: str) -> Process:
        """Start a sensor and wait until it takes messages."""
        process = self.start(database_url=database_url, **environment)
        await asyncio.to_thread(process.says, "Taking messages from queue")
        return process

    def start(self, *, database_url: str = "", **environment: str) -> Process:
        given = database_url or self.database.url.render_as_string(hide_password=False)
        process = Process(
            "sensor",
            "rabbitmq",
            environment={
                "ATHANOR_HOME": str(self._folder),
                "ATHANOR_DATABASE_URL": given,
                "ATHANOR_RABBITMQ__URL": self.broker.url,
                "ATHANOR_RABBITMQ__QUEUE": self.queue,
                # Nobody is there: messages are stored all the same.
                "PREFECT_API_URL": "http://127.0.0.1:9/api",
                **environment,
            },
            log=self._folder / f"sensor-{len(self._processes)}.log",
        )
        self._processes.append(process)
        return process

    def put(self, holes: range) -> None:
        """Send a prediction for each hole: with an id for even ones, without for the others."""
        properties = [
            pika.BasicProperties(delivery_mode=2, message_id=None if hole % 2 else f"{hole}")
            for hole in holes
        ]
        self.rabbit.put(self.queue, [prediction(hole) for hole in holes], properties=properties)

    def holes(self) -> list[int]:
        """The holes of which something is stored, in order of arrival."""
        with self.database.reading() as session:
            rows = session.execute(
                select(col(InboxMessage.payload), col(InboxMessage.state)).order_by(
                    col(InboxMessage.seq)
                )
            ).all()
        assert all(state != DeliveryState.DEAD for _, state in rows)
        return [payload["foilhole_id"] for payload, _ in rows]

    def remembered(self) -> int:
        with self.database.reading() as session:
            return len(list(session.scalars(select(col(Delivery.id)))))

    async def until_stored(self, count: int) -> None:
        async def stored() -> bool:
            return len(await asyncio.to_thread(self.holes)) >= count

        await wait_until(stored, what=f"{count} stored messages")

    async def until_waiting(self, count: int) -> None:
        async def waiting() -> bool:
            return await asyncio.to_thread(self.rabbit.size, self.queue) == count

        await wait_until(waiting, what=f"{count} messages on the queue")

    async def stop(self, process: Process) -> None:
        assert await asyncio.to_thread(process.stop) == 0, process.output()

    async def kill(self, process: Process) -> None:
        await asyncio.to_thread(process.kill)

    def close(self) -> None:
        for process in self._processes:
            if not process.has_ended:
                process.kill()
        self.database.close()


@pytest.fixture
async def bench(
    tmp_path: Path, rabbit: Rabbit, proxy: Proxy, database_url: str
) -> AsyncIterator[Bench]:
    made = Bench(tmp_path, rabbit, proxy, database_url)
    yield made
    await asyncio.to_thread(made.close)


@pytest.fixture
def quiet_bench(tmp_path: Path, rabbit: Rabbit, proxy: Proxy, sqlite_url: str) -> Iterator[Bench]:
    """One database only, for what has nothing to do with it."""
    made = Bench(tmp_path, rabbit, proxy, sqlite_url)
    yield made
    made.close()


async def test_kill_9_between_commit_and_acknowledgement_loses_and_doubles_nothing(bench: Bench):
    sensor = await bench.sensor()
    # What is stored from now on is not acknowledged: nothing more reaches the broker.
    bench.broker.hold_requests()
    bench.put(range(COUNT))
    await bench.until_stored(COUNT)
    await bench.kill(sensor)
    await bench.broker.cut()
    await bench.until_waiting(COUNT)
    # And others come behind them.
    bench.put(range(COUNT, 2 * COUNT))
    sensor = await bench.sensor()
    await bench.until_stored(2 * COUNT)
    await bench.until_waiting(0)
    await bench.stop(sensor)
    assert sorted(bench.holes()) == list(range(2 * COUNT))
    assert bench.rabbit.size(bench.queue) == 0
    assert bench.remembered() == 0


async def test_a_sensor_whose_connection_breaks_takes_up_again(quiet_bench: Bench):
    bench = quiet_bench
    sensor = await bench.sensor()
    bench.put(range(COUNT))
    await bench.until_stored(1)
    await bench.broker.cut(down=True)
    bench.put(range(COUNT, 2 * COUNT))
    await asyncio.to_thread(sensor.says, "No messages from queue")
    await bench.broker.up()
    await bench.until_stored(2 * COUNT)
    await bench.stop(sensor)
    assert sorted(bench.holes()) == list(range(2 * COUNT))
    assert "Traceback" not in sensor.output()


async def test_while_postgresql_is_away_messages_stay_with_the_broker(
    tmp_path: Path, rabbit: Rabbit, proxy: Proxy, postgres_url: str
):
    bench = Bench(tmp_path, rabbit, proxy, postgres_url)
    wall = Proxy(postgres_url)
    await wall.up()
    try:
        sensor = await bench.sensor(database_url=wall.url)
        await wall.cut(down=True)
        bench.put(range(COUNT))
        await asyncio.to_thread(sensor.says, "until they can be stored")
        # Meanwhile the broker goes and comes back as well.
        await bench.broker.cut()
        await wall.up()
        await bench.until_stored(COUNT)
        await bench.stop(sensor)
        assert sorted(bench.holes()) == list(range(COUNT))
        assert rabbit.size(f"{bench.queue}.dead") == 0
    finally:
        await asyncio.to_thread(bench.close)
        await wall.cut(down=True)


async def test_sigterm_acknowledges_what_is_stored_and_gives_the_rest_back(quiet_bench: Bench):
    bench = quiet_bench
    sensor = await bench.sensor(ATHANOR_RABBITMQ__BATCH_SIZE="10", ATHANOR_RABBITMQ__PREFETCH="50")
    bench.put(range(2_000))
    await bench.until_stored(10)
    await bench.stop(sensor)
    stored = len(bench.holes())
    await bench.until_waiting(2_000 - stored)
    assert stored < 2_000
    assert bench.remembered() == 0


async def test_an_existing_classic_queue_is_used_as_it_is(quiet_bench: Bench):
    bench = quiet_bench
    bench.rabbit.declare(bench.queue, **{"x-max-priority": 5})
    bench.put(range(20))
    sensor = await bench.sensor()
    await bench.until_stored(20)
    await bench.stop(sensor)
    assert bench.rabbit.size(bench.queue) == 0


async def test_a_queue_of_another_kind_is_said_when_ours_is_wanted(quiet_bench: Bench):
    bench = quiet_bench
    bench.rabbit.declare(bench.queue)
    sensor = bench.start(ATHANOR_RABBITMQ__QUEUE_TYPE="quorum")
    assert await ended(sensor) == 1
    assert "ATHANOR_RABBITMQ__QUEUE_TYPE=auto" in sensor.output()


async def test_a_wrong_password_is_said_and_not_tried_for_ever(quiet_bench: Bench):
    bench = quiet_bench
    broker = bench.broker.url.rpartition("@")[2]
    sensor = bench.start(ATHANOR_RABBITMQ__URL=f"amqp://guest:wrong@{broker}")
    assert await ended(sensor) == 1
    assert "refuses the user or the password. Check ATHANOR_RABBITMQ__URL" in sensor.output()
    assert "Traceback" not in sensor.output()


async def test_a_broker_that_is_away_at_the_start_is_waited_for(quiet_bench: Bench):
    bench = quiet_bench
    await bench.broker.cut(down=True)
    sensor = bench.start()
    await asyncio.to_thread(sensor.says, "does not answer")
    await bench.broker.up()
    await asyncio.to_thread(sensor.says, "Taking messages from queue")
    await bench.broker.cut(down=True)
    await asyncio.to_thread(sensor.says, "No messages from queue")
    assert await asyncio.to_thread(sensor.stop, signal.SIGINT) == 0
