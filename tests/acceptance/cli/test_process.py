"""`athanor` as a process: fast help, exit codes, no tracebacks, a clean stop."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from entrypoints.cli import run
from entrypoints.ports import free_port
from entrypoints.registry import ENTRIES, Entry, load
from tests.acceptance.cli.conftest import Athanor
from tests.acceptance.processes import Process
from tests.conftest import ROOT
from tests.integration.api.bodies import prediction
from tests.support import PATIENCE

#: What takes long to import, and no help needs.
HEAVY = {"prefect", "sqlalchemy", "sqlmodel", "alembic", "fastapi", "uvicorn", "numpy", "lxml"}


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; from entrypoints.cli import run; code = run(['--help']); "
        f"print(sorted({HEAVY} & set(sys.modules)), code, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "[] 0"
    for entry in ENTRIES:
        assert entry.name in done.stdout


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_each_command_can_be_loaded_and_teaches(entry: Entry) -> None:
    command: Any = load(entry)
    commands = list(getattr(command, "commands", {}).values()) or [command]
    for one in commands:
        assert one.help, entry.name
        for parameter in one.params:
            assert getattr(parameter, "help", None), f"{entry.name} {one.name} {parameter.name}"


@pytest.mark.parametrize(
    "arguments",
    [["bogus"], ["status", "--bogus"], ["messages", "show"], ["messages", "show", "not-a-uuid"]],
)
def test_a_misuse_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    assert "Usage: athanor" in capsys.readouterr().err


def test_the_version_is_told(athanor: Athanor) -> None:
    ended = athanor("--version")
    assert (ended.code, ended.output.split()[0]) == (0, "athanor")


def test_what_should_not_happen_leaves_its_traceback_in_a_file(
    athanor: Athanor, home: Path
) -> None:
    # A state that no version of ours ever wrote.
    with closing(sqlite3.connect(home / "athanor.db")) as database:
        database.execute("UPDATE outbox_message SET state = 'asleep'")
        database.commit()
    ended = athanor("decisions", "list")
    assert ended.code == 1
    assert "Traceback" not in ended.errors
    (kept,) = (home / "logs").glob("athanor-error-*.txt")
    assert str(kept) in ended.errors.replace("\n", "")
    assert "Traceback" in kept.read_text()
    assert "Traceback" in athanor("--debug", "decisions", "list").errors


@pytest.fixture
def serving(home: Path, tmp_path: Path) -> Iterator[tuple[Process, str]]:
    """`athanor api` on a port of its own, without a Prefect server."""
    port = free_port()
    environment = {
        "ATHANOR_HOME": str(home),
        "ATHANOR_API__PORT": str(port),
        "PREFECT_API_URL": f"http://127.0.0.1:{free_port()}/api",
    }
    process = Process("api", environment=environment, log=tmp_path / "api.log")
    try:
        process.says(f"The API is at http://127.0.0.1:{port}/docs")
        yield process, f"http://127.0.0.1:{port}"
    finally:
        if not process.has_ended:
            process.kill()


def test_the_api_alone_stores_messages_and_stops_cleanly(
    serving: tuple[Process, str], athanor: Athanor
) -> None:
    process, url = serving
    assert "Prefect's server is not reachable" in process.output()
    answer = httpx.post(f"{url}/messages", json=prediction(), params={"source": "test"})
    assert answer.status_code == 202
    (message,) = athanor("messages", "list", "--source", "test", "--json").json["items"][:1]
    assert message["id"] == answer.json()["ids"][0]
    assert process.stop() == 0
    assert "Traceback" not in process.output()
    assert process.output().rstrip().endswith("Stopped.")


def test_a_taken_port_is_one_sentence(athanor: Athanor, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("ATHANOR_API__PORT", str(port))
        ended = athanor("api")
    assert ended.code == 1
    assert ended.sentence.startswith(f"Error: Port {port} for the API is already in use.")


def test_ctrl_c_is_exit_code_130() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        port = silent.getsockname()[1]
        with subprocess.Popen(
            [sys.executable, "-m", "entrypoints.cli", "status"],
            cwd=ROOT,
            env={**os.environ, "ATHANOR_DATABASE_URL": f"postgresql://127.0.0.1:{port}/athanor"},
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            # It waits for a database that answers nothing, until somebody loses patience.
            connection, _ = silent.accept()
            with connection:
                process.send_signal(signal.SIGINT)
                _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "Traceback" not in errors
