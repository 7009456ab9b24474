"""The processes of deployments/compose.yaml, on the services of this machine."""

import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from entrypoints.ports import free_port
from tests import compose
from tests.acceptance.processes import Process
from tests.conftest import ROOT
from tests.support import PATIENCE, wait_for

_MODULES = {"athanor": "entrypoints.cli", "prefect": "prefect"}


@dataclass(frozen=True)
class Services:
    """What there is on this machine in place of the containers."""

    database: str
    prefect_database: str
    redis: str
    amqp: str
    queue: str
    exchange: str


class Installation:
    """Starts services of the Compose file with their own commands and environment.

    Changed is only what must be: addresses and ports of services, and folders.
    """

    def __init__(self, services: Services, folder: Path) -> None:
        self.folder = folder
        self.ports = {name: free_port() for name in ("prefect-api", "api", "athena")}
        self.auth = "athanor:secret"
        self._services = compose.services(
            {
                **compose.example(),
                "PREFECT_AUTH": self.auth,
                "PREFECT_ENCRYPTION_KEY": "5z09vJ8QMMCrGEXDHY6jN6SpO5O8gc-EoWlbZghTHyk=",
                "API_SIGNING_SECRET": "change-me-change-me-change-me-change-me",
            }
        )
        prefect = make_url(services.prefect_database).set(drivername="postgresql+asyncpg")
        self._elsewhere = {
            "ATHANOR_DATABASE_URL": services.database,
            "ATHANOR_RABBITMQ__URL": services.amqp,
            "ATHANOR_ATHENA__URL": self.url("athena"),
            "PREFECT_API_URL": f"{self.url('prefect-api')}/api",
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": prefect.render_as_string(hide_password=False),
            "PREFECT_REDIS_MESSAGING_URL": services.redis,
            "PREFECT_SERVER_DOCKET_URL": services.redis,
        }
        self._of_this_test = {
            "ATHANOR_API__PORT": str(self.ports["api"]),
            "ATHANOR_RABBITMQ__QUEUE": services.queue,
            "ATHANOR_RABBITMQ__PUBLISH_EXCHANGE": services.exchange,
        }
        self._running: list[tuple[str, Process]] = []
        self._metrics: dict[int, int] = {}

    def url(self, name: str) -> str:
        """Return where a service is."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def environment(self, name: str, home: Path) -> dict[str, str]:
        """Return a service's environment, with what differs here."""
        given: Mapping[str, str] = self._services[name].get("environment", {})
        elsewhere = {key: value for key, value in self._elsewhere.items() if key in given}
        return {
            # A process finds what the file says, not what this test's own environment does.
            "PREFECT_API_URL": "",
            **given,
            **elsewhere,
            **self._of_this_test,
            "ATHANOR_API__HOST": "127.0.0.1",
            "ATHANOR_HOME": str(home),
            "PREFECT_HOME": str(home / "prefect"),
            "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(home / "pages"),
        }

    def start(self, name: str) -> Process:
        """Start one process of a service."""
        program, *arguments = (self._here(name, word) for word in self._services[name]["command"])
        if name == "athena":
            arguments += ["--port", str(self.ports["athena"])]
        number = len(self._running)
        home = self.folder / f"home-{name}-{number}"
        (home / "prefect").mkdir(parents=True)
        metrics = free_port()
        process = Process(
            *arguments,
            environment={
                **self.environment(name, home),
                "ATHANOR_METRICS__HOST": "127.0.0.1",
                "ATHANOR_METRICS__PORT": str(metrics),
            },
            log=self.folder / f"{name}-{number}.log",
            module=_MODULES[program],
        )
        self._running.append((name, process))
        self._metrics[process.pid] = metrics
        return process

    def done(self, job: Process) -> None:
        """Wait until a job has done its work."""
        code = job.ended()
        assert code == 0, job.output()

    def start_as_many_as_there_shall_be(self, name: str) -> list[Process]:
        """Start a service's processes, as many as its replicas."""
        replicas = int(self._services[name].get("deploy", {}).get("replicas", 1))
        return [self.start(name) for _ in range(replicas)]

    def is_healthy(self, name: str, process: Process) -> None:
        """Wait until a process passes the check of its container."""
        kind, *test = self._services[name]["healthcheck"]["test"]
        assert kind == "CMD", shlex.join(test)
        program, *arguments = (self._here(name, word, process) for word in test)
        command = {"python": [sys.executable]}.get(program) or [
            *(sys.executable, "-m", _MODULES[program])
        ]
        home = self.folder / f"home-{name}-{[p for _, p in self._running].index(process)}"

        ports = re.findall(r"127\.0\.0\.1:(\d+)", shlex.join(arguments))

        def healthy() -> bool:
            assert not process.has_ended, process.output()
            # Costs less to find out than a container's check.
            if not all(_listens(int(port)) for port in ports):
                return False
            asked = subprocess.run(
                [*command, *arguments],
                cwd=ROOT,
                env={**os.environ, **self.environment(name, home)},
                capture_output=True,
                timeout=PATIENCE,
                check=False,
            )
            return asked.returncode == 0

        wait_for(healthy, what=f"{name} to be healthy")

    def stop_all(self) -> dict[str, tuple[int, str]]:
        """Stop everything as Compose does; return exit codes and outputs by log name."""
        grace = _seconds(self._services["worker"]["stop_grace_period"])
        order = ("sensor", "worker", "api", "prefect-services", "prefect-api", "athena")
        ended: dict[str, tuple[int, str]] = {}
        for name in order:
            for of, process in self._running:
                if of == name and not process.has_ended:
                    ended[process.log.stem] = (process.stop(timeout=grace), process.output())
        return ended

    def kill_all(self) -> None:
        """Leave nothing behind, whatever went wrong."""
        for _, process in self._running:
            if not process.has_ended:
                process.kill()

    def _here(self, name: str, word: Any, process: Process | None = None) -> str:
        """Return a word of a command with this machine's addresses."""
        text = str(word).replace("0.0.0.0", "127.0.0.1")
        if name == "prefect-api":
            text = re.sub(r"\b4200\b", str(self.ports["prefect-api"]), text)
        text = re.sub(r"\b8377\b", str(self.ports["api"]), text)
        return re.sub(r"\b9464\b", str(self._metrics[process.pid]), text) if process else text


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
    return False


def _seconds(text: str) -> float:
    return float(text.removesuffix("s"))


@contextmanager
def installation(services: Services, folder: Path) -> Iterator[Installation]:
    """Give an installation whose processes end with the context."""
    made = Installation(services, folder)
    try:
        yield made
    finally:
        made.kill_all()
