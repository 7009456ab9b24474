"""A publisher that looks up its block when there is something to publish."""

from collections.abc import Sequence
from typing import Self

from blocks.rabbitmq.block import RabbitMQ
from core.errors import ConfigurationError
from messaging.rabbitmq.port import Outgoing
from messaging.rabbitmq.publisher import RabbitPublisher


class LatePublisher:
    """Publishes as a stored block says: most processes never do, and need no broker."""

    def __init__(self, block_name: str) -> None:
        """Take the name of the block; nothing is loaded."""
        self._block_name = block_name
        self._publisher: RabbitPublisher | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._publisher is not None:
            await self._publisher.close()

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Publish all, then wait for all confirmations.

        Raises:
            BrokerOutcomeUnknown: Not all were confirmed; the error says which were.
            BrokerUnavailable: None was sent.
            ConfigurationError: There is no such block, or the broker refuses it.
        """
        if self._publisher is None:
            self._publisher = (await self._loaded()).get_client()
        await self._publisher.publish(messages)

    async def _loaded(self) -> RabbitMQ:
        try:
            return await RabbitMQ.aload(self._block_name)
        except ValueError as error:  # Prefect's word for a block that is not there
            raise ConfigurationError(
                f"Prefect has no block {RabbitMQ.get_block_type_slug()}/{self._block_name}. Set "
                "ATHANOR_RABBITMQ__URL and run `athanor init`, which makes it."
            ) from error
