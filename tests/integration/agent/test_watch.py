"""The watcher on real folders, with the watchdog's real threads and real EPU files."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from agent.epu.sink import MemorySink
from agent.epu.watch import Watcher
from core.path_map import PathMap
from models.cryoem.messages import EpuImageMessage, Message

from .rig import ATLAS, FAST, IMAGE, SQUARE, copy, copy_tree, kinds, running, until


async def test_once_reports_all_that_there_is_parents_first(source: Path, root: Path):
    copy_tree(source, root)
    sink = MemorySink()
    watcher = Watcher(root, sink, atlas=root / "atlas", **FAST)
    status = await watcher.run(once=True)
    assert kinds(sink.messages) == ["epu.session", "epu.atlas", "epu.square", "epu.image"]
    assert (status.seen, status.sent, status.waiting, status.failed) == (4, 4, 0, 0)
    assert list(status.sessions) == [root / "session"]


async def test_the_session_folder_itself_may_be_watched(source: Path, root: Path):
    copy_tree(source, root)
    sink = MemorySink()
    path_map = PathMap.parse([rf"Z:\nt32457-6={root}"])
    status = await Watcher(root / "session", sink, path_map=path_map, **FAST).run(once=True)
    assert (status.sent, status.failed) == (4, 0)


async def test_several_sessions_below_one_folder_keep_their_files_apart(shared: Path, root: Path):
    for name in ("dls-2024", "dls-2025", "empiar-2023"):
        copy_tree(shared / "epu" / name, root / name)
    path_map = PathMap.parse(
        [
            rf"Z:\nt32457-6={root}/dls-2024",
            rf"Z:\bi23047-106={root}/empiar-2023",
            rf"Z:\DoseFractions\cm40593-1={root}/dls-2025",
        ]
    )
    sink = MemorySink()
    status = await Watcher(root, sink, path_map=path_map, **FAST).run(once=True)
    assert len(status.sessions) == 3
    for message in sink.messages:
        grid = getattr(message, "grid_uuid", None)
        name = Path(str(getattr(message, "path", ""))).relative_to(root).parts[0]
        assert status.sessions[root / name / "session"] == grid
    # the atlas of dls-2025 was never published
    assert [Path(failure.path).name for failure in status.failures] == ["Atlas.dm"]
    assert status.failures[0].reason == "does not exist yet"
    assert status.seen == status.sent + status.failed


async def test_of_large_files_few_are_in_memory_at_once(plain: Path, root: Path):
    class Weighing(MemorySink):
        weights: ClassVar[list[int]] = []

        async def send(self, messages: Sequence[Message], **what: Any) -> None:
            self.weights.append(sum(file.signature.size for file in what.get("files", ())))
            await super().send(messages, **what)

    copy_tree(plain / "session", root)
    (root / IMAGE).unlink()
    large = (root / SQUARE).read_bytes().ljust(3_000_000)
    for number in range(5):
        (root / SQUARE).with_name(f"GridSquare_{number + 1}.dm").write_bytes(large)
    sink = Weighing()
    await Watcher(root, sink, **FAST).run(once=True)
    assert kinds(sink.messages).count("epu.square") == 6
    assert max(sink.weights) <= 8_000_000


async def test_files_written_while_it_runs_are_reported(source: Path, root: Path):
    sink = MemorySink()
    watcher = Watcher(root, sink, path_map=PathMap.parse([rf"Z:\nt32457-6={root}"]), **FAST)
    async with running(watcher):
        copy_tree(source / "session", root / "session")
        await until(lambda: watcher.status().sent == 3, "the session's files")
        assert [str(file.path) for file in watcher.status().waiting_files] == [str(root / ATLAS)]


async def test_files_that_lie_there_at_the_start_are_reported(plain: Path, root: Path):
    copy_tree(plain / "session", root / "session")
    sink = MemorySink()
    watcher = Watcher(root, sink, **FAST)
    async with running(watcher):
        await until(lambda: watcher.status().sent == 3, "the session's files")


async def test_an_atlas_outside_the_watched_folder_is_watched_too(source: Path, tmp_path: Path):
    session = copy_tree(source / "session", tmp_path / "session")
    atlas = tmp_path / ATLAS
    atlas.parent.mkdir(parents=True)
    path_map = PathMap.parse([rf"Z:\nt32457-6={tmp_path}"])
    sink = MemorySink()
    watcher = Watcher(session, sink, path_map=path_map, **FAST)
    async with running(watcher):
        await until(lambda: watcher.status().sent == 3, "the session's files")
        copy(source / ATLAS, atlas)
        await until(lambda: "epu.atlas" in kinds(sink.messages), "the atlas")
        copy(source / ATLAS, atlas).write_bytes(atlas.read_bytes() + b"\n")
        await until(lambda: kinds(sink.messages).count("epu.atlas") == 2, "the atlas again")


async def test_an_atlas_folder_that_is_made_later_is_found_by_scanning(
    source: Path, tmp_path: Path
):
    session = copy_tree(source / "session", tmp_path / "session")
    path_map = PathMap.parse([rf"Z:\nt32457-6={tmp_path}"])
    sink = MemorySink()
    settings = FAST | {"rescan_seconds": 0.3}
    watcher = Watcher(session, sink, path_map=path_map, **settings)
    async with running(watcher):
        await until(lambda: watcher.status().sent == 3, "the session's files")
        copy(source / ATLAS, tmp_path / ATLAS)
        await until(lambda: "epu.atlas" in kinds(sink.messages), "the atlas")


async def test_an_atlas_that_comes_later_into_the_given_folder_is_found(
    source: Path, tmp_path: Path
):
    session = copy_tree(source / "session", tmp_path / "session")
    folder = tmp_path / "atlases"
    folder.mkdir()
    sink = MemorySink()
    settings = FAST | {"rescan_seconds": 0.3}
    watcher = Watcher(session, sink, atlas=folder, **settings)
    async with running(watcher):
        await until(lambda: watcher.status().sent == 3, "the session's files")
        copy(source / ATLAS, folder / "Sample4/Atlas/Atlas.dm")
        await until(lambda: "epu.atlas" in kinds(sink.messages), "the atlas")
        assert watcher.status().waiting == 0


async def test_a_burst_of_500_files_is_reported_completely(shared: Path, plain: Path, root: Path):
    template = next((shared / "epu/afis-2020").glob("*.xml")).read_bytes()
    session = root / "session"
    copy(plain / "session/EpuSession.dm", session / "EpuSession.dm")
    sink = MemorySink()
    watcher = Watcher(root, sink, **FAST)
    async with running(watcher):
        await until(lambda: watcher.status().sent == 1, "the session")
        data = session / "Images-Disc1/GridSquare_1/Data"
        await asyncio.to_thread(data.mkdir, parents=True)
        names = [f"FoilHole_{n}_Data_5_6_20240101_000000.xml" for n in range(500)]
        await asyncio.to_thread(lambda: [(data / name).write_bytes(template) for name in names])
        await until(lambda: watcher.status().sent == 501, "the burst")
    images = [one for one in sink.messages if isinstance(one, EpuImageMessage)]
    assert sorted(one.name.hole_id or 0 for one in images) == list(range(500))
    assert len({one.message_id for one in images}) == 500


async def test_files_that_come_between_the_first_scan_and_the_news_are_not_missed(
    shared: Path, plain: Path, root: Path
):
    # A writer that never pauses, over the whole time of the start.
    template = next((shared / "epu/afis-2020").glob("*.xml")).read_bytes()
    data = root / "session/Images-Disc1/GridSquare_1/Data"
    data.mkdir(parents=True)
    copy(plain / "session/EpuSession.dm", root / "session/EpuSession.dm")
    sink = MemorySink()
    watcher = Watcher(root, sink, **FAST)
    stop_writing = asyncio.Event()

    def write(number: int) -> None:
        (data / f"FoilHole_{number}_Data_5_6_20240101_000000.xml").write_bytes(template)

    async def keep_writing() -> int:
        number = 0
        while not stop_writing.is_set():
            await asyncio.to_thread(write, number)
            number += 1
        return number

    writing = asyncio.create_task(keep_writing())
    async with running(watcher):
        await until(lambda: watcher.status().sent > 30, "the first files")
        stop_writing.set()
        written = await writing
        await until(lambda: watcher.status().sent == written + 1, "every file")


async def test_a_half_written_file_is_reported_once_when_it_is_whole(plain: Path, root: Path):
    whole = (plain / "session" / SQUARE).read_bytes()
    copy(plain / "session/EpuSession.dm", root / "EpuSession.dm")
    sink = MemorySink()
    settings = FAST | {"give_up_seconds": 60.0}
    watcher = Watcher(root, sink, **settings)
    target = root / SQUARE
    target.parent.mkdir()
    async with running(watcher):
        with target.open("wb", buffering=0) as file:
            file.write(whole[:1_000_000])
            await until(
                lambda: any("too early" in one.reason for one in watcher.status().waiting_files),
                "the reason in the status",
            )
            assert "epu.square" not in kinds(sink.messages)
            file.write(whole[1_000_000:])
        await until(lambda: "epu.square" in kinds(sink.messages), "the square")
        square = sink.messages[kinds(sink.messages).index("epu.square")]
        assert len(square.manifest.holes) == 570  # pyright: ignore[reportAttributeAccessIssue]
    assert kinds(sink.messages).count("epu.square") == 1
    assert "epu.failure" not in kinds(sink.messages)


async def test_a_file_renamed_into_place_is_reported(plain: Path, root: Path):
    copy(plain / "session/EpuSession.dm", root / "EpuSession.dm")
    (root / "Metadata").mkdir()
    sink = MemorySink()
    watcher = Watcher(root, sink, **FAST)
    async with running(watcher):
        await until(lambda: watcher.status().sent == 1, "the session")
        partial = copy(plain / "session" / SQUARE, root / (SQUARE + ".part"))
        partial.replace(root / SQUARE)
        await until(lambda: "epu.square" in kinds(sink.messages), "the square")
        assert watcher.status().seen == 2


async def test_a_folder_moved_into_place_is_reported(plain: Path, tmp_path: Path, root: Path):
    staged = copy_tree(plain / "session", tmp_path / "staged")
    sink = MemorySink()
    watcher = Watcher(root, sink, **FAST)
    async with running(watcher):
        staged.replace(root / "session")
        await until(lambda: watcher.status().sent == 3, "the session's files")


async def test_a_rewritten_file_is_a_new_message_and_a_touched_one_is_not(plain: Path, root: Path):
    session = copy_tree(plain / "session", root / "session")
    sink = MemorySink()
    watcher = Watcher(root, sink, **FAST)
    square, image = session / SQUARE, session / IMAGE
    async with running(watcher):
        await until(lambda: watcher.status().sent == 3, "the session's files")
        os.utime(image)
        square.write_bytes(square.read_bytes().replace(b"InProgress", b"Completed"))
        await until(lambda: kinds(sink.messages).count("epu.square") == 2, "the rewritten square")
        await until(lambda: watcher.status().waiting == 0, "quiet")
    assert kinds(sink.messages).count("epu.image") == 1
    squares = [one for one in sink.messages if one.event_type == "epu.square"]  # pyright: ignore[reportAttributeAccessIssue]
    assert squares[0].message_id != squares[1].message_id
    assert [one.manifest.state for one in squares] == ["InProgress", "Completed"]  # pyright: ignore[reportAttributeAccessIssue]


async def test_a_session_manifest_that_is_only_touched_is_not_sent_again(plain: Path, root: Path):
    session = copy_tree(plain / "session", root)
    sink = MemorySink()
    watcher = Watcher(root, sink, **FAST)
    async with running(watcher):
        await until(lambda: watcher.status().sent == 3, "the session's files")
        os.utime(session / "EpuSession.dm")
        (session / IMAGE).write_bytes((session / IMAGE).read_bytes() + b"\n")
        await until(lambda: len(sink.messages) == 4, "the image again")
        await until(lambda: watcher.status().waiting == 0, "quiet")
    assert kinds(sink.messages).count("epu.session") == 1


async def test_a_restarted_agent_repeats_its_ids(source: Path, root: Path):
    copy_tree(source, root)
    sinks = [MemorySink(), MemorySink()]
    for sink in sinks:
        await Watcher(root, sink, atlas=root / "atlas", **FAST).run(once=True)
    first, second = ([one.message_id for one in sink.messages] for sink in sinks)
    assert first == second
    assert len(set(first)) == 4


async def test_children_wait_for_their_session(plain: Path, root: Path):
    sink = MemorySink()
    watcher = Watcher(root, sink, **FAST)
    async with running(watcher):
        copy(plain / "session" / SQUARE, root / SQUARE)
        await until(
            lambda: (
                [one.reason for one in watcher.status().waiting_files]
                == ["no EpuSession.dm has been read in its folder or above"]
            ),
            "the square to wait visibly",
        )
        assert sink.messages == []
        copy(plain / "session/EpuSession.dm", root / "EpuSession.dm")
        await until(lambda: watcher.status().sent == 2, "both")
    assert kinds(sink.messages) == ["epu.session", "epu.square"]


async def test_another_session_in_the_same_folder_gets_the_files_anew(plain: Path, root: Path):
    session = copy_tree(plain / "session", root)
    manifest = session / "EpuSession.dm"
    sink = MemorySink()
    watcher = Watcher(root, sink, **FAST)
    async with running(watcher):
        await until(lambda: watcher.status().sent == 3, "the first session")
        before = watcher.status().sessions[session]
        manifest.write_bytes(manifest.read_bytes().replace(b"SmartEPU_ApoF", b"another"))
        await until(lambda: len(sink.messages) == 6, "all of it under the new grid")
        after = watcher.status().sessions[session]
    assert before != after
    assert [one.grid_uuid for one in sink.messages[3:]] == [after] * 3  # pyright: ignore[reportAttributeAccessIssue]


async def test_what_the_file_system_does_not_tell_the_next_scan_finds(
    plain: Path, tmp_path: Path, root: Path
):
    # Nobody tells of a rewrite behind a symbolic link, as on many network drives.
    session = copy_tree(plain / "session", root)
    behind = copy(session / SQUARE, tmp_path / "behind.dm")
    (session / SQUARE).unlink()
    (session / SQUARE).symlink_to(behind)
    sink = MemorySink()
    settings = FAST | {"rescan_seconds": 0.3}
    watcher = Watcher(root, sink, **settings)
    async with running(watcher):
        await until(lambda: watcher.status().sent == 3, "the session's files")
        behind.write_bytes(behind.read_bytes().replace(b"InProgress", b"Completed"))
        await until(lambda: kinds(sink.messages).count("epu.square") == 2, "the rewrite")
