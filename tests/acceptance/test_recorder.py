"""`athanor record`, `replay`, `info` and `verify`, as processes where that matters."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from entrypoints.cli import run
from tests.acceptance.commands import Ended, athanor
from tests.acceptance.processes import Process
from tests.conftest import ROOT
from tests.support import wait_for
from tests.unit.agent.recorder.handmade import files_of, recording, text

#: What no machine beside a microscope has.
SERVER_ONLY = {"prefect", "sqlalchemy", "sqlmodel", "alembic", "fastapi", "pika", "numpy"}


Command = Callable[..., Ended]


@pytest.fixture
def command(
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """Run a command in this process."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def call(*arguments: object) -> Ended:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    return call


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {"ATHANOR_HOME": str(tmp_path_factory.mktemp("home"))}


@pytest.fixture(scope="module")
def real(shared: Path, tmp_path_factory: pytest.TempPathFactory, environment: dict) -> Path:
    """A recording of a session that an EPU wrote, made once it was over."""
    output = tmp_path_factory.mktemp("real") / "dls-2024.tar.gz"
    session = shared / "epu" / "dls-2024"
    done = athanor("record", session, "-o", output, "--once", environment=environment)
    assert done.code == 0, done.errors
    return output


@pytest.mark.parametrize(
    "mode",
    [
        [],
        ["--fast"],
        ["--exact"],
        ["--dev-mode"],
        ["--burst"],
        ["--speed", "50", "--max-delay", "0.1"],
        ["--burst", "--shuffle", "1"],
        ["--dev-mode", "--shuffle", "2"],
    ],
    ids=" ".join,
)
def test_a_real_session_replays_the_same_in_every_mode(
    real: Path, shared: Path, tmp_path: Path, command: Command, mode: list[str]
):
    done = command("replay", real, tmp_path / "session", *mode)
    assert done.code == 0, done.errors
    original = shared / "epu" / "dls-2024"
    assert files_of(tmp_path / "session") == files_of(original)
    for name in files_of(original):
        replayed, there = tmp_path / "session" / name, original / name
        assert replayed.stat().st_mtime_ns == there.stat().st_mtime_ns


def test_a_real_recording_is_sound_and_describes_itself(real: Path, command: Command):
    checked = command("verify", real)
    assert (checked.code, "nothing wrong" in checked.output) == (0, True)
    told = command("info", real, "--json").json
    assert (told["version"], told["total_events"]) == ("2.0", told["events"])
    assert told["by_type"] == {"created": told["events"]}
    shown = command("info", real).output
    assert "created" in shown
    planned = command("replay", real, "nowhere", "--dry-run")
    assert len(planned.output.splitlines()) == told["events"]
    assert not (ROOT / "nowhere").exists()


@pytest.fixture
def recorder(tmp_path: Path, environment: dict[str, str]) -> Iterator[Process]:
    """Records tmp_path/session to tmp_path/live.tar.gz, in a process of its own."""
    (tmp_path / "session").mkdir()
    arguments = ["record", str(tmp_path / "session"), "-o", str(tmp_path / "live.tar.gz")]
    process = Process(*arguments, environment=environment, log=tmp_path / "record.log")
    try:
        yield process
    finally:
        if not process.has_ended:
            process.kill()


def _write(folder: Path, names: range) -> None:
    for number in names:
        (folder / "session" / f"GridSquare_{number}.dm").write_text(f"<square {number}/>" * 1_000)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_recording_ends_well_when_asked_to(
    tmp_path: Path, recorder: Process, command: Command, number: signal.Signals
):
    recorder.says("Ctrl-C ends it")
    _write(tmp_path, range(40))
    assert recorder.stop(number) == 0, recorder.output()
    assert command("verify", tmp_path / "live.tar.gz").code == 0
    done = command("replay", tmp_path / "live.tar.gz", tmp_path / "target", "--burst")
    assert done.code == 0, done.errors
    assert files_of(tmp_path / "target") == files_of(tmp_path / "session")
    assert not (tmp_path / "live.tar.gz.recording").exists()


def test_a_killed_recording_is_finished_with_what_there_is(
    tmp_path: Path, recorder: Process, command: Command
):
    growing = tmp_path / "live.tar.gz.recording" / "events.jsonl"
    _write(tmp_path, range(30))
    wait_for(
        lambda: growing.exists() and growing.read_bytes().count(b"\n") >= 30,
        what="events",
    )
    busy = command("record", "--finish", "-o", tmp_path / "live.tar.gz")
    assert "still being made" in busy.sentence
    recorder.kill()
    with growing.open("ab") as torn:
        torn.write(b'{"timestamp": 17')
    again = command("record", tmp_path / "session", "-o", tmp_path / "live.tar.gz")
    assert (again.code, "--finish" in again.sentence) == (1, True)
    done = command("record", "--finish", "-o", tmp_path / "live.tar.gz")
    assert done.code == 0, done.errors
    assert command("verify", tmp_path / "live.tar.gz").code == 0
    assert command("replay", tmp_path / "live.tar.gz", tmp_path / "target").code == 0
    assert files_of(tmp_path / "target") == files_of(tmp_path / "session")


def test_what_cannot_be_read_is_named(tmp_path: Path, environment: dict[str, str]):
    session = tmp_path / "session"
    session.mkdir()
    (session / "open.dm").write_text("x")
    (session / "locked.dm").write_text("secret")
    (session / "locked.dm").chmod(0)
    output = tmp_path / "made.tar.gz"
    done = athanor("record", session, "-o", output, "--once", environment=environment)
    assert done.code == 0
    assert "locked.dm cannot be read: Permission denied" in done.errors
    told = athanor("info", output, "--json", environment=environment).json
    assert told["placeholders"] == [
        {"path": "locked.dm", "reason": "cannot be read: Permission denied"}
    ]
    assert "locked.dm" in athanor("info", output, environment=environment).output


def test_a_bad_recording_is_one_sentence_and_a_table(tmp_path: Path, command: Command):
    bad = recording(tmp_path, [text("created", "a", "x", content_hash="0" * 64)])
    ended = command("replay", bad, tmp_path / "target")
    assert (ended.code, "Event 1 (created a)" in ended.sentence) == (1, True)
    checked = command("verify", bad)
    assert (checked.code, "created a" in checked.output) == (1, True)
    (problem,) = command("verify", bad, "--json").json["problems"]
    assert problem["event"] == 1
    bad.write_bytes(bad.read_bytes()[:-40])
    for arguments in (["replay", bad, tmp_path / "t2"], ["info", bad]):
        ended = command(*arguments)
        assert (ended.code, "damaged" in ended.sentence) == (1, True)
    assert command("verify", bad).code == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["replay", "x.tar.gz", "y", "--fast", "--exact"],
        ["replay", "x.tar.gz", "y", "--speed", "0"],
        ["record"],
        ["record", ".", "--as-events"],
    ],
)
def test_a_misuse_is_told(command: Command, arguments: list[str]):
    assert command(*arguments).code == 2


def test_a_full_disk_is_one_sentence(tmp_path: Path, environment: dict[str, str]):
    (tmp_path / "session").mkdir()
    (tmp_path / "session" / "big.mrc").write_bytes(b"\0" * 3_000_000)
    command = ["record", tmp_path / "session", "-o", tmp_path / "x.tar.gz", "--once"]
    ended = athanor(*command, environment=environment, largest_file=2_000_000)
    assert (ended.code, "cannot be written" in ended.sentence) == (1, True)


def test_the_recorder_needs_nothing_of_the_server(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.dm").write_text("x")
    program = f"""
import sys
for name in {sorted(SERVER_ONLY)!r}:
    sys.modules[name] = None
from entrypoints.cli import run
for command in (
    ["record", "{tmp_path}/a", "-o", "{tmp_path}/r.tar.gz", "--once"],
    ["verify", "{tmp_path}/r.tar.gz"], ["info", "{tmp_path}/r.tar.gz"],
    ["replay", "{tmp_path}/r.tar.gz", "{tmp_path}/b"],
):
    assert run(command) == 0, command
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True)
    assert files_of(tmp_path / "b") == {"x.dm": b"x"}
    shutil.rmtree(tmp_path / "b")
