"""How commands send simulated messages: where to, how fast, or only printed."""

import asyncio
import json
import secrets
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from core.logging import configure
from core.settings import Settings

if TYPE_CHECKING:
    from models.cryoem.messages import Message
    from simulators.messages.send import Sender

#: Where there is no URL in the settings: this machine's RabbitMQ, as it is installed.
_LOCAL = "amqp://guest:guest@127.0.0.1:5672/%2F"


class Target(StrEnum):
    """Where messages are sent."""

    RABBITMQ = "rabbitmq"
    HTTP = "http"


Count = Annotated[int, typer.Option(min=1, help="How many to send.")]
Rate = Annotated[
    float | None, typer.Option(min=0.01, help="Messages a second. Default: as fast as possible.")
]
Seed = Annotated[
    int | None,
    typer.Option(
        help="Of everything random. The same seed makes the same messages with the same ids, "
        "which Athanor then takes as repeated. Default: another each time."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the messages as JSON lines.")]
To = Annotated[Target, typer.Option("--to", help="RabbitMQ's queue, or Athanor's API.")]
Queue = Annotated[str | None, typer.Option(help="Default: ATHANOR_RABBITMQ__QUEUE.")]
Url = Annotated[
    str | None, typer.Option(help="AMQP URL, or the API's. Default: that of the settings.")
]


@dataclass(frozen=True)
class Sending:
    """Where to send, and how."""

    to: Target
    url: str | None
    queue: str | None
    rate: float | None
    dry_run: bool


def random_of(seed: int | None) -> Random:
    """Return what is chosen by: of a seed, or another each time."""
    return Random(secrets.randbits(64) if seed is None else seed)  # noqa: S311 (no secret)


def send(messages: Iterable["Message"], sending: Sending) -> None:
    """Send messages, or print them."""
    settings = Settings()
    configure(settings.log_level, as_json=settings.log_json)
    if sending.dry_run:
        from simulators.messages.send import body_of  # noqa: PLC0415 (`athanor --help` shall be fast)

        for message in messages:
            typer.echo(json.dumps(body_of(message)))
        return
    console = Console(stderr=True)
    with console.status("Sending …") as status:
        sent = asyncio.run(
            _sent(messages, sending, settings, lambda now: status.update(f"{now:,} messages sent"))
        )
    typer.echo(f"{sent:,} messages sent to {_where(sending, settings)}", err=True)


async def _sent(
    messages: Iterable["Message"],
    sending: Sending,
    settings: Settings,
    progress: Callable[[int], None],
) -> int:
    from simulators.messages.send import send_all  # noqa: PLC0415 (as above)

    async with _sender(sending, settings) as sender:
        return await send_all(messages, sender, rate=sending.rate, progress=progress)


def _sender(sending: Sending, settings: Settings) -> "AbstractAsyncContextManager[Sender]":
    from simulators.messages.send import api_sender, rabbit_sender  # noqa: PLC0415 (as above)

    if sending.to is Target.HTTP:
        return api_sender(sending.url or settings.agent.api_url, key=settings.agent.key)
    given = settings.rabbitmq.url
    url = sending.url or (given.get_secret_value() if given else _LOCAL)
    chosen = settings.rabbitmq
    if sending.queue:
        chosen = chosen.model_copy(update={"queue": sending.queue})
    return rabbit_sender(chosen, url)


def _where(sending: Sending, settings: Settings) -> str:
    if sending.to is Target.HTTP:
        return sending.url or settings.agent.api_url
    return f"queue {sending.queue or settings.rabbitmq.queue}"
