"""The Prefect block that holds how to reach a facility's RabbitMQ."""

from typing import ClassVar

from prefect.blocks.core import Block
from pydantic import Field, HttpUrl, SecretStr

from messaging.rabbitmq.publisher import RabbitPublisher


class RabbitMQ(Block):
    """Where a RabbitMQ is and how messages are published to it.

    Example:
        Load a stored block and publish a message:
        ```python
        from blocks.rabbitmq import RabbitMQ
        from messaging.rabbitmq.port import Outgoing

        broker = RabbitMQ.load("BLOCK_NAME")
        async with broker.get_client() as publisher:
            await publisher.publish([Outgoing("id-1", "ctf.registered", b"{}")])
        ```
    """

    _block_type_name: ClassVar[str | None] = "RabbitMQ"
    _block_type_slug: ClassVar[str | None] = "athanor-rabbitmq"
    _description: ClassVar[str | None] = (
        "Address and credentials of a RabbitMQ, to which messages are published."
    )
    _documentation_url: ClassVar[HttpUrl | None] = HttpUrl(
        "https://docs.prefect.io/v3/concepts/blocks"
    )

    url: SecretStr = Field(
        default=SecretStr("amqp://guest:guest@127.0.0.1:5672/%2F"),
        title="URL",
        description="AMQP URL with user, password and vhost.",
    )
    exchange: str = Field(
        default="athanor", description="Topic exchange that messages are published to."
    )

    def get_client(self) -> RabbitPublisher:
        """Return a publisher that the caller closes."""
        return RabbitPublisher(self.url.get_secret_value(), exchange=self.exchange)
