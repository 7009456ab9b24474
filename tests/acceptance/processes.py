"""Real processes for acceptance tests: started, watched, killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from entrypoints.ports import free_port
from tests.acceptance import prefect_template
from tests.conftest import ROOT
from tests.support import PATIENCE, wait_for


class Process:
    """One `athanor …` process, whose output goes to a file; or one of another module's."""

    def __init__(
        self,
        *arguments: str,
        environment: Mapping[str, str],
        log: Path,
        module: str = "entrypoints.cli",
    ) -> None:
        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=ROOT,
                env={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def has_ended(self) -> bool:
        return self._popen.poll() is not None

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.pid).children(recursive=True)

    def says(self, text: str) -> None:
        """Wait until the output has a text; fail at once when the process ends before."""

        def said() -> bool:
            assert text in self.output() or not self.has_ended, self.output()[-3000:]
            return text in self.output()

        wait_for(said, what=f"{text!r} in {self.log.name}")

    def stop(self, number: signal.Signals = signal.SIGTERM, *, timeout: float = PATIENCE) -> int:
        """Ask it to stop and return its exit code."""
        if not self.has_ended:
            self._popen.send_signal(number)
        return self._popen.wait(timeout)

    def ended(self) -> int:
        """Wait until it ends by itself; return its exit code."""
        return self._popen.wait(PATIENCE)

    def kill(self) -> None:
        """Kill -9."""
        self._popen.kill()
        self._popen.wait(PATIENCE)


class Facility:
    """Addresses and environment of one embedded Athanor."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        self.api_port, self.prefect_port, self.athena_port = free_port(), free_port(), free_port()
        self.api_url = f"http://127.0.0.1:{self.api_port}"
        self.prefect_url = f"http://127.0.0.1:{self.prefect_port}"
        self.athena_url = f"http://127.0.0.1:{self.athena_port}"
        self.environment = {
            "ATHANOR_HOME": str(home),
            "ATHANOR_API__PORT": str(self.api_port),
            "ATHANOR_PREFECT__PORT": str(self.prefect_port),
            "ATHANOR_ATHENA__URL": self.athena_url,
            "ATHANOR_PREFECT__STARTUP_TIMEOUT": "240",
            "ATHANOR_WORKER__LEASE_SECONDS": "3",
            "ATHANOR_WORKER__LINGER_SECONDS": "1",
            "PREFECT_API_URL": "",
            **environment,
        }
        self._processes: list[Process] = []

    def start(self, *arguments: str, **environment: str) -> Process:
        log = self.home.parent / f"{'-'.join(arguments[:2])}-{len(self._processes)}.log"
        process = Process(*arguments, environment={**self.environment, **environment}, log=log)
        self._processes.append(process)
        return process

    def up(self, *arguments: str) -> Process:
        process = self.start("up", *arguments)
        process.says("Athanor is up")
        return process

    def worker(self) -> Process:
        process = self.start("worker", PREFECT_API_URL=f"{self.prefect_url}/api")
        process.says("The worker takes runs")
        return process

    def post(self, messages: list[dict]) -> None:
        answer = httpx.post(f"{self.api_url}/messages", json=messages, timeout=PATIENCE)
        assert answer.status_code == 202, answer.text

    def get(self, path: str) -> dict:
        answer = httpx.get(f"{self.api_url}{path}", timeout=PATIENCE)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def runs(self, flow: str) -> list[dict]:
        """Return the runs of a flow, newest first, from Prefect's own API."""
        answer = httpx.post(
            f"{self.prefect_url}/api/flow_runs/filter",
            json={"flows": {"name": {"any_": [flow]}}, "sort": "START_TIME_DESC"},
            timeout=PATIENCE,
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def launch(self, deployment: str, **parameters: str) -> str:
        """Create a run as the UI's button does; return its id."""
        with httpx.Client(base_url=f"{self.prefect_url}/api", timeout=PATIENCE) as prefect:
            found = prefect.get(f"/deployments/name/{deployment}/{deployment}")
            assert found.status_code == 200, found.text
            created = prefect.post(
                f"/deployments/{found.json()['id']}/create_flow_run",
                json={"parameters": parameters},
            )
            assert created.status_code == 201, created.text
            return created.json()["id"]

    def close(self) -> None:
        for process in reversed(self._processes):
            if not process.has_ended:
                process.stop()


@contextmanager
def facility(folder: Path, **environment: str) -> Iterator[Facility]:
    """Give a facility whose processes end with the context."""
    home = folder / "home"
    home.mkdir()
    prefect_template.lay_out(home)
    made = Facility(home, **environment)
    try:
        yield made
    finally:
        made.close()
