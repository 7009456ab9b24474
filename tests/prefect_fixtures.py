"""The Prefect server of the test session, one for all processes of pytest-xdist."""

import asyncio
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.settings import PrefectSettings
from entrypoints.ports import free_port
from entrypoints.prefect_server import PrefectServer, use_server
from tests.support import wait_for


def pytest_configure() -> None:
    """Keep Prefect from reporting to its makers and from starting servers of its own."""
    os.environ["DO_NOT_TRACK"] = "1"
    os.environ["PREFECT_SERVER_EPHEMERAL_ENABLED"] = "false"


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[str]:
    """Address of a real Prefect server, and PREFECT_API_URL of this process and its children."""
    base = tmp_path_factory.getbasetemp()
    # pytest-xdist gives each of its processes a folder in a common one.
    # Not before `pytest_configure` has told Prefect how to behave.
    from prefect.events.worker import EventsWorker  # noqa: PLC0415

    with _server(base if worker_id == "master" else base.parent, worker_id) as api_url:
        before = os.environ.get("PREFECT_API_URL")
        use_server(api_url)
        yield api_url
        # What tests emitted is sent while there is a server to take it.
        EventsWorker.drain_all(timeout=5)
        if before is None:
            del os.environ["PREFECT_API_URL"]


@contextmanager
def _server(shared: Path, me: str) -> Iterator[str]:
    """Use the server that another process started, or start it and wait for the other users."""
    users = shared / "prefect-users"
    address = shared / "prefect-address.json"
    users.mkdir(exist_ok=True)
    with _locked(shared):
        (users / me).touch()
        found = json.loads(address.read_text()) if address.exists() else None
        if found is None:
            runner = asyncio.Runner()
            server = PrefectServer(PrefectSettings(port=free_port()), shared / "athanor-home")
            runner.run(server.start())
            address.write_text(json.dumps(server.api_url))
    if found is not None:
        try:
            yield found
        finally:
            (users / me).unlink()
        return
    with runner:
        try:
            yield server.api_url
        finally:
            (users / me).unlink()
            # The server is our child and would end with us.
            wait_for(lambda: _closed(shared, users, address), what="other users")
            runner.run(server.stop())


def _closed(shared: Path, users: Path, address: Path) -> bool:
    """Take the address away if nobody uses the server any more."""
    with _locked(shared):
        if any(users.iterdir()):
            return False
        address.unlink()
        return True


@contextmanager
def _locked(shared: Path) -> Iterator[None]:
    with (shared / "prefect.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
