"""RabbitMQ: Prefect block and the publisher that it gives."""

from blocks.rabbitmq.block import RabbitMQ
from blocks.rabbitmq.late import LatePublisher

__all__ = ["LatePublisher", "RabbitMQ"]
