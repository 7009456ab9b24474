"""Athanor's real processes on real services: started, kept alive, killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from benchmarks.services import PrivatePostgres
from core.errors import AthanorError
from entrypoints.ports import free_port
from entrypoints.prefect_server import DEFAULTS

ROOT = Path(__file__).resolve().parent.parent

_LOOK_EVERY = 0.05
#: Until a process that ended is started again; a supervisor would not be quicker.
_PAUSE_SECONDS = 0.5
_STOP_SECONDS = 30.0


class NotInTime(AthanorError):
    """Something that a benchmark waits for did not happen."""


def wait_for(condition: Callable[[], bool], *, seconds: float, what: str) -> float:
    """Return how many seconds it took until the condition was true.

    Raises:
        NotInTime: It was not within `seconds`.
    """
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise NotInTime(f"Waited {seconds:.0f} s in vain for {what}.")
        time.sleep(_LOOK_EVERY)
    return time.monotonic() - began


def together(*steps: Callable[[], object]) -> None:
    """Take steps at the same time; return when all are done, raise what one of them raised."""
    with ThreadPoolExecutor() as pool:
        for taken in [pool.submit(step) for step in steps]:
            taken.result()


class KeptProcess:
    """A process that is started again whenever it ends, until it is stopped."""

    def __init__(
        self, name: str, arguments: list[str], environment: Mapping[str, str], log: Path
    ) -> None:
        """Start it, and a thread that watches it."""
        self.name = name
        self.log = log
        self.starts = 0
        self._arguments = arguments
        self._environment = {**os.environ, **environment, "PYTHONUNBUFFERED": "1"}
        self._wanted = threading.Event()
        self._wanted.set()
        self._over = threading.Event()
        self._popen = self._start()
        self._keeper = threading.Thread(target=self._keep, name=f"keep {name}", daemon=True)
        self._keeper.start()

    @property
    def pid(self) -> int:
        """The process id of the latest start."""
        return self._popen.pid

    def output(self) -> str:
        """Return all that it has said."""
        return self.log.read_text(errors="replace")

    def says(self, text: str, *, seconds: float = 180, times: int = 1) -> None:
        """Wait until it has said something so many times."""
        wait_for(
            lambda: self.output().count(text) >= times,
            seconds=seconds,
            what=f"{text!r} in {self.log}",
        )

    def kill(self) -> None:
        """Kill -9; it comes back by itself."""
        self._popen.kill()

    def hold_down(self) -> None:
        """Kill it and leave it so until `let_up`."""
        self._wanted.clear()
        self.kill()

    def let_up(self) -> None:
        """Have it started again."""
        self._wanted.set()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it for good; return its exit code."""
        self._over.set()
        self._wanted.set()
        self._keeper.join(_STOP_SECONDS)
        if self._popen.poll() is None:
            self._popen.send_signal(number)
        try:
            return self._popen.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            return self._popen.wait()
        finally:
            if self._popen.stdin:
                self._popen.stdin.close()

    def _start(self) -> subprocess.Popen[bytes]:
        self.starts += 1
        with self.log.open("ab") as output:
            return subprocess.Popen(
                self._arguments,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.PIPE,  # its end tells Prefect's server that we are gone
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is ours alone
            )

    def _keep(self) -> None:
        while not self._over.wait(_LOOK_EVERY):
            if self._popen.poll() is None:
                continue
            if self._over.wait(_PAUSE_SECONDS):
                return
            self._wanted.wait()
            if self._over.is_set():
                return
            if self._popen.stdin:
                self._popen.stdin.close()
            self._popen = self._start()


class Facility:
    """Athanor on PostgreSQL, with Prefect's server beside it; `private_facility` makes one."""

    def __init__(self, home: Path, postgres: PrivatePostgres, **environment: str) -> None:
        """Make the databases and choose addresses; nothing is started."""
        self.home = home
        self.postgres = postgres
        self.database_url = postgres.create("athanor")
        self._prefect_database_url = postgres.create("prefect")
        self._api_port, self._prefect_port, self._athena_port = (
            free_port(),
            free_port(),
            free_port(),
        )
        self.api_url = f"http://127.0.0.1:{self._api_port}"
        self.prefect_url = f"http://127.0.0.1:{self._prefect_port}/api"
        self.athena_url = f"http://127.0.0.1:{self._athena_port}"
        self.environment = {
            "ATHANOR_HOME": str(home),
            "ATHANOR_DATABASE_URL": self.database_url,
            "ATHANOR_API__PORT": str(self._api_port),
            "ATHANOR_ATHENA__URL": self.athena_url,
            "PREFECT_API_URL": self.prefect_url,
            **environment,
        }
        self.processes: dict[str, KeptProcess] = {}

    def close(self) -> None:
        """End all processes, the last one first."""
        for process in reversed(self.processes.values()):
            process.stop()

    def keep(self, name: str, *arguments: str, module: str = "entrypoints.cli") -> KeptProcess:
        """Start `athanor ARGUMENTS` and keep it alive."""
        command = [sys.executable, "-m", module, *arguments]
        environment = self.environment | (
            self._prefect_environment() if module != "entrypoints.cli" else {}
        )
        made = KeptProcess(name, command, environment, self.home / f"{name}.log")
        self.processes[name] = made
        return made

    def run(self, *arguments: str) -> None:
        """Run `athanor ARGUMENTS` to its end.

        Raises:
            NotInTime: It failed, or took longer than four minutes.
        """
        done = subprocess.run(
            [sys.executable, "-m", "entrypoints.cli", *arguments],
            cwd=ROOT,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        if done.returncode:
            raise NotInTime(f"athanor {' '.join(arguments)} failed: {done.stdout}{done.stderr}")

    def prefect(self) -> KeptProcess:
        """Start Prefect's server; return when it answers."""
        made = self.keep("prefect", module="entrypoints.prefect_child")
        wait_for(
            lambda: answers(f"{self.prefect_url}/health"), seconds=300, what="Prefect's server"
        )
        return made

    def athena(self) -> KeptProcess:
        """Start the simulated Athena; return when it answers."""
        port, state = str(self._athena_port), str(self.home / "athena.db")
        made = self.keep("athena", "simulate", "athena", "--port", port, "--state", state)
        wait_for(lambda: answers(f"{self.athena_url}/simulator/faults"), seconds=120, what="Athena")
        return made

    def api(self) -> KeptProcess:
        """Start the API; return when it answers."""
        made = self.keep("api", "api")
        wait_for(lambda: answers(f"{self.api_url}/health"), seconds=180, what="the API")
        return made

    def workers(self, number: int) -> list[KeptProcess]:
        """Start so many workers; return when all take runs."""
        made = [self.keep(f"worker-{n}", "worker") for n in range(1, number + 1)]
        for one in made:
            one.says("The worker takes runs")
        return made

    def sensors(self, number: int) -> list[KeptProcess]:
        """Start so many RabbitMQ sensors."""
        return [self.keep(f"sensor-{n}", "sensor", "rabbitmq") for n in range(1, number + 1)]

    def set_athena_faults(self, **faults: float) -> None:
        """Have the simulated Athena misbehave; without faults, behave."""
        answer = httpx.put(f"{self.athena_url}/simulator/faults", json=faults, timeout=10)
        answer.raise_for_status()

    def launch(self, deployment: str) -> None:
        """Create a run of a deployment, as the button in Prefect's pages does."""
        with httpx.Client(base_url=self.prefect_url, timeout=30) as prefect:
            found = prefect.get(f"/deployments/name/{deployment}/{deployment}")
            found.raise_for_status()
            path = f"/deployments/{found.json()['id']}/create_flow_run"
            prefect.post(path, json={}).raise_for_status()

    def _prefect_environment(self) -> dict[str, str]:
        folder = self.home / "prefect"
        folder.mkdir(exist_ok=True)
        return {
            **DEFAULTS,
            "DO_NOT_TRACK": "1",
            "PREFECT_HOME": str(folder),
            "PREFECT_API_DATABASE_CONNECTION_URL": self._prefect_database_url.replace(
                "postgresql://", "postgresql+asyncpg://"
            ),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_API_HOST": "127.0.0.1",
            "PREFECT_SERVER_API_PORT": str(self._prefect_port),
            "PREFECT__SERVER_FINAL": "1",
            "PYTHONPATH": str(ROOT),
        }


@contextmanager
def private_facility(logs: Path | None, **environment: str) -> Iterator[Facility]:
    """Give a facility on a PostgreSQL of its own, nothing of it started; all ends with the block.

    Args:
        logs: Where the processes' logs stay; None throws them away.
        environment: Settings of all processes.

    Raises:
        ServiceMissing: PostgreSQL is not installed.
    """
    with ExitStack() as stack:
        home = logs or Path(stack.enter_context(TemporaryDirectory(prefix="athanor-logs-")))
        home.mkdir(parents=True, exist_ok=True)
        plant = Facility(home, stack.enter_context(PrivatePostgres()), **environment)
        stack.callback(plant.close)
        yield plant


def end_on_sigterm() -> None:
    """Let a stop from outside end what was started, as Ctrl-C does."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))


def answers(url: str) -> bool:
    """Return whether a GET is answered with 200."""
    try:
        return httpx.get(url, timeout=2).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
