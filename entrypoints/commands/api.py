"""`athanor api`: the HTTP API alone."""

import asyncio

import typer

from core.logging import configure
from core.settings import Settings
from entrypoints.ports import require_free_port


def api() -> None:
    """Run the HTTP API alone, until Ctrl-C or SIGTERM.

    `athanor up` runs one already; this is for machines of their own, on the same database
    (ATHANOR_DATABASE_URL) and Prefect server (PREFECT_API_URL).

    Example:
      ATHANOR_API__HOST=0.0.0.0 ATHANOR_API__PORT=8000 athanor api
    """
    from api.access.bearers import is_required  # noqa: PLC0415 (`athanor --help` shall be fast)

    settings = Settings()
    configure(settings.log_level, as_json=settings.log_json)
    # Before anything is opened: it would be open to everybody.
    is_required(settings)
    require_free_port(settings.api.host, settings.api.port, what="API", setting="ATHANOR_API__PORT")
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    from entrypoints.environment import ui_url  # noqa: PLC0415 (`athanor --help` shall be fast)
    from entrypoints.reading import opened_database  # noqa: PLC0415 (as above)
    from entrypoints.ringers import opened_ringer, prefect_answers  # noqa: PLC0415 (as above)
    from entrypoints.supervisor import Supervisor  # noqa: PLC0415 (as above)
    from entrypoints.up import run  # noqa: PLC0415 (as above)

    with opened_database(settings, serving=True) as database:
        async with opened_ringer(settings, database, patient=True) as ringer:
            from api.app import create_app  # noqa: PLC0415 (after Prefect's environment is set)
            from api.server import ApiServer  # noqa: PLC0415 (as above)

            if not await prefect_answers():
                typer.echo(
                    "Prefect's server is not reachable: until it is, messages are stored, and "
                    "worked on by the next sweep.",
                    err=True,
                )
            app = create_app(
                settings,
                database=database,
                doorbell=ringer.doorbell,
                launcher=ringer.launcher,
                prefect_ui=ui_url(),
            )
            server = ApiServer(
                app,
                host=settings.api.host,
                port=settings.api.port,
                trusted_proxies=settings.limits.trusted_proxies,
            )
            await run(
                Supervisor([server]),
                started=lambda: typer.echo(f"The API is at {server.url}/docs", err=True),
            )
    typer.echo("Stopped.", err=True)
