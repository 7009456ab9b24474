"""`athanor up` with a RabbitMQ: its sensor takes messages in, and it stops as ever."""

import json
from pathlib import Path

import httpx

from messaging.rabbitmq.topology import QueuePlan
from tests.acceptance.processes import facility
from tests.rabbitmq_fixtures import Rabbit
from tests.session_fixtures import SmallSession
from tests.support import PATIENCE, wait_for


def test_up_takes_messages_from_rabbitmq_and_publishes_where_its_block_says(
    tmp_path: Path, rabbit: Rabbit
):
    plan = QueuePlan(rabbit.name())
    session = SmallSession()
    exchange, published = rabbit.exchange_name(), rabbit.name("published")
    rabbit.bind(exchange, "*.registered", published)
    with facility(
        tmp_path,
        ATHANOR_RABBITMQ__URL=rabbit.url,
        ATHANOR_RABBITMQ__QUEUE=plan.name,
        ATHANOR_RABBITMQ__PUBLISH_EXCHANGE=exchange,
    ) as plant:
        up = plant.up()
        up.says("Taking messages from queue")
        rabbit.put(plan.name, [one.model_dump_json().encode() for one in session.all()])

        def known() -> bool:
            return any(
                one["grid_uuid"] == str(session.grid) for one in plant.get("/sessions")["items"]
            )

        wait_for(known, what="the session of the messages")
        wait_for(lambda: rabbit.size(plan.name) == 0, what="an empty queue")
        # That all of its squares and holes are known is told to others.
        wait_for(lambda: rabbit.size(published) >= 2, what="published messages")
        told = [(one.message_id, json.loads(body)) for one, body in rabbit.take(published)]
        assert {body["event_type"] for _, body in told} >= {"gridsquare.registered"}
        assert len({ident for ident, _ in told}) == len(told)
        block = httpx.get(
            f"{plant.prefect_url}/api/block_types/slug/athanor-rabbitmq/block_documents"
            "/name/default",
            timeout=PATIENCE,
        )
        assert block.status_code == 200, block.text
        assert "guest:guest" not in block.text
        assert up.stop() == 0, up.output()
        assert "Traceback" not in up.output()
