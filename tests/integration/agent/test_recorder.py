"""Folders recorded while they change, and replayed: the same files come out."""

import os
import random
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.recorder import snapshot, workspace
from agent.recorder.follow import Follower
from agent.recorder.inspect import Contents, describe, verify
from agent.recorder.known import Rules
from agent.recorder.pace import BURST
from agent.recorder.replay import Options, replay
from agent.recorder.snapshot import Recorded
from core.errors import ConfigurationError, RecordingRefused
from simulators.epu.folder import session_writer, write_session
from simulators.epu.manifests import SquareProgress
from simulators.epu.truth import grow_grid
from simulators.epu.writer import WriteMode
from tests.support import wait_for
from tests.unit.agent.recorder.handmade import files_of

AT_ONCE = Options(pace=BURST)


class Live:
    """A folder that is being recorded."""

    def __init__(self, folder: Path, **how: float) -> None:
        self.root = folder / "session"
        self.root.mkdir(exist_ok=True)
        self.output = folder / "recording.tar.gz"
        self.how = how
        self.events = -1
        self.ended: Recorded | None = None

    def said(self, events: int, _bytes: int) -> None:
        self.events = events

    @contextmanager
    def recording(self, rules: Rules = Rules()) -> Iterator[None]:
        stop = threading.Event()
        there = sum(not path.is_symlink() for path in self.root.rglob("*"))
        about = snapshot.metadata_of(self.root, "test")
        with workspace.started(self.output, about) as growing:
            follower = Follower(self.root, growing, rules, settle_seconds=0.02, **self.how)

            def work() -> None:
                self.ended = follower.run(stop, progress=self.said)

            thread = threading.Thread(target=work)
            thread.start()
            try:
                wait_for(lambda: self.events >= there, what="the first snapshot")
                yield
            finally:
                stop.set()
                thread.join(30)
            growing.finish()

    def settled(self, do: Callable[[], object], events: int = 1) -> None:
        """Do something, and wait until so many events are recorded of it."""
        before = self.events
        do()
        wait_for(lambda: self.events >= before + events, what=f"{events} more events")

    def check(self, folder: Path, name: str = "target") -> Contents:
        """Replay; the same files come out. Return what is in the recording."""
        assert verify(self.output)[1] == []
        replay(self.output, folder / name, AT_ONCE)
        assert files_of(folder / name) == files_of(self.root)
        return describe(self.output)


@pytest.fixture
def live(tmp_path: Path) -> Live:
    return Live(tmp_path)


def _append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def test_each_kind_of_change_is_recorded_as_such(live: Live, tmp_path: Path):
    root = live.root
    (root / "there").mkdir()
    (root / "there" / "before.dm").write_text("before")
    big = root / "big.mrc"
    log = root / "log.txt"
    data = os.urandom(1_500_000)
    with live.recording():
        live.settled(lambda: log.write_text("one\n"))
        live.settled(lambda: _append(log, b"two\n"))
        live.settled(lambda: log.write_text("another content"))
        live.settled(lambda: _append(log, b", and more"))
        live.settled(lambda: os.truncate(log, 17))
        live.settled(lambda: os.truncate(log, 0))
        live.settled(lambda: big.write_bytes(data))
        live.settled(lambda: _append(big, data[:1_200_000]))
        live.settled(lambda: os.truncate(big, 1_600_000))
        live.settled(lambda: (root / "there" / "before.dm").rename(root / "there" / "after.dm"))
        live.settled(lambda: (root / "there").rename(root / "elsewhere"))
        live.settled(lambda: (root / "elsewhere" / "after.dm").write_text("rewritten, longer"))
        live.settled(log.unlink)
    found = live.check(tmp_path)
    assert found.by_type == {
        "initial_dir": 1,
        "initial_file": 1,
        "created": 2,
        "modified": 2,
        "appended": 3,
        "truncated": 3,
        "moved": 2,
        "deleted": 1,
    }
    # What was there is kept once: an append adds the new part only, a cut nothing.
    assert found.chunk_bytes == 1_500_000 + 1_200_000


@pytest.mark.parametrize("mode", WriteMode)
def test_a_microscope_is_recorded_at_work(live: Live, tmp_path: Path, mode: WriteMode):
    grid = grow_grid(6, squares=4, holes=80)
    with live.recording():
        live.settled(lambda: write_session(live.root, grid, mode=mode))
        writer = session_writer(live.root, grid, mode=mode)
        for square in grid.squares:
            live.settled(lambda square=square: writer.square(square, SquareProgress(image="again")))
    found = live.check(tmp_path)
    # Rewritten as EPU rewrites them: seen as such, however they got there.
    assert found.by_type["modified"] + found.by_type["appended"] + found.by_type["truncated"] >= 4


def test_a_folder_filled_at_once_is_recorded_whole(live: Live, tmp_path: Path):
    source = tmp_path / "source"
    for number in range(300):
        file = source / f"GridSquare_{number % 7}" / "Data" / f"{number}.xml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"<image {number}/>" * 50)
    with live.recording():
        shutil.copytree(source, live.root / "Images-Disc1")
        # Ending at once loses nothing.
    assert live.check(tmp_path).by_type["created"] == 300 + 2 * 7 + 1


def test_nobody_needs_to_be_told_of_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A network folder gives no news: scanning finds all the same."""

    def refuse(*_args: object, **_options: object) -> None:
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr("agent.recorder.follow.Observer.schedule", refuse)
    live = Live(tmp_path, rescan_seconds=0.05)
    with live.recording():
        live.settled(lambda: (live.root / "a").write_text("1"))
        live.settled(lambda: (live.root / "a").write_text("22"))
        live.settled((live.root / "a").unlink)
        live.settled(lambda: (live.root / "b").write_text("3"))
    assert live.check(tmp_path).by_type == {"created": 2, "modified": 1, "deleted": 1}


def _some_file(root: Path, chosen: random.Random) -> Path:
    return root / chosen.choice(["", "a", "a/b", "c"]) / f"{chosen.randrange(12)}.dm"


def _write(path: Path, mode: str, chosen: random.Random) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open(mode) as target:
        for _ in range(chosen.randrange(1, 4)):
            target.write(chosen.choice(["x", "é", "<a/>\r\n"]) * chosen.randrange(20_000))
            target.flush()


def _change(root: Path, chosen: random.Random) -> None:
    """Do something to a file, or to a folder."""
    path = _some_file(root, chosen)
    what = chosen.randrange(8)
    if what < 5:
        _write(path, "w" if what < 3 else "a", chosen)
    elif what == 7 and (root / "c").exists() and not (root / "a" / "d").exists():
        (root / "a").mkdir(exist_ok=True)
        (root / "c").rename(root / "a" / "d")
    elif path.exists() and what == 5:
        path.unlink()
    elif path.exists() and what == 6:
        path.rename(root / f"{chosen.randrange(12)}.dm")
    elif path.exists():
        os.truncate(path, chosen.randrange(path.stat().st_size + 1))


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_the_replay_ends_the_same(live: Live, tmp_path: Path, seed: int):
    chosen = random.Random(seed)
    with live.recording():
        for _ in range(120):
            _change(live.root, chosen)
    live.check(tmp_path)


def test_a_growing_file_is_recorded_while_it_grows(live: Live, tmp_path: Path):
    log = live.root / "growing.log"
    before = -1
    with live.recording(), log.open("ab", buffering=0) as file:
        before = live.events

        def grow() -> bool:
            file.write(b"a line\n" * 100)
            return live.events >= before + 2

        wait_for(grow, what="two events of a file that never rests")
    assert live.check(tmp_path).by_type["appended"] >= 1


def test_what_cannot_be_read_is_there_without_content_and_says_why(live: Live, tmp_path: Path):
    large, binary = live.root / "movie.tiff", live.root / "thumb.jpg"
    large.write_bytes(b"x" * 5_000)
    binary.write_bytes(b"\xff\xd8\0\0")
    (live.root / "text.dm").write_text("<a/>" * 100)
    (live.root / "link").symlink_to("/etc/passwd")
    with live.recording(Rules(max_file_bytes=4_000, skip_binary=True)):
        live.settled(lambda: binary.write_bytes(b"\xff\xd8\0\0\0"))
    assert verify(live.output)[1] == []
    found = describe(live.output)
    assert [(one.path, one.reason) for one in found.placeholders] == [
        ("movie.tiff", "is larger than 4,000 bytes"),
        ("thumb.jpg", "is binary, and such content was not to be kept"),
        ("thumb.jpg", "is binary, and such content was not to be kept"),
    ]
    assert live.ended
    assert {one.path for one in live.ended.skipped} == {"movie.tiff", "thumb.jpg", "link"}
    replay(live.output, tmp_path / "target", AT_ONCE)
    assert files_of(tmp_path / "target") == {
        "movie.tiff": bytes(5_000),
        "thumb.jpg": bytes(5),
        "text.dm": b"<a/>" * 100,
    }


@pytest.mark.skipif(
    os.geteuid() == 0, reason="needs a user other than root, whom no folder is closed to"
)
def test_a_folder_that_cannot_be_listed_is_told(live: Live):
    closed = live.root / "Metadata"
    closed.mkdir(mode=0)
    try:
        with live.recording():
            pass
    finally:
        closed.chmod(0o700)
    assert live.ended
    assert [one.path for one in live.ended.skipped] == ["Metadata"]


def test_a_recording_inside_its_own_folder_leaves_itself_out(tmp_path: Path):
    live = Live(tmp_path)
    live.output = live.root / "recording.tar.gz"
    with live.recording():
        live.settled(lambda: (live.root / "a").write_text("x"))
    replay(live.output, tmp_path / "target", AT_ONCE)
    assert files_of(tmp_path / "target") == {"a": b"x"}


def test_a_finished_session_is_recorded_in_the_order_of_its_files(tmp_path: Path):
    root, output = tmp_path / "session", tmp_path / "recording.tar.gz"
    times = {"EpuSession.dm": 300, "Images/a.xml": 100, "Metadata/b.dm": 200}
    for name, second in times.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        os.utime(path, ns=(second * 10**9 + 100, second * 10**9 + 100))
    (root / "empty").mkdir()
    with workspace.started(output, snapshot.metadata_of(root, "test")) as growing:
        snapshot.snapshot(root, growing, Rules(), as_events=True)
        growing.finish()
    found = describe(output)
    assert (found.by_type, round(found.seconds, 3)) == ({"created": 6}, 200)
    replay(output, tmp_path / "target", AT_ONCE)
    for name, second in times.items():
        assert (tmp_path / "target" / name).stat().st_mtime_ns == second * 10**9 + 100
    assert (tmp_path / "target" / "empty").is_dir()


def test_two_recordings_do_not_share_a_name(tmp_path: Path):
    root = tmp_path / "session"
    root.mkdir()
    output = tmp_path / "recording.tar.gz"
    about = snapshot.metadata_of(root, "test")
    with workspace.started(output, about):
        with pytest.raises(ConfigurationError, match="--finish"), workspace.started(output, about):
            pass
        # A second opening within one process has a lock of its own, as another process has.
        with (
            pytest.raises(ConfigurationError, match="still being made"),
            workspace.interrupted(output),
        ):
            pass
    with workspace.interrupted(output) as left:
        assert left.finish() == 0
    with pytest.raises(ConfigurationError, match="exists"), workspace.started(output, about):
        pass
    with pytest.raises(ConfigurationError, match="No interrupted"), workspace.interrupted(output):
        pass


def test_a_recording_whose_beginning_a_crash_destroyed_says_so_and_stays(tmp_path: Path):
    root = tmp_path / "session"
    root.mkdir()
    output = tmp_path / "recording.tar.gz"
    with workspace.started(output, snapshot.metadata_of(root, "test")) as growing:
        (growing.folder / "metadata.json").write_text("")
    with (
        pytest.raises(RecordingRefused, match=r"metadata\.json is damaged"),
        workspace.interrupted(output) as left,
    ):
        left.finish()
    assert workspace.folder_of(output).is_dir()


def test_what_is_said_to_be_recorded_are_bytes(tmp_path: Path):
    root = tmp_path / "session"
    root.mkdir()
    (root / "a.xml").write_text("1 µm", "utf-8")
    with workspace.started(tmp_path / "a.tar.gz", snapshot.metadata_of(root, "test")) as growing:
        assert snapshot.snapshot(root, growing, Rules(), as_events=False).bytes == 5
