"""What workers say of themselves in files, and what a probe makes of it."""

import os
import socket
from datetime import timedelta
from pathlib import Path

import pytest
import typer

from core.clock import utcnow
from entrypoints.commands.run import worker
from entrypoints.health_file import HealthFile, remove_leftovers, workers_folder


def a_file(**changes: object) -> HealthFile:
    now = utcnow()
    return HealthFile.model_validate(
        {
            "name": "one",
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "written_at": now,
            "pool": "athanor",
            "running": 2,
            "max_runs": 20,
            "finished": 7,
            "stopping": False,
            "last_poll": now,
            "prefect": None,
            "database": None,
            **changes,
        }
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ATHANOR_HOME", str(tmp_path))
    return workers_folder(tmp_path)


def probe(said: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = 0
    try:
        worker(health=True)
    except typer.Exit as ended:
        code = ended.exit_code
    return code, said.readouterr().out


def test_a_worker_that_wrote_of_late_is_well(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_file().write(folder)

    assert probe(capsys) == (0, "one: at work, 2 of 20 runs, asked Prefect 0 s ago\n")


def test_a_worker_that_cannot_reach_prefect_is_alive_and_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_file(prefect="Prefect cannot be reached: refused", stopping=True).write(folder)

    code, said = probe(capsys)

    assert code == 0
    assert "stopping" in said
    assert "Prefect cannot be reached: refused" in said


def test_a_worker_that_is_silent_fails_the_probe(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_file(written_at=utcnow() - timedelta(minutes=1)).write(folder)
    a_file(name="two").write(folder)

    code, said = probe(capsys)

    assert code == 1
    assert "one: silent since" in said
    assert "two: at work" in said


def test_no_worker_at_all_fails_the_probe(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert probe(capsys) == (1, "No worker runs on this machine.\n")


def test_files_of_other_machines_and_of_others_are_no_business_of_ours(folder: Path) -> None:
    a_file(name="elsewhere", host="another").write(folder)
    (folder / "nonsense.json").write_text("{")

    assert HealthFile.read_all(folder) == []


def test_what_killed_workers_left_is_taken_away(folder: Path) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    a_file(name="killed", pid=pid).write(folder)
    a_file(name="before me, in a container", pid=os.getpid()).write(folder)
    a_file(name="parent", pid=os.getppid()).write(folder)

    remove_leftovers(folder)

    assert [one.name for one in HealthFile.read_all(folder)] == ["parent"]
