"""The watcher when files, folders or the receiver are not as they should be."""

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agent.epu.sink import HttpSink, MemorySink
from agent.epu.watch import Watcher
from core.errors import AthanorError, ConfigurationError
from models.cryoem.messages import EpuFailureMessage, Message

from .receiver import receiving
from .rig import FAST, IMAGE, SQUARE, copy, copy_tree, kinds, running, until


async def test_an_atlas_that_no_path_map_finds_is_one_failure_however_often_epu_saves(
    shared: Path, root: Path
):
    manifest = copy(shared / "epu/dls-2024/session/EpuSession.dm", root / "EpuSession.dm")
    sink = MemorySink()
    watcher = Watcher(root, sink, **FAST)
    async with running(watcher):
        for times in (1, 2, 3):
            manifest.write_bytes(manifest.read_bytes() + b"\n")
            await until(
                lambda times=times: kinds(sink.messages).count("epu.session") == times, "a session"
            )
        await until(lambda: watcher.status().waiting == 0, "quiet")
    assert kinds(sink.messages).count("epu.failure") == 1
    assert "--path-map" in watcher.status().failures[0].reason


async def test_a_session_manifest_that_stays_broken_fails_and_its_files_wait(
    plain: Path, root: Path
):
    session = copy_tree(plain / "session", root)
    manifest = session / "EpuSession.dm"
    whole = manifest.read_bytes()
    manifest.write_bytes(whole[:1_000])
    sink = MemorySink()
    watcher = Watcher(root, sink, **FAST)
    async with running(watcher):
        await until(lambda: watcher.status().failed == 1, "the failure")
        assert watcher.status().waiting == 2
        manifest.write_bytes(whole)
        await until(lambda: watcher.status().sent == 3, "all of it")
    assert kinds(sink.messages) == ["epu.failure", "epu.session", "epu.square", "epu.image"]


async def test_a_failure_that_is_refused_too_stays_visible(plain: Path, root: Path):
    copy_tree(plain / "session", root)
    sink = MemorySink(refuse=lambda one: "no")
    status = await Watcher(root, sink, **FAST).run(once=True)
    assert sink.messages == []
    assert (status.seen, status.failed, status.waiting) == (3, 3, 0)


async def test_a_file_that_stays_broken_is_a_recorded_failure_until_it_is_rewritten(
    plain: Path, root: Path
):
    session = copy_tree(plain / "session", root / "session")
    whole = (session / IMAGE).read_bytes()
    (session / IMAGE).write_bytes(whole[:-20])
    sink = MemorySink()
    watcher = Watcher(root, sink, **FAST)
    async with running(watcher):
        await until(lambda: watcher.status().failed == 1, "the failure")
        [failure] = [one for one in sink.messages if isinstance(one, EpuFailureMessage)]
        assert failure.path == str(session / IMAGE)
        assert "ends too early" in failure.reason
        assert failure.grid_uuid == watcher.status().sessions[session]
        assert [one.path for one in watcher.status().failures] == [str(session / IMAGE)]
        (session / IMAGE).write_bytes(whole)
        await until(lambda: watcher.status().sent == 3, "the recovery")
        assert watcher.status().failed == 0
    assert "epu.image" in kinds(sink.messages)


@pytest.mark.parametrize("content", [b"", b"hello", b"<html/>", b"\0" * 2_000])
async def test_what_never_was_a_manifest_fails_visibly(plain: Path, root: Path, content: bytes):
    copy(plain / "session/EpuSession.dm", root / "EpuSession.dm")
    (root / "GridSquare_20240101_000000.xml").write_bytes(content)
    sink = MemorySink()
    status = await Watcher(root, sink, **FAST).run(once=True)
    assert [Path(failure.path).name for failure in status.failures] == [
        "GridSquare_20240101_000000.xml"
    ]
    assert kinds(sink.messages) == ["epu.session", "epu.failure"]


async def test_once_children_without_session_are_failures(plain: Path, root: Path):
    copy(plain / "session" / SQUARE, root / SQUARE)
    sink = MemorySink()
    status = await Watcher(root, sink, **FAST).run(once=True)
    assert (status.seen, status.failed, status.waiting) == (1, 1, 0)
    assert "no EpuSession.dm" in status.failures[0].reason
    assert kinds(sink.messages) == ["epu.failure"]


async def test_a_refused_message_is_a_failure_of_its_file_alone(plain: Path, root: Path):
    copy_tree(plain / "session", root)
    sink = MemorySink(
        refuse=lambda one: "manifest: too odd" if one.event_type == "epu.square" else None  # pyright: ignore[reportAttributeAccessIssue]
    )
    status = await Watcher(root, sink, **FAST).run(once=True)
    assert [Path(failure.path).name for failure in status.failures] == ["GridSquare_4590776.dm"]
    assert "too odd" in status.failures[0].reason
    assert kinds(sink.messages) == ["epu.session", "epu.image", "epu.failure"]


class FlakySink(MemorySink):
    """Takes nothing until it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.up = False
        self.tries = 0

    async def send(self, messages: Sequence[Message], **remember: Any) -> None:
        self.tries += 1
        if not self.up:
            raise AthanorError("the sink is down")
        await super().send(messages, **remember)


async def test_files_wait_for_a_sink_that_is_away(plain: Path, root: Path):
    copy_tree(plain / "session", root)
    sink = FlakySink()
    watcher = Watcher(root, sink, **FAST)
    async with running(watcher):
        await until(lambda: sink.tries >= 2, "a second try")
        assert (watcher.status().waiting, watcher.status().sent) == (3, 0)
        sink.up = True
        await until(lambda: watcher.status().sent == 3, "the session's files")
    assert kinds(sink.messages) == ["epu.session", "epu.square", "epu.image"]


async def test_once_with_a_sink_that_is_away_says_so(plain: Path, root: Path):
    copy_tree(plain / "session", root)
    with pytest.raises(AthanorError, match="the sink is down"):
        await Watcher(root, FlakySink(), **FAST).run(once=True)


async def test_a_folder_that_does_not_exist_is_a_sentence(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="cannot be read"):
        await Watcher(tmp_path / "absent", MemorySink(), **FAST).run()


async def test_a_folder_that_goes_away_and_comes_back_is_watched_on(plain: Path, root: Path):
    sink = MemorySink()
    settings = FAST | {"rescan_seconds": 0.2}
    watcher = Watcher(root, sink, **settings)
    async with running(watcher):
        shutil.rmtree(root)
        copy_tree(plain / "session", root)
        await until(lambda: watcher.status().sent == 3, "the session's files")


async def test_cancelling_ends_it_cleanly(plain: Path, root: Path):
    copy_tree(plain / "session", root)
    watcher = Watcher(root, MemorySink(), **FAST)
    task = asyncio.create_task(watcher.run())
    await until(lambda: watcher.status().seen > 0, "the start")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_files_reach_an_api_that_comes_up_later(plain: Path, root: Path):
    copy_tree(plain / "session", root)
    with receiving() as receiver:
        receiver.answer = lambda messages: (503, {})
        async with HttpSink(receiver.url, longest_pause=0.1) as sink:
            watcher = Watcher(root, sink, **FAST)
            async with running(watcher):
                await until(lambda: receiver.requests, "a first try")
                assert watcher.status().sent == 0
                receiver.answer = lambda messages: None
                await until(lambda: watcher.status().sent == 3, "the session's files")
    assert [one["event_type"] for one in receiver.stored] == [
        "epu.session",
        "epu.square",
        "epu.image",
    ]


async def test_an_api_that_is_away_does_not_hold_up_the_end(plain: Path, root: Path):
    copy_tree(plain / "session", root)
    with receiving() as receiver:
        receiver.answer = lambda messages: (503, {})
        async with HttpSink(receiver.url) as sink, running(Watcher(root, sink, **FAST)):
            await until(lambda: receiver.requests, "a first try")
