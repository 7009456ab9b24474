"""Queues and exchanges: taken as they are where they exist, made as they should be elsewhere."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from core.errors import BrokerUnavailable, ConfigurationError
from messaging.rabbitmq.connection import Channel, Connection

#: AMQP's numbers for what a broker says no to.
_NOT_FOUND: Final = 404
_OTHER_ARGUMENTS: Final = 406


@dataclass(frozen=True)
class QueuePlan:
    """The queue that a sensor takes from."""

    name: str
    #: auto: as it is, or a quorum queue; quorum: ours and no other; existing: as it is, or none.
    kind: Literal["auto", "quorum", "existing"] = "auto"
    #: A direct exchange that leads to it by its name; empty for none.
    exchange: str = ""
    delivery_limit: int = 100

    @property
    def dead_name(self) -> str:
        """The queue for messages that were given up."""
        return f"{self.name}.dead"

    @property
    def arguments(self) -> dict[str, Any]:
        """What makes a queue ours: on several disks, and never a message dropped."""
        return {
            "x-queue-type": "quorum",
            "x-delivery-limit": self.delivery_limit,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": self.dead_name,
            # A dead letter leaves the queue only once the other queue has confirmed it.
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        }


async def declare(connection: Connection, plan: QueuePlan) -> None:
    """Make sure that the queue is there; one that is there keeps its type and arguments.

    Raises:
        ConfigurationError: It is not there and shall not be made, or is not ours and shall be.
        BrokerUnavailable: The broker refuses for another reason.
    """
    exists = await _exists(connection, lambda raw: raw.queue_declare, plan.name, passive=True)
    if not exists and plan.kind == "existing":
        raise ConfigurationError(
            f"There is no queue {plan.name!r} on RabbitMQ. Check ATHANOR_RABBITMQ__QUEUE and the "
            "vhost, or let Athanor make one with ATHANOR_RABBITMQ__QUEUE_TYPE=auto."
        )
    if not exists or plan.kind == "quorum":
        await declare_dead(connection, plan)
        await _make(connection, plan)
    if plan.exchange:
        await declare_exchange(connection, plan.exchange, kind="direct")
        await _ask(
            connection, lambda raw: raw.queue_bind, plan.name, plan.exchange, routing_key=plan.name
        )


async def declare_dead(connection: Connection, plan: QueuePlan) -> None:
    """Make sure that there is a queue for what is given up."""
    if not await _exists(connection, lambda raw: raw.queue_declare, plan.dead_name, passive=True):
        await _ask(
            connection,
            lambda raw: raw.queue_declare,
            plan.dead_name,
            durable=True,
            arguments={"x-queue-type": "quorum"},
        )


async def declare_exchange(connection: Connection, name: str, *, kind: str) -> None:
    """Make sure that an exchange is there; one that is there stays as it is."""
    if not await _exists(connection, lambda raw: raw.exchange_declare, name, passive=True):
        await _ask(
            connection, lambda raw: raw.exchange_declare, name, exchange_type=kind, durable=True
        )


async def _make(connection: Connection, plan: QueuePlan) -> None:
    try:
        await _ask(
            connection,
            lambda raw: raw.queue_declare,
            plan.name,
            durable=True,
            arguments=plan.arguments,
        )
    except BrokerUnavailable as error:
        if error.code != _OTHER_ARGUMENTS:
            raise
        raise ConfigurationError(
            f"Queue {plan.name!r} is there already, and not as Athanor would make it ({error}) "
            "Set ATHANOR_RABBITMQ__QUEUE_TYPE=auto to take it as it is, or delete the queue."
        ) from error


#: Which of a channel's methods to call: the channel is not known before.
_Method = Callable[[Any], Callable[..., Any]]


async def _exists(connection: Connection, method: _Method, *args: Any, **options: Any) -> bool:
    try:
        await _ask(connection, method, *args, **options)
    except BrokerUnavailable as error:
        if error.code != _NOT_FOUND:
            raise
        return False
    return True


async def _ask(connection: Connection, method: _Method, *args: Any, **options: Any) -> None:
    """Ask on a channel of its own: a refusal closes the channel."""
    channel: Channel = await connection.channel()
    try:
        await channel.call(method(channel.raw), *args, **options)
    finally:
        await channel.close()
