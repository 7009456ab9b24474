"""`athanor up`, `athanor worker`, `athanor init`: processes and what makes them ready."""

import asyncio
from typing import Annotated

import typer
from rich.console import Console

from core.logging import configure
from core.settings import Settings
from entrypoints.health_file import HealthFile, workers_folder


def up(
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say only what is wrong.")] = False,
    with_worker: Annotated[
        bool,
        typer.Option(
            "--worker/--no-worker", help="Leave runs to workers of their own (`athanor worker`)."
        ),
    ] = True,
) -> None:
    """Run Athanor on this machine until Ctrl-C: database, Prefect server, API and worker.

    The first start makes everything it needs under ATHANOR_HOME. Set PREFECT_API_URL to use a
    Prefect server that runs elsewhere, and ATHANOR_DATABASE_URL for PostgreSQL.

    Then, in other terminals:

      athanor simulate athena           a decision service to talk to
      athanor agent watch DIR           follow an EPU session
      athanor status                    what is going on
    """
    from entrypoints import up as wiring  # noqa: PLC0415 (Prefect takes seconds to import)
    from entrypoints.environment import ui_url  # noqa: PLC0415

    settings = Settings()
    configure("WARNING" if quiet else settings.log_level, as_json=settings.log_json)
    console = Console(stderr=True, quiet=quiet)
    with console.status("Starting …") as status:
        supervisor = wiring.build(
            settings,
            say=console.print,
            # However quiet: nobody can look it up later.
            tell=lambda line: Console(stderr=True).print(line, highlight=False),
            with_worker=with_worker,
        )

        def started() -> None:
            status.stop()
            console.print(f"[bold]Athanor is up.[/bold]  Athena at {settings.athena.url}")
            console.print(f"  pages   {ui_url()}", highlight=False)
            console.print(
                f"  API     http://{settings.api.host}:{settings.api.port}/docs", highlight=False
            )
            console.print(f"  state   {settings.home}", highlight=False)
            console.print("Ctrl-C stops everything.")

        asyncio.run(wiring.run(supervisor, started=started))
    console.print("Stopped.")


def worker(
    health: Annotated[
        bool,
        typer.Option(
            "--health",
            help="Say how the workers of this machine are, and do nothing else. "
            "Exit code 1 when none is alive, or one hangs: made for probes of containers.",
        ),
    ] = False,
) -> None:
    """Run one more worker, beside those of `athanor up`, on this machine or another.

    Workers share the database (ATHANOR_DATABASE_URL) and Prefect's server (PREFECT_API_URL);
    leases keep them from doing anything twice. SIGTERM lets runs come to a safe point, and
    others go on with what is left; a second one ends the worker at once.
    """
    settings = Settings()
    if health:
        _tell_health(settings)
        return
    from entrypoints import up as wiring  # noqa: PLC0415 (as above)

    configure(settings.log_level, as_json=settings.log_json)
    supervisor = wiring.build_worker(settings, say=typer.echo)
    asyncio.run(
        wiring.run(supervisor, started=lambda: typer.echo("The worker takes runs.", err=True))
    )


def _tell_health(settings: Settings) -> None:
    found = HealthFile.read_all(workers_folder(settings.home))
    for one in found:
        typer.echo(one.told())
    if not found:
        typer.echo("No worker runs on this machine.")
    if not found or not all(one.is_fresh() for one in found):
        raise typer.Exit(1)


def init(
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Write deployments anew that somebody changed in Prefect's pages."
        ),
    ] = False,
) -> None:
    """Make everything ready: tables, models, work pool, blocks, deployments. Safe to repeat.

    Metrics, and the models that ATHANOR_MODELS__KNOWN names with their initial weights, are made
    known; what is said of a model already stays as it is.

    `athanor up` does the same at its start; use this for a Prefect server of your own
    (PREFECT_API_URL), or after an upgrade.
    """
    from entrypoints import up as wiring  # noqa: PLC0415 (as above)

    settings = Settings()
    configure("WARNING", as_json=settings.log_json)
    console = Console(stderr=True)
    with console.status("Making ready …"):
        done = asyncio.run(wiring.initialise_once(settings, force=force))
    before = done.schema_before or "nothing"
    if done.schema_before == done.schema:
        console.print(f"Database: at schema {done.schema}, nothing to do.")
    else:
        console.print(f"Database: from {before} to schema {done.schema}.")
    if done.new_models:
        console.print(f"Models: {done.new_models} made known.")
    unchanged = len(done.deployments) - len(done.changed)
    console.print(f"Deployments: {len(done.changed)} registered, {unchanged} unchanged.")
