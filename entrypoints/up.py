"""`athanor up`: Prefect server, database, registration, API and worker, until told to stop."""

import asyncio
from asyncio import Event
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from api.access.bearers import is_required
from core.settings import Settings
from entrypoints.environment import make_home, prepare_prefect, ui_url
from entrypoints.garbage import collect_rarely
from entrypoints.health_file import workers_folder
from entrypoints.measuring import metrics_services
from entrypoints.ports import require_free_port
from entrypoints.supervisor import Service, Supervisor

if TYPE_CHECKING:
    from entrypoints.initialise import Initialised

Say = Callable[[str], None]


def build(
    settings: Settings, *, say: Say, tell: Say | None = None, with_worker: bool = True
) -> Supervisor:
    """Return everything that `athanor up` runs, not yet started.

    Args:
        settings: Where everything is.
        say: Told of each step, for a person.
        tell: Told what must not be missed; `say` where it is not given.
        with_worker: Whether it executes runs itself.

    Raises:
        ConfigurationError: The API would be open beyond this machine.
        PortTaken: One of the ports is in use.
        StorageUnavailable: Athanor's folder cannot be written.
    """
    # Before anything is made.
    is_required(settings)
    make_home(settings.home)
    own_server = prepare_prefect(settings)
    require_free_port(settings.api.host, settings.api.port, what="API", setting="ATHANOR_API__PORT")
    # Prefect reads the environment when it is first imported: not before it is prepared.
    from entrypoints.prefect_server import PrefectServer  # noqa: PLC0415
    from entrypoints.sensor import SensorService  # noqa: PLC0415
    from entrypoints.stack import ApiService, Backbone, WorkerService  # noqa: PLC0415
    from entrypoints.worker import WarmWorker  # noqa: PLC0415
    from entrypoints.worker.metrics import WorkerMetrics  # noqa: PLC0415
    from tasks.ringing import ring_for_lost  # noqa: PLC0415

    services: list[Service] = []
    if own_server:
        require_free_port(
            settings.prefect.host,
            settings.prefect.port,
            what="Prefect server",
            setting="ATHANOR_PREFECT__PORT",
        )
        services.append(PrefectServer(settings.prefect, settings.home))
    worker = WarmWorker(settings.worker, lost=ring_for_lost)
    backbone = Backbone(settings, rung=worker.wake, register=True, say=say)
    # One process shows its metrics in one place: the worker's are among those of the API.
    shown = [WorkerMetrics(worker.health)] if with_worker else []
    services += [
        backbone,
        ApiService(settings, backbone, prefect_ui=ui_url(), collectors=shown, tell=tell or say),
    ]
    if with_worker:
        services.append(WorkerService(worker, backbone, workers_folder(settings.home)))
    if settings.rabbitmq.url is not None:
        services.append(SensorService(settings.rabbitmq, lambda: backbone.resources))
    return Supervisor(services)


def build_worker(settings: Settings, *, say: Say) -> Supervisor:
    """Return what `athanor worker` runs: a worker on what `athanor up` or `init` made ready."""
    make_home(settings.home)
    prepare_prefect(settings)
    from entrypoints.stack import Backbone, WorkerService  # noqa: PLC0415
    from entrypoints.worker import WarmWorker  # noqa: PLC0415
    from entrypoints.worker.metrics import WorkerMetrics  # noqa: PLC0415
    from tasks.ringing import ring_for_lost  # noqa: PLC0415

    worker = WarmWorker(settings.worker, lost=ring_for_lost)
    backbone = Backbone(settings, rung=worker.wake, register=False, say=say)
    # First, so that a port that is taken is told at once.
    services: list[Service] = [*metrics_services(settings, WorkerMetrics(worker.health))]
    return Supervisor(
        [*services, backbone, WorkerService(worker, backbone, workers_folder(settings.home))]
    )


async def run(supervisor: Supervisor, *, started: Callable[[], None]) -> None:
    """Run until stopped; `started` is called once everything is at work."""
    ready = Event()

    async def announce() -> None:
        await ready.wait()
        collect_rarely()
        started()

    announcing = asyncio.create_task(announce())
    try:
        await supervisor.run(started=ready)
    finally:
        announcing.cancel()
        await asyncio.wait({announcing})


async def initialise_once(settings: Settings, *, force: bool) -> "Initialised":
    """Do what `athanor init` does, with a Prefect server of our own for the while if need be."""
    make_home(settings.home)
    own_server = prepare_prefect(settings)
    from entrypoints.initialise import initialise  # noqa: PLC0415
    from entrypoints.prefect_server import PrefectServer  # noqa: PLC0415
    from models.database import Database  # noqa: PLC0415

    database = Database(settings.resolved_database_url)
    async with AsyncExitStack() as stack:
        stack.callback(database.close)
        if own_server:
            server = PrefectServer(settings.prefect, settings.home)
            stack.push_async_callback(server.stop)
            await server.start()
        return await initialise(settings, database, force=force)
