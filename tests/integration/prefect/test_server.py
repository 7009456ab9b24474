"""Our Prefect server as a child process."""

import asyncio
import os
import signal
import sqlite3
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import make_url

from core.errors import ConfigurationError, PortTaken, PrefectUnavailable, StorageUnavailable
from core.settings import PrefectSettings
from entrypoints.ports import free_port
from entrypoints.prefect_server import PrefectServer
from tests.conftest import ROOT
from tests.support import PATIENCE, wait_until

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


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that servers share, one after the other: only the first has tables to make."""
    return tmp_path_factory.mktemp("home")


async def test_the_server_ends_with_its_parent_even_if_that_is_killed(home: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PARENT,
        str(free_port()),
        str(home),
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


async def test_a_server_keeps_its_runs_on_postgresql_when_told_so(
    tmp_path: Path, postgres_url: str
) -> None:
    plain = make_url(postgres_url).set(drivername="postgresql", query={})
    plain = plain.render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as admin:
        # Prefect's own tables, in a database without ours.
        admin.execute("DROP SCHEMA public CASCADE")
        admin.execute("CREATE SCHEMA public")
    settings = PrefectSettings(port=free_port(), database_url=SecretStr(plain))
    server = PrefectServer(settings, tmp_path)

    await server.start()
    await server.stop()

    with psycopg.connect(plain) as database:
        assert database.execute("SELECT count(*) FROM flow_run").fetchone() == (0,)


async def test_runs_older_than_the_retention_are_deleted(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_SERVER_SERVICES_DB_VACUUM_LOOP_SECONDS", "0.5")
    server = PrefectServer(PrefectSettings(port=free_port()), home)
    await server.start()
    try:
        async with httpx.AsyncClient(base_url=server.api_url, timeout=PATIENCE) as client:
            flow = (await client.post("/flows/", json={"name": "old"})).json()["id"]
            body = {"flow_id": flow, "state": {"type": "COMPLETED"}}
            old, new = [(await client.post("/flow_runs/", json=body)).json() for _ in range(2)]
            ended = datetime.now(UTC) - timedelta(days=31)
            with sqlite3.connect(home / "prefect" / "prefect.db", timeout=PATIENCE) as database:
                database.execute(
                    "update flow_run set end_time = ? where id = ?",
                    (ended.strftime("%Y-%m-%d %H:%M:%S.%f"), old["id"]),
                )
            database.close()

            async def is_deleted() -> bool:
                answer = await client.get(f"/flow_runs/{old['id']}")
                return answer.status_code == httpx.codes.NOT_FOUND

            await wait_until(is_deleted, what="the old run's end")
            assert (await client.get(f"/flow_runs/{new['id']}")).status_code == httpx.codes.OK
    finally:
        await server.stop()


async def test_a_server_that_dies_is_started_again_and_given_up_when_it_keeps_dying(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    patient = PrefectSettings(port=free_port(), startup_timeout=150)
    server = PrefectServer(patient, home)
    await server.start()
    waiting = asyncio.create_task(server.wait())
    try:
        # However long it takes to come back: nothing answers so soon.
        hasty = patient.model_copy(update={"startup_timeout": 0.1})
        monkeypatch.setattr(server, "_settings", hasty)
        kill(server)
        await wait_until(lambda: tried_in_vain(4, caplog, waiting))
        monkeypatch.setattr(server, "_settings", patient)
        async with httpx.AsyncClient(base_url=server.api_url, timeout=5) as client:
            await wait_until(lambda: healthy(client, waiting), what="another server")

        killed = kill(server)
        # The last one dies before it answers, which is a death like any other.
        await restarted(server, killed, waiting)
        kill(server)
        async with asyncio.timeout(PATIENCE):
            await waiting
    finally:
        waiting.cancel()
        await server.stop()


async def tried_in_vain(
    times: int, caplog: pytest.LogCaptureFixture, waiting: asyncio.Task[None]
) -> bool:
    assert_not_given_up(waiting)
    return caplog.text.count("did not come back") >= times


def kill(server: PrefectServer) -> int:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    return server.pid


def assert_not_given_up(waiting: asyncio.Task[None]) -> None:
    """Fail at once, with the reason, where no server will come back."""
    if waiting.done():
        pytest.fail(f"the server was given up: {waiting.exception() or 'it died too often'}")


async def restarted(server: PrefectServer, killed: int, waiting: asyncio.Task[None]) -> None:
    """Wait until another process is there."""

    async def another() -> bool:
        assert_not_given_up(waiting)
        return server.pid != killed

    await wait_until(another, what="another process")


async def healthy(client: httpx.AsyncClient, waiting: asyncio.Task[None]) -> bool:
    assert_not_given_up(waiting)
    try:
        return (await client.get("/health")).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("url", ["sqlite:///x.db", "nonsense", "postgresql"])
async def test_a_database_that_cannot_be_shared_is_refused_for_prefect(
    tmp_path: Path, url: str
) -> None:
    settings = PrefectSettings(port=free_port(), database_url=SecretStr(url))

    with pytest.raises(ConfigurationError, match="ATHANOR_PREFECT__DATABASE_URL"):
        await PrefectServer(settings, tmp_path).start()


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
