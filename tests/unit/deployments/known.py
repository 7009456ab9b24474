"""What is real: commands of `athanor` and `prefect`, and variables that somebody reads."""

from collections.abc import Iterator, Mapping, Sequence

from prefect.cli._app import _app as prefect_commands
from prefect.settings import Settings as OfPrefect
from prefect_redis import client, messaging
from pydantic import AliasChoices, BaseModel
from typer.testing import CliRunner

from core.settings import Settings, WorkerSettings
from entrypoints.cli import LINGERS_FOR, Options, app
from entrypoints.prefect_server import DEFAULTS
from entrypoints.worker.worker import STOPS_WITHIN

#: The longest that a worker takes to leave, in seconds: its runs, their last words and its own,
#: and what libraries have to send.
WORKER_LEAVES = WorkerSettings().stop_seconds + STOPS_WITHIN + LINGERS_FOR

#: Read by Prefect without being one of its settings.
_READ_DIRECTLY = frozenset({"PREFECT_SERVER_ENCRYPTION_KEY"})

#: What PostgreSQL, Redis and RabbitMQ read in their images.
_OF_IMAGES = frozenset(
    {
        *("POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB", "PGDATA"),
        *("REDIS_PASSWORD", "REDISCLI_AUTH"),
        *("RABBITMQ_DEFAULT_USER", "RABBITMQ_DEFAULT_PASS", "RABBITMQ_NODENAME"),
    }
)


def _of_athanor(settings: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in settings.model_fields.items():
        variable = prefix + name.upper()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _of_athanor(field.annotation, f"{variable}__")
        else:
            yield variable


def _of_prefect(settings: type[BaseModel]) -> Iterator[str]:
    for name, field in settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _of_prefect(field.annotation)
        else:
            yield f"{settings.model_config.get('env_prefix', '')}{name}".upper()
            if isinstance(field.validation_alias, AliasChoices):
                yield from (str(other).upper() for other in field.validation_alias.choices)


VARIABLES = (
    _READ_DIRECTLY
    | _OF_IMAGES
    | set(_of_athanor(Settings, "ATHANOR_"))
    | set(_of_prefect(OfPrefect))
    | set(_of_prefect(client.RedisMessagingSettings))
    | set(_of_prefect(messaging.RedisMessagingPublisherSettings))
)

#: What `athanor up` wants of Prefect's server, wherever that runs. Its leases lie in a file,
#: those of a server in several parts in Redis.
SERVER_DEFAULTS: Mapping[str, str] = {
    name: value
    for name, value in {**DEFAULTS, "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}.items()
    if name != "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"
}


def check_command(command: Sequence[str]) -> None:
    """Fail unless the command line is one of `athanor` or `prefect` that would be run."""
    program, *arguments = command
    if program == "prefect":
        prefect_commands.parse_args(arguments, exit_on_error=False, print_error=False)
        return
    assert program == "athanor", f"{program} is neither athanor nor prefect"
    # Options that do not exist are an error, with --help too.
    done = CliRunner().invoke(app, [*arguments, "--help"], obj=Options())
    assert done.exit_code == 0, done.output
    assert f"Usage: athanor {arguments[0]}" in done.output, done.output
