"""Our Prefect server as a child process."""

import asyncio
import os
import signal
import sqlite3
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from core.errors import PortTaken, PrefectUnavailable, StorageUnavailable
from core.settings import PrefectSettings
from entrypoints.ports import free_port
from entrypoints.prefect_server import PrefectServer
from tests.conftest import ROOT
from tests.support import wait_until

PARENT = """
import asyncio, sys
from pathlib import Path
from core.settings import PrefectSettings
from entrypoints.prefect_server import PrefectServer

async def main():
    server = PrefectServer(PrefectSettings(port=int(sys.argv[1])), Path(sys.argv[2]))
    await server.start()
    print(server.pid, flush=True)
    await server.wait()

asyncio.run(main())
"""


async def test_the_server_ends_with_its_parent_even_if_that_is_killed(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PARENT,
        str(free_port()),
        str(tmp_path),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert parent.stdout
    server_pid = int(await parent.stdout.readline())
    assert psutil.pid_exists(server_pid)

    parent.send_signal(signal.SIGKILL)
    await parent.wait()

    await wait_until(
        lambda: asyncio.to_thread(lambda: not psutil.pid_exists(server_pid)),
        what="the end of the server",
    )


async def test_a_server_starts_answers_reports_and_stops(tmp_path: Path) -> None:
    waited: list[float] = []
    server = PrefectServer(PrefectSettings(port=free_port()), tmp_path, progress=waited.append)
    await server.start()
    try:
        pid = server.pid
        async with httpx.AsyncClient() as client:
            settings = (await client.get(f"{server.api_url}/admin/settings")).json()
    finally:
        await server.stop()

    services = settings["server"]["services"]
    assert waited == sorted(waited)
    assert waited
    assert services["task_run_recorder"]["batch_size"] == 100
    assert set(services["db_vacuum"]["enabled"]) == {"events", "flow_runs"}
    assert settings["server"]["analytics_enabled"] is False
    assert pid is not None
    assert not psutil.pid_exists(pid)
    assert server.log_file.is_file()
    with sqlite3.connect(tmp_path / "prefect" / "prefect.db") as database:
        assert database.execute("select count(*) from flow_run").fetchone() == (0,)
    database.close()


async def test_a_taken_port_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    taken = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    async with taken:
        port = taken.sockets[0].getsockname()[1]
        server = PrefectServer(PrefectSettings(port=port), tmp_path)

        with pytest.raises(PortTaken, match="ATHANOR_PREFECT__PORT"):
            await server.start()

    assert list(tmp_path.iterdir()) == []


async def test_a_server_that_ends_while_starting_gives_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_DATABASE_CONNECTION_URL", "nonsense")
    server = PrefectServer(PrefectSettings(port=free_port()), tmp_path)

    with pytest.raises(PrefectUnavailable, match=r"prefect-server\.log"):
        await server.start()


async def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file, not a folder")
    server = PrefectServer(PrefectSettings(port=free_port()), tmp_path / "home")

    with pytest.raises(StorageUnavailable, match="home"):
        await server.start()
