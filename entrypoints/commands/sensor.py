"""`athanor sensor …`: what listens to a facility's message broker."""

import asyncio
from typing import Annotated

import typer
from pydantic import SecretStr

from core.logging import configure
from core.settings import RabbitMqSettings, Settings

app = typer.Typer(
    help="Take messages from a facility's message broker, and store them.", no_args_is_help=True
)


@app.callback()
def _group() -> None:
    """Take messages from a facility's message broker, and store them."""


@app.command()
def rabbitmq(
    url: Annotated[
        str | None,
        typer.Option(
            metavar="amqp://USER:PASSWORD@HOST:5672/VHOST",
            help="Default: ATHANOR_RABBITMQ__URL, which keeps the password out of the list of "
            "processes; else this machine's.",
        ),
    ] = None,
    queue: Annotated[
        str | None, typer.Option(help="Default: ATHANOR_RABBITMQ__QUEUE (smartem_backend).")
    ] = None,
) -> None:
    """Store what arrives on a RabbitMQ queue, until Ctrl-C or SIGTERM.

    A message is acknowledged after it is stored, never before; what was delivered twice is
    stored once. What can never be processed is kept as dead with its reason: see
    `athanor messages list --state dead`.

    A queue that is there is taken as it is. One that is not is made: a quorum queue, with
    QUEUE.dead beside it for what could not even be stored. While the broker or the database is
    away, the sensor waits for it; nothing is lost. Several sensors may share a queue.

    `athanor up` runs a sensor by itself when ATHANOR_RABBITMQ__URL is set.

    Examples:
      ATHANOR_RABBITMQ__URL=amqp://user:secret@broker:5672/%2F athanor sensor rabbitmq

      athanor sensor rabbitmq --queue trial
    """
    settings = Settings()
    configure(settings.log_level, as_json=settings.log_json)
    chosen = settings.rabbitmq
    given = {"url": url and SecretStr(url), "queue": queue}
    chosen = chosen.model_copy(update={name: one for name, one in given.items() if one})
    asyncio.run(_run(settings, chosen))
    typer.echo("Stopped.", err=True)


async def _run(settings: Settings, chosen: RabbitMqSettings) -> None:
    from entrypoints.measuring import metrics_services  # noqa: PLC0415 (`--help` shall be fast)
    from entrypoints.reading import opened_database  # noqa: PLC0415 (as above)
    from entrypoints.ringers import opened_ringer  # noqa: PLC0415 (as above)
    from entrypoints.supervisor import Supervisor  # noqa: PLC0415 (as above)
    from entrypoints.up import run  # noqa: PLC0415 (as above)

    with opened_database(settings, serving=True) as database:
        async with opened_ringer(settings, database, patient=True) as ringer:
            from entrypoints.sensor import SensorService  # noqa: PLC0415 (after Prefect's environment)

            sensor = SensorService(chosen, lambda: ringer)
            told = f"The sensor listens to queue {chosen.queue}."
            await run(
                Supervisor([*metrics_services(settings), sensor]),
                started=lambda: typer.echo(told, err=True),
            )
