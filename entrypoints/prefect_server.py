"""Prefect's server as a child process, for `athanor up` and for tests."""

import asyncio
import logging
import os
import sys
import time
from asyncio.subprocess import PIPE, STDOUT, Process
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import httpx

from core.errors import ConfigurationError, PrefectUnavailable, StorageUnavailable
from core.settings import PrefectSettings
from entrypoints.ports import require_free_port

logger = logging.getLogger(__name__)

#: Seconds that the server gets to end after SIGTERM, before it is killed.
_STOP_SECONDS: Final = 10.0

#: A server that dies so often within so many seconds is not started again.
_DEATHS: Final = 3
_DEATHS_WITHIN_SECONDS: Final = 300.0

#: In memory, a killed server forgets who holds a place of a limit, and never frees it.
_LEASES: Final = "prefect.server.concurrency.lease_storage.filesystem"

#: Seconds between two looks at a server that is starting.
_LOOK_EVERY: Final = 0.1

#: A log file of more bytes is set aside at the next start.
_LOG_BYTES: Final = 10_000_000

#: What we want of a Prefect server unless the environment says otherwise.
DEFAULTS: Final[Mapping[str, str]] = {
    # One record at a time it keeps up with 34 task runs a second and then loses some.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "100",
    # By default only events are ever deleted.
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(30 * 24 * 3600),
    # A run that waits for a place in a busy worker is not late yet.
    "PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": "60",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "20",
    # A run every 30 s would otherwise be planned a hundred runs ahead.
    "PREFECT_SERVER_SERVICES_SCHEDULER_MAX_RUNS": "10",
    "PREFECT_SERVER_SERVICES_SCHEDULER_MIN_SCHEDULED_TIME": "PT3M",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_LOGGING_SERVER_LEVEL": "WARNING",
}


class PrefectServer:
    """One Prefect server, living no longer than this process."""

    name = "Prefect server"

    def __init__(
        self,
        settings: PrefectSettings,
        home: Path,
        *,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        """Take what is needed; nothing is started.

        Args:
            settings: Address, port and patience.
            home: Athanor's folder; the server keeps its database in `prefect/` there.
            progress: Called while it starts, with the seconds waited so far.
        """
        self._settings = settings
        self._home = home
        self._progress = progress
        self._process: Process | None = None
        self._answers = False

    @property
    def url(self) -> str:
        """The user interface's address."""
        return f"http://{self._settings.host}:{self._settings.port}"

    @property
    def api_url(self) -> str:
        """The value for PREFECT_API_URL."""
        return f"{self.url}/api"

    @property
    def log_file(self) -> Path:
        """Where the server's own words go."""
        return self._home / "logs" / "prefect-server.log"

    @property
    def pid(self) -> int | None:
        """The server's process id, once started."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start the server and return when it answers.

        Raises:
            PortTaken: Its port is in use.
            StorageUnavailable: Its folder cannot be written.
            PrefectUnavailable: It ended, or did not answer in time.
        """
        require_free_port(
            self._settings.host,
            self._settings.port,
            what=self.name,
            setting="ATHANOR_PREFECT__PORT",
        )
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        """Start the server on a port that is ours; errors as `start`. Whoever calls ends it."""
        self._answers = False
        self._process = process = await self._spawn()
        await self._answering(process)
        self._answers = True
        logger.info("Prefect server is at %s", self.url, extra={"action": "prefect_started"})

    async def wait(self) -> None:
        """Return when the server has ended for good: one that dies is started again."""
        deaths: deque[float] = deque(maxlen=_DEATHS)
        while process := self._process:
            code = await process.wait()
            deaths.append(time.monotonic())
            if len(deaths) == _DEATHS and deaths[-1] - deaths[0] < _DEATHS_WITHIN_SECONDS:
                return
            logger.warning(
                "Prefect's server ended (%s) and is started again. %s",
                code,
                self._last_words(),
                extra={"action": "prefect_restarted"},
            )
            try:
                # The port was ours; what clients left open on it is no other server.
                await self._start()
            except PrefectUnavailable as exc:
                logger.warning(
                    "Prefect's server did not come back: %s",
                    exc,
                    extra={"action": "prefect_not_restarted"},
                )
                if await self._killed():
                    # It did not die: on a machine that is merely slow, another try may be in time.
                    deaths.clear()

    async def stop(self) -> None:
        """End the server, by force if it takes too long."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            if self._answers:
                process.terminate()
            else:
                process.kill()  # it has nothing to finish yet
            try:
                async with asyncio.timeout(_STOP_SECONDS):
                    await process.wait()
            except TimeoutError:
                logger.warning("Prefect server did not stop in %s s: killed", _STOP_SECONDS)
                process.kill()
                await process.wait()
        if process.stdin:
            process.stdin.close()

    async def _killed(self) -> bool:
        """Kill a server that does not come to answer; return False if it had ended by itself."""
        process = self._process
        if process is None or process.returncode is not None:
            return False
        process.kill()
        await process.wait()
        return True

    async def _spawn(self) -> Process:
        folder = self._home / "prefect"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.log_file.parent.mkdir(parents=True, exist_ok=True)
            if self.log_file.exists() and self.log_file.stat().st_size > _LOG_BYTES:
                self.log_file.replace(self.log_file.with_suffix(".log.1"))
            log = self.log_file.open("ab")
        except OSError as exc:
            raise StorageUnavailable(
                f"The Prefect server needs to write under {self._home}: {exc.strerror}."
            ) from exc
        with log:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "entrypoints.prefect_child",
                stdin=PIPE,  # its end tells the child that we are gone
                stdout=log,
                stderr=STDOUT,
                env=self._environment(folder),
                cwd=folder,  # Prefect reads prefect.toml and .env where it starts
                start_new_session=True,  # Ctrl-C is ours to pass on, last of all
            )

    def _environment(self, folder: Path) -> dict[str, str]:
        """Return the child's environment: our defaults, the user's wishes, what must be."""
        root = str(Path(__file__).resolve().parent.parent)
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        return {
            "PREFECT_HOME": str(folder),
            "PREFECT_API_DATABASE_CONNECTION_URL": _database_url(self._settings, folder),
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": _LEASES,
            **DEFAULTS,
            **os.environ,
            "DO_NOT_TRACK": "1",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_API_URL": self.api_url,
            "PREFECT_SERVER_API_HOST": self._settings.host,
            "PREFECT_SERVER_API_PORT": str(self._settings.port),
            "PREFECT__SERVER_FINAL": "1",
            "PYTHONPATH": os.pathsep.join(paths),
        }

    async def _answering(self, process: Process) -> None:
        """Return when /api/health answers."""
        began = time.monotonic()
        async with httpx.AsyncClient(timeout=2.0, trust_env=False) as client:
            while not await self._healthy(client):
                waited = time.monotonic() - began
                if process.returncode is not None:
                    raise PrefectUnavailable(
                        f"The Prefect server ended while starting. {self._last_words()}"
                    )
                if waited > self._settings.startup_timeout:
                    raise PrefectUnavailable(
                        f"The Prefect server did not answer within {waited:.0f} s "
                        f"(ATHANOR_PREFECT__STARTUP_TIMEOUT). {self._last_words()}"
                    )
                if self._progress:
                    self._progress(waited)
                await asyncio.sleep(_LOOK_EVERY)

    async def _healthy(self, client: httpx.AsyncClient) -> bool:
        try:
            answer = await client.get(f"{self.api_url}/health")
        except httpx.TransportError:
            return False
        return answer.status_code == httpx.codes.OK

    def _last_words(self) -> str:
        """Return where the log is and its last line."""
        lines = self.log_file.read_text(errors="replace").strip().splitlines()
        said = f": {lines[-1]}" if lines else "."
        return f"See {self.log_file}{said}"


def _database_url(settings: PrefectSettings, folder: Path) -> str:
    """Return where the server keeps its runs, with the driver that Prefect wants.

    Raises:
        ConfigurationError: The setting is no address of a PostgreSQL database.
    """
    if settings.database_url is None:
        return f"sqlite+aiosqlite:///{folder}/prefect.db"
    scheme, separator, rest = settings.database_url.get_secret_value().partition("://")
    if not separator or scheme.partition("+")[0] not in {"postgres", "postgresql"}:
        raise ConfigurationError(
            "ATHANOR_PREFECT__DATABASE_URL is to be like postgresql://user@host/name."
        )
    return f"postgresql+asyncpg://{rest}"


def use_server(api_url: str) -> None:
    """Make this process, and those that it starts, talk to the Prefect server at `api_url`.

    Best called before Prefect is imported: it reads the environment then.
    """
    os.environ["DO_NOT_TRACK"] = "1"
    os.environ["PREFECT_API_URL"] = api_url
    if context := sys.modules.get("prefect.context"):
        context.refresh_global_settings_context()
