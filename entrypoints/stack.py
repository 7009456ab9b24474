"""The services of `athanor up`, `athanor worker` and `athanor api`, in order of their start."""

import asyncio
from asyncio import Event, Task
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from prometheus_client.registry import Collector

from api.app import create_app
from api.server import ApiServer
from blocks.resources import Resources, opened, provide
from core.settings import Settings
from entrypoints.first import let_first_in
from entrypoints.initialise import initialise
from entrypoints.worker import Beacon, WarmWorker
from messaging.launcher import Launcher
from models.database import Database

Say = Callable[[str], None]


class Backbone:
    """What the other services share: the database, the doorbell, one Athena client."""

    name = "database and registration"

    def __init__(
        self, settings: Settings, *, rung: Callable[[], None], register: bool, say: Say
    ) -> None:
        """Take the settings; nothing is opened.

        Args:
            settings: Where everything is.
            rung: Wakes the worker of this process after each launch.
            register: Whether to migrate and register first, or to expect that it was done.
            say: Told of each step, for a person.
        """
        self._settings = settings
        self._rung = rung
        self._register = register
        self._say = say
        self._life: Task[None] | None = None
        self._stopping = Event()
        self._resources: Resources | None = None

    @property
    def resources(self) -> Resources:
        """What is open; there is nothing before the start."""
        if self._resources is None:
            raise RuntimeError("the backbone is not started")
        return self._resources

    async def start(self) -> None:
        """Return when everything is open."""
        ready = Event()
        # One task opens and closes, since contexts must end where they began.
        self._life = asyncio.create_task(self._live(ready), name="backbone")
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({self._life, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._life.done():
            await self._life

    async def wait(self) -> None:
        """Return when it was stopped."""
        if self._life:
            await asyncio.shield(self._life)

    async def stop(self) -> None:
        """Close everything."""
        self._stopping.set()
        if self._life:
            if self._resources is None:
                self._life.cancel()  # still opening: nobody waits for what may not answer
            await asyncio.wait({self._life})

    async def _live(self, ready: Event) -> None:
        database = Database(
            self._settings.resolved_database_url,
            visit_pattern=self._settings.access.visit_pattern,
        )
        try:
            await asyncio.to_thread(database.check)
            if self._register:
                done = await initialise(self._settings, database)
                if done.schema_before != done.schema:
                    self._say(f"Database migrated to {done.schema}")
                if done.changed:
                    self._say(f"{len(done.changed)} deployments registered with Prefect")
            async with AsyncExitStack() as stack:
                launcher = await stack.enter_async_context(Launcher(rung=self._rung))
                self._resources = await stack.enter_async_context(
                    opened(self._settings, database=database, launcher=launcher)
                )
                ready.set()
                await self._stopping.wait()
        finally:
            database.close()


class WorkerService:
    """The warm worker, whose runs find the backbone's resources."""

    name = "worker"

    def __init__(self, worker: WarmWorker, backbone: Backbone, health_files: Path) -> None:
        """Take the worker, where its runs find what they need, and where to say how it is."""
        self._worker = worker
        self._backbone = backbone
        self._health_files = health_files
        self._beacon: Beacon | None = None

    async def start(self) -> None:
        """Return when it takes runs."""
        with provide(self._backbone.resources) as resources:
            await self._worker.start()
        self._beacon = Beacon(self._worker, resources.database, self._health_files)
        await self._beacon.start()

    async def wait(self) -> None:
        """Return when it has ended."""
        await self._worker.wait()

    async def stop(self) -> None:
        """Let runs come to a safe point, then end it."""
        await self._worker.stop()
        if self._beacon:
            await self._beacon.stop()


class ApiService:
    """The HTTP API on the backbone's connections."""

    name = "API"

    def __init__(
        self,
        settings: Settings,
        backbone: Backbone,
        *,
        prefect_ui: str,
        collectors: Sequence[Collector] = (),
        tell: Say,
    ) -> None:
        """Take where to listen and what to serve.

        Args:
            settings: Where everything is.
            backbone: Not yet started.
            prefect_ui: Address of Prefect's UI.
            collectors: What is shown at /metrics besides its own.
            tell: Told the password of the first administrator, where there is nobody else.
        """
        self._settings = settings
        self._backbone = backbone
        self._prefect_ui = prefect_ui
        self._collectors = collectors
        self._tell = tell
        self._server: ApiServer | None = None

    async def start(self) -> None:
        """Return when it answers."""
        shared = self._backbone.resources
        await let_first_in(self._settings, shared.database, self._tell)
        app = create_app(
            self._settings,
            database=shared.database,
            doorbell=shared.doorbell,
            launcher=shared.launcher,
            prefect_ui=self._prefect_ui,
            collectors=self._collectors,
        )
        self._server = ApiServer(
            app,
            host=self._settings.api.host,
            port=self._settings.api.port,
            trusted_proxies=self._settings.limits.trusted_proxies,
        )
        await self._server.start()

    async def wait(self) -> None:
        """Return when it has ended."""
        if self._server:
            await self._server.wait()

    async def stop(self) -> None:
        """Stop listening."""
        if self._server:
            await self._server.stop()
