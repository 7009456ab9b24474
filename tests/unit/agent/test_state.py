"""The state folder: whose it is, who runs on it, and a status that is never half written."""

import subprocess
import sys
from pathlib import Path

from agent.epu.mounts import remote_file_system
from agent.epu.state import Running, StateFolder
from tests.conftest import ROOT
from tests.support import PATIENCE


def test_each_watched_folder_has_a_place_of_its_own_and_always_the_same(tmp_path: Path):
    one, other = tmp_path / "a/session", tmp_path / "b/session"
    for folder in (one, other):
        folder.mkdir(parents=True)
    home = tmp_path / "home"
    assert StateFolder.of(home, one) == StateFolder.of(home, one.parent / ".." / "a" / "session")
    assert StateFolder.of(home, one) != StateFolder.of(home, other)
    assert StateFolder.all(home) == []
    StateFolder.of(home, one).write_status({})
    assert StateFolder.all(home) == [StateFolder.of(home, one)]


def test_a_status_is_read_as_it_was_written_and_nonsense_is_none(tmp_path: Path):
    state = StateFolder(tmp_path / "state")
    assert state.read_status() is None
    state.write_status({"files": 1})
    state.write_status({"files": 2})
    assert state.read_status() == {"files": 2}
    assert [path.name for path in state.path.iterdir()] == ["status.json"]
    (state.path / "status.json").write_text('{"fi')
    assert state.read_status() is None


def test_an_agent_that_was_killed_is_not_running(tmp_path: Path):
    state = StateFolder(tmp_path / "state")
    assert not state.is_in_use()
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from agent.epu.state import Running, StateFolder\n"
        "assert Running(StateFolder(Path(sys.argv[1]))).take()\n"
        "print('taken', flush=True)\nsys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(state.path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == b"taken\n"
        assert state.is_in_use()
        assert not Running(state).take()
    finally:
        holder.kill()
        holder.wait(PATIENCE)
        holder.stdin.close()
        holder.stdout.close()
    assert not state.is_in_use()
    mine = Running(state)
    assert mine.take()
    mine.release()


def test_network_shares_are_known_by_their_mount(tmp_path: Path):
    mounts = tmp_path / "mountinfo"
    share, local = tmp_path / "the share", tmp_path / "local"
    for folder in (share / "visit", local):
        folder.mkdir(parents=True)
    escaped = str(share).replace(" ", "\\040")
    mounts.write_text(
        "22 1 8:1 / / rw,relatime - ext4 /dev/root rw\n"
        f"36 22 0:31 / {escaped} rw shared:7 - cifs //nas/share rw\n"
        "nonsense\n"
    )
    assert remote_file_system(share / "visit", mounts=mounts) == "cifs"
    assert remote_file_system(local, mounts=mounts) is None
    assert remote_file_system(local, mounts=tmp_path / "absent") is None
