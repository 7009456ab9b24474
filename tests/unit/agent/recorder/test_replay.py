"""Replays of recordings made by hand, as the users' existing recorder makes them."""

import os
from pathlib import Path
from typing import Any

import pytest

from agent.recorder.inspect import describe, verify
from agent.recorder.pace import BURST, EXACT
from agent.recorder.replay import Options, plan, replay
from core.errors import ConfigurationError, EventRefused, RecordingRefused
from tests.unit.agent.recorder.handmade import (
    START,
    event,
    files_of,
    recording,
    sha256,
    text,
)

AT_ONCE = Options(pace=BURST)
BIG = os.urandom(2_000_000)


def play(folder: Path, *events: Any, options: Options = AT_ONCE, **about: Any) -> dict[str, bytes]:
    made = recording(folder, events, **about)
    replay(made, folder / "target", options)
    return files_of(folder / "target")


def test_a_recording_with_every_event_type_replays(tmp_path: Path):
    made = recording(
        tmp_path,
        [
            event("initial_dir", "Metadata", is_directory=True),
            text("initial_file", "EpuSession.dm", "<a/>", operation_data={"mtime": 1.5e9}),
            text("created", "Metadata/GridSquare_1.dm", "<é/>", 1),
            event("modified", "Metadata", 1, is_directory=True),
            event("modified", ".", 1, is_directory=True),
            event(
                "appended",
                "EpuSession.dm",
                2,
                content="more",
                size=8,
                content_hash=sha256("<a/>more"),
                file_position=4,
                operation_data={"append_size": 4},
            ),
            event(
                "created",
                "big.mrc",
                3,
                size=len(BIG),
                content_hash=sha256(BIG),
                binary_chunk_id="chunk_0",
            ),
            event(
                "appended",
                "big.mrc",
                3,
                size=len(BIG) + 2,
                content_hash=sha256(BIG + b"\xff\xfe"),
                binary_chunk_id="chunk_1",
                file_position=len(BIG),
            ),
            event(
                "truncated",
                "big.mrc",
                4,
                size=10,
                content_hash=sha256(BIG[:10]),
                operation_data={"new_size": 10},
            ),
            text("modified", "Metadata/GridSquare_1.dm", "<b/>", 5),
            event("moved", "Metadata", 6, dest_path="Moved/Metadata", is_directory=True),
            event(
                "moved", "Metadata/GridSquare_1.dm", 6, dest_path="Moved/Metadata/GridSquare_1.dm"
            ),
            text("created", "gone/soon", "x", 7),
            event("deleted", "gone/soon", 8),
            event("deleted", "gone", 8, is_directory=True),
        ],
        {"chunk_0": BIG, "chunk_1": b"\xff\xfe"},
    )
    done = replay(made, tmp_path / "target", AT_ONCE)
    assert files_of(tmp_path / "target") == {
        "EpuSession.dm": b"<a/>more",
        "Moved/Metadata/GridSquare_1.dm": b"<b/>",
        "big.mrc": BIG[:10],
    }
    assert not (tmp_path / "target" / "gone").exists()
    # The folder's move took the file along.
    assert (done.events, done.without_effect) == (15, 1)
    assert verify(made) == (15, [])
    found = describe(made)
    assert (found.chunks, found.chunk_bytes, found.seconds) == (2, len(BIG) + 2, 8)
    assert found.by_type["appended"] == 2


def test_text_that_lost_its_carriage_returns_gets_them_back(tmp_path: Path):
    whole = "<a>\r\n<b/>\r\n</a>\r\n"
    kept = text(
        "initial_file", "x.xml", whole.replace("\r\n", "\n"), content_hash=sha256(whole), size=17
    )
    assert play(tmp_path, kept) == {"x.xml": whole.encode()}
    assert verify(tmp_path / "recording.tar.gz") == (1, [])


def test_files_recorded_without_content_become_zeros_or_are_left_out(tmp_path: Path):
    events = [
        event("initial_file", "a.mrc", size=5, content_hash=sha256(BIG), is_placeholder=True),
        event("created", "b.mrc", size=3, content_hash="unreadable_3_1700000000.5"),
        # What it grows by is there, and the hash is of what nobody has.
        event(
            "appended",
            "a.mrc",
            content="zz",
            size=7,
            content_hash=sha256("?"),
            file_position=5,
        ),
    ]
    assert play(tmp_path, *events) == {"a.mrc": b"\0\0\0\0\0zz", "b.mrc": b"\0\0\0"}
    assert verify(tmp_path / "recording.tar.gz") == (3, [])
    assert [one.path for one in describe(tmp_path / "recording.tar.gz").placeholders] == ["a.mrc"]
    options = Options(pace=BURST, skip_unreadable=True, overwrite=True, verify=False)
    (tmp_path / "target" / "a.mrc").unlink()
    replay(tmp_path / "recording.tar.gz", tmp_path / "target", options)
    assert not (tmp_path / "target" / "a.mrc").exists()


def test_paths_of_windows_replay_anywhere(tmp_path: Path):
    made = text("created", "Images-Disc1\\GridSquare_1\\x.xml", "x")
    assert play(tmp_path, made, platform="win32") == {"Images-Disc1/GridSquare_1/x.xml": b"x"}


@pytest.mark.parametrize(
    "harm",
    [
        text("created", "../escaped", "x"),
        text("created", "/tmp/escaped", "x"),
        text("created", "C:/escaped", "x"),
        text("created", "a\\..\\..\\escaped", "x"),
        event("initial_dir", "../escaped", is_directory=True),
        event("moved", "good", dest_path="../escaped"),
        event("moved", "good"),
        event("moved", ".", dest_path="x"),
        event("moved", "good", dest_path="."),
        event("deleted", ".", is_directory=True),
        event("deleted", "..", is_directory=True),
        text("created", ".", "x"),
        text("created", "a", "x", binary_chunk_id="../recording"),
        event("created", "a", size=1, binary_chunk_id="chunk_9", content_hash=sha256("x")),
        event("created", "a", size=1, content_hash=sha256("x")),
        event("created", "a", size=10**15, is_placeholder=True),
        event("truncated", "good", size=10**15, operation_data={"new_size": 10**15}),
        event("truncated", "good", operation_data={"new_size": -1}),
        event("appended", "good", content="x", file_position=10**15),
        event("patched", "good", content="x"),
        event("created", "a", content=5),
        {"event_type": "created"},
        "no event",
        text("created", "a", "x", timestamp=float("1e400")),
        text("created", "a", "x", operation_data={"mtime": 1e300}),
    ],
    ids=lambda harm: str(harm)[30:110],
)
def test_a_harmful_event_ends_the_replay_by_its_number(tmp_path: Path, harm: Any):
    good = text("created", "good", "x")
    with pytest.raises(RecordingRefused) as raised:
        play(tmp_path, good, harm, good)
    assert "vent 2" in str(raised.value) or "recording.json" in str(raised.value)
    assert set(files_of(tmp_path)) <= {"recording.tar.gz", "target/good", "target/a"}
    assert files_of(tmp_path / "target")["good"] == b"x"
    assert verify(tmp_path / "recording.tar.gz")[1]


@pytest.mark.parametrize(
    "wrong",
    [
        text("created", "a", "right", content_hash=sha256("other")),
        text("modified", "a", "right", content_hash="5"),
        event("created", "a", binary_chunk_id="chunk_0", size=1, content_hash=sha256("x")),
        event("appended", "good", content="x", size=5, content_hash=sha256("?"), file_position=4),
        event("appended", "good", content="x", size=5, file_position=3),
        event("appended", "nowhere", content="x", size=5, file_position=3),
        event("truncated", "good", size=1, operation_data={"new_size": 1}, content_hash="00"),
        text("created", "a", "right", content_hash=None, size=99),
    ],
    ids=lambda wrong: str(wrong)[30:110],
)
def test_a_wrong_content_is_not_written_and_its_event_named(tmp_path: Path, wrong: dict[str, Any]):
    made = recording(tmp_path, [text("created", "good", "good"), wrong], {"chunk_0": b"y"})
    with pytest.raises(EventRefused, match=rf"^Event 2 \({wrong['event_type']} "):
        replay(made, tmp_path / "target", AT_ONCE)
    assert files_of(tmp_path / "target") == {"good": b"good"}
    assert [one.number for one in verify(made)[1] if one.number] == [2]
    unchecked = Options(pace=BURST, verify=False, overwrite=True)
    assert replay(made, tmp_path / "target", unchecked).events == 2


def test_more_than_allowed_is_not_written(tmp_path: Path):
    hollow = event("created", "a", size=10_000, is_placeholder=True)
    with pytest.raises(EventRefused, match=r"^Event 3 .*--max-bytes"):
        play(tmp_path, hollow, hollow, hollow, options=Options(pace=BURST, max_bytes=25_000))


def test_verify_finds_everything_that_is_wrong_at_once(tmp_path: Path):
    made = recording(
        tmp_path,
        [
            text("created", "a", "x", 5),
            text("created", "b", "x", 1),
            event("patched", "a", 6),
            text("created", "c", "x", 7, content_hash=sha256("y")),
            event("created", "d", 8, binary_chunk_id="chunk_7", size=4),
            event("created", "e", 9, binary_chunk_id="chunk_0", size=4, content_hash=sha256("1")),
        ],
        {"chunk_0": b"1", "chunk_1": b"nobody's"},
        total_events=9,
        version="3.0",
    )
    events, problems = verify(made)
    assert events == 6
    found = [(one.number, one.reason) for one in problems]
    expected = [
        (None, "it says 3.0, and 2.0 is known"),
        (2, "before an earlier event"),
        (3, "event_type"),
        (4, "hash"),
        (5, "missing"),
        (6, "4"),
        (None, "it says 9 events, and there are 6"),
        (None, "no event refers to this chunk"),
    ]
    assert len(found) == len(expected), found
    for (number, reason), (wanted_number, wanted) in zip(found, expected, strict=True):
        assert number == wanted_number
        assert wanted in reason


def test_verify_tells_of_a_cut_document_what_came_before(tmp_path: Path):
    made = recording(tmp_path, [text("created", "a", "x"), float("nan")])
    events, problems = verify(made)
    assert events == 1
    assert any("recording.json" in one.reason for one in problems)


def test_a_folder_with_files_in_it_is_left_alone(tmp_path: Path):
    made = recording(tmp_path, [text("created", "a", "x")])
    with pytest.raises(ConfigurationError, match="--overwrite"):
        replay(made, tmp_path, AT_ONCE)
    assert not (tmp_path / "a").exists()
    replay(made, tmp_path, Options(pace=BURST, overwrite=True))
    assert (tmp_path / "a").read_text() == "x"


def test_a_link_in_the_target_is_not_followed(tmp_path: Path):
    outside, target = tmp_path / "outside", tmp_path / "target"
    outside.mkdir()
    target.mkdir()
    (target / "way").symlink_to(outside, target_is_directory=True)
    made = recording(tmp_path, [text("created", "way/out", "x")])
    with pytest.raises(EventRefused, match="outside"):
        replay(made, target, Options(pace=BURST, overwrite=True))
    assert files_of(outside) == {}


def test_times_are_kept_or_fresh(tmp_path: Path):
    old = text("created", "a", "x", operation_data={"mtime": 1.5e9, "atime": 1.5e9})
    play(tmp_path, old)
    assert (tmp_path / "target" / "a").stat().st_mtime == 1.5e9
    fresh = Options(pace=BURST, keep_times=False, overwrite=True)
    replay(tmp_path / "recording.tar.gz", tmp_path / "target", fresh)
    assert (tmp_path / "target" / "a").stat().st_mtime > 1.6e9


def test_waits_are_those_of_the_pace(tmp_path: Path):
    made = recording(tmp_path, [text("created", "abc"[n], "x", 100.0 * n) for n in range(3)])
    waited: list[float] = []
    replay(made, tmp_path / "target", Options(pace=EXACT), wait=waited.append)
    # Nobody really waited, so that each is counted from the start.
    assert [round(seconds) for seconds in waited] == [100, 200]


def test_a_plan_does_nothing_and_refuses_what_the_replay_would(tmp_path: Path):
    made = recording(tmp_path, [text("created", "a", "x"), text("created", "b", "x", 10)])
    planned = list(plan(made, Options()))
    assert [(one.number, one.due, one.event.src_path) for one in planned] == [
        (1, 0.0, "a"),
        (2, 0.1, "b"),
    ]
    assert set(files_of(tmp_path)) == {"recording.tar.gz"}
    with pytest.raises(EventRefused, match="climbs"):
        list(plan(recording(tmp_path, [text("created", "../a", "x")]), Options()))


def test_a_time_may_be_text(tmp_path: Path):
    made = recording(tmp_path, [text("created", "a", "x", timestamp="2023-11-14T22:13:20Z")])
    assert describe(made).first == START


@pytest.mark.parametrize("seed", range(5))
def test_files_in_any_order_end_the_same(tmp_path: Path, seed: int):
    events = [text("created", f"folder-{n % 4}/{n}", "x" * n, n) for n in range(40)]
    events += [text("modified", f"folder-{n % 4}/{n}", f"{n}", 50 + n) for n in range(40)]
    events += [event("moved", f"folder-0/{n}", 100, dest_path=f"{n}") for n in range(0, 40, 4)]
    play(tmp_path, *events, options=Options(pace=BURST, shuffle=seed))
    found = files_of(tmp_path / "target")
    assert sorted(map(int, found.values())) == list(range(40))
    assert {name for name in found if "/" not in name} == {f"{n}" for n in range(0, 40, 4)}
