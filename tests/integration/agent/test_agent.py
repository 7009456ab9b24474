"""Watcher, spool and sender together, with an API that is away, refuses, and comes back."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.epu.agent import Agent
from agent.epu.api import Api
from agent.epu.endings import Endings
from agent.epu.outgoing import Depth
from agent.epu.sender import Sender, SpoolSink
from agent.epu.spool import Spool
from agent.epu.state import StateFolder
from agent.epu.watch import Watcher
from core.errors import ConfigurationError, StorageUnavailable
from tests.support import wait_until

from .receiver import Receiver, receiving
from .rig import FAST, IMAGE, SQUARE, copy, copy_tree, running, until

PLENTY = 10**9


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    return StateFolder(tmp_path / "state")


@asynccontextmanager
async def agent_on(
    root: Path,
    state: StateFolder,
    url: str,
    *,
    max_bytes: int = PLENTY,
    endings: Endings | None = None,
    kind: type[Spool] = Spool,
    **settings: Any,
) -> AsyncIterator[Agent]:
    api = Api(url)
    with kind.open(state.spool_path, max_bytes=max_bytes) as spool:
        spool.serve(url)
        sender = Sender(spool, api, longest_pause=0.1)
        watcher = Watcher(root, SpoolSink(spool, sender), endings=endings, **{**FAST, **settings})
        try:
            yield Agent(root, watcher, sender, spool, state, facts={"api": url})
        finally:
            await api.aclose()


def kinds(receiver: Receiver) -> list[str]:
    return [one["event_type"] for one in receiver.stored]


async def test_what_was_read_while_the_api_is_away_arrives_when_it_is_back(
    plain: Path, root: Path, state: StateFolder, receiver: Receiver
):
    receiver.answer = lambda messages: (503, {})
    copy_tree(plain / "session", root)
    async with agent_on(root, state, receiver.url) as agent, running(agent):

        async def is_kept() -> bool:
            return (await agent.report()).depth.messages == 3

        await wait_until(is_kept, what="the files in the spool")
        assert (await agent.report()).watched.sent == 3
        assert receiver.stored == []
        receiver.answer = lambda messages: None
        await until(lambda: len(receiver.stored) == 3, "the files at the API")
    assert kinds(receiver) == ["epu.session", "epu.square", "epu.image"]
    assert "answered 503" not in str(state.read_status())


async def test_an_agent_that_was_killed_sends_first_what_it_had_and_under_the_same_key(
    plain: Path, root: Path, state: StateFolder, receiver: Receiver
):
    receiver.answer = lambda messages: (503, {})
    copy_tree(plain / "session", root)
    async with agent_on(root, state, receiver.url) as agent:
        task = asyncio.create_task(agent.run())

        async def is_kept() -> bool:
            return (await agent.report()).depth.messages == 3 and len(receiver.keys) > 1

        await wait_until(is_kept, what="the files in the spool")
        # As with kill -9, nothing is said or done any more.
        task.cancel()
        await asyncio.wait({task})
    for path in root.rglob("*.*"):
        path.unlink()
    tried = receiver.keys[-1]
    receiver.answer = lambda messages: None
    receiver.keys.clear()
    async with agent_on(root, state, receiver.url) as agent, running(agent):
        await until(lambda: len(receiver.stored) == 3, "what the first agent had read")
    assert receiver.keys[0] == tried


async def test_a_restart_reports_nothing_anew_and_notices_what_changed_meanwhile(
    plain: Path, root: Path, state: StateFolder, receiver: Receiver
):
    copy_tree(plain / "session", root)
    async with agent_on(root, state, receiver.url) as agent, running(agent):
        await until(lambda: len(receiver.stored) == 3, "the files")
    square = root / SQUARE
    square.write_bytes(square.read_bytes().replace(b"InProgress", b"Completed"))
    os.utime(root / IMAGE)
    async with agent_on(root, state, receiver.url) as agent, running(agent):
        await until(lambda: len(receiver.stored) == 4, "the rewritten square")

        async def is_quiet() -> bool:
            watched = (await agent.report()).watched
            return (watched.seen, watched.sent, watched.waiting) == (3, 3, 0)

        await wait_until(is_quiet, what="all files to be known")
    assert kinds(receiver) == ["epu.session", "epu.square", "epu.image", "epu.square"]


async def test_an_agent_without_its_state_repeats_the_ids(
    source: Path, root: Path, tmp_path: Path, receiver: Receiver
):
    copy_tree(source, root)
    for name in ("first", "second"):
        async with agent_on(
            root, StateFolder(tmp_path / name), receiver.url, atlas=root / "atlas"
        ) as agent:
            report = await agent.run(once=True)
        assert (report.watched.sent, report.depth.messages, report.trouble) == (4, 0, None)
    ids = [one["message_id"] for one in receiver.stored]
    assert len(ids) == 8
    assert ids[:4] == ids[4:]


async def test_a_restart_does_not_send_the_atlas_again(
    source: Path, root: Path, state: StateFolder, receiver: Receiver
):
    copy_tree(source, root)
    for _ in range(2):
        async with agent_on(root, state, receiver.url, atlas=root / "atlas") as agent:
            await agent.run(once=True)
    assert kinds(receiver).count("epu.atlas") == 1


async def test_what_the_api_refuses_is_kept_told_and_sent_again_on_demand(
    plain: Path, root: Path, state: StateFolder, receiver: Receiver
):
    def refuse_squares(messages: list[dict[str, Any]]) -> tuple[int, Any] | None:
        errors = [
            {"index": index, "field": "manifest", "reason": "too odd"}
            for index, one in enumerate(messages)
            if one["event_type"] == "epu.square"
        ]
        return (422, {"errors": errors}) if errors else None

    receiver.answer = refuse_squares
    copy_tree(plain / "session", root)
    async with agent_on(root, state, receiver.url) as agent, running(agent):
        await until(lambda: len(receiver.stored) == 3, "all but the square")
        report = await agent.report()
        assert [Path(one.path).name for one in report.refused] == ["GridSquare_4590776.dm"]
        assert "too odd" in report.refused[0].reason
        assert sorted(kinds(receiver)) == ["epu.failure", "epu.image", "epu.session"]
        receiver.answer = lambda messages: None
        with Spool.open(state.spool_path, max_bytes=PLENTY) as other:
            assert other.retry() == 1
        await until(lambda: "epu.square" in kinds(receiver), "the square")
        assert (await agent.report()).refused == ()


async def test_a_culprit_that_nobody_names_is_found_by_halving(
    plain: Path, root: Path, state: StateFolder, receiver: Receiver
):
    receiver.answer = lambda messages: (
        (400, "no") if any(one["event_type"] == "epu.image" for one in messages) else None
    )
    copy_tree(plain / "session", root)
    async with agent_on(root, state, receiver.url) as agent:
        report = await agent.run(once=True)
    assert [one.kind for one in report.refused] == ["epu.image"]
    assert sorted(kinds(receiver)) == ["epu.failure", "epu.session", "epu.square"]
    assert len(set(receiver.keys)) == len(receiver.keys)


async def test_a_wrong_address_loses_nothing_and_is_said(
    plain: Path, root: Path, state: StateFolder, receiver: Receiver
):
    copy_tree(plain / "session", root)
    async with agent_on(root, state, f"{receiver.url}/elsewhere") as agent, running(agent):

        async def says_so() -> bool:
            report = await agent.report()
            return report.depth.messages == 3 and "API_URL" in (report.trouble or "")

        await wait_until(says_so, what="the trouble in the status")


async def test_reading_pauses_visibly_while_the_spool_is_full_and_goes_on(
    plain: Path,
    root: Path,
    state: StateFolder,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("agent.epu.sender._ROOM_SECONDS", 0.2)
    receiver.answer = lambda messages: (503, {})
    copy_tree(plain / "session", root)
    async with agent_on(root, state, receiver.url, max_bytes=1_000) as agent, running(agent):

        async def is_paused() -> bool:
            return "SPOOL_MAX_BYTES" in ((await agent.report()).watched.paused or "")

        await wait_until(is_paused, what="the pause in the status")
        assert (await agent.report()).watched.waiting == 2
        receiver.answer = lambda messages: None
        await until(lambda: len(receiver.stored) == 3, "the files")

        async def goes_on() -> bool:
            return (await agent.report()).watched.paused is None

        await wait_until(goes_on, what="reading to go on")


async def test_once_leaves_what_it_cannot_send_to_the_next_agent(
    plain: Path, root: Path, state: StateFolder, receiver: Receiver
):
    receiver.answer = lambda messages: (503, {})
    copy_tree(plain / "session", root)
    async with agent_on(root, state, receiver.url) as agent:
        report = await agent.run(once=True)
    assert (report.watched.sent, report.depth.messages) == (3, 3)
    assert "503" in (report.trouble or "")
    receiver.answer = lambda messages: None
    async with agent_on(root, state, receiver.url) as agent:
        report = await agent.run(once=True)
    assert (report.depth.messages, len(receiver.stored)) == (0, 3)


async def test_the_end_of_a_session_is_said_once_after_its_files_and_over_restarts(
    plain: Path, root: Path, state: StateFolder, receiver: Receiver
):
    copy_tree(plain / "session", root)
    settings: dict[str, Any] = {"rescan_seconds": 0.1}

    def endings() -> Endings:
        return Endings(idle_seconds=3600, marker="finished.txt")

    settings["endings"] = endings()
    async with agent_on(root, state, receiver.url, **settings) as agent, running(agent):
        await until(lambda: len(receiver.stored) == 3, "the files")
        (root / "finished.txt").write_text("")
        await until(lambda: len(receiver.stored) == 4, "the end")
    settings["endings"] = endings()
    async with agent_on(root, state, receiver.url, **settings) as agent, running(agent):
        copy(plain / "session" / IMAGE, root / IMAGE.replace("102420", "102421"))
        await until(lambda: len(receiver.stored) == 5, "one more file")
        os.utime(root / "finished.txt", (time.time() + 9, time.time() + 9))
        await until(lambda: len(receiver.stored) == 6, "the second end")
    assert kinds(receiver)[3:] == ["session.ended", "epu.image", "session.ended"]
    ends = [one for one in receiver.stored if one["event_type"] == "session.ended"]
    assert ends[0]["message_id"] != ends[1]["message_id"]
    assert ends[0]["reason"] == "finished.txt was written"


async def test_polling_finds_what_no_news_tell_of(
    plain: Path, root: Path, state: StateFolder, receiver: Receiver
):
    settings: dict[str, Any] = {"polling": True, "rescan_seconds": 0.2}
    async with agent_on(root, state, receiver.url, **settings) as agent, running(agent):
        copy_tree(plain / "session", root)
        await until(lambda: len(receiver.stored) == 3, "the files")
        square = root / SQUARE
        square.write_bytes(square.read_bytes().replace(b"InProgress", b"Completed"))
        await until(lambda: len(receiver.stored) == 4, "the rewritten square")


async def test_the_status_goes_on_after_the_spool_could_not_be_looked_at(
    plain: Path, root: Path, state: StateFolder, receiver: Receiver
):
    class Troubled(Spool):
        looks = 0
        is_away = False

        def depth(self) -> Depth:
            Troubled.looks += Troubled.is_away
            if Troubled.is_away:
                raise StorageUnavailable("The spool's disk does not answer.")
            return super().depth()

    def reported() -> int:
        return (state.read_status() or {"files": {"reported": 0}})["files"]["reported"]

    async with agent_on(root, state, receiver.url, kind=Troubled) as agent, running(agent):
        await until(state.read_status, "a status")
        Troubled.is_away = True
        await until(lambda: Troubled.looks, "a look at the spool")
        Troubled.is_away = False
        copy_tree(plain / "session", root)
        await until(lambda: reported() == 3, "the files in the status")


async def test_the_status_is_written_while_it_runs_and_when_it_ends(
    plain: Path, root: Path, state: StateFolder, receiver: Receiver
):
    copy(plain / "session" / SQUARE, root / SQUARE)
    async with agent_on(root, state, receiver.url) as agent:
        async with running(agent):

            def waits() -> bool:
                found = state.read_status() or {}
                return any(
                    "EpuSession.dm" in one["reason"] for one in found.get("waiting_files", [])
                )

            await until(waits, "the orphan in the status")
            assert state.is_in_use()
        assert not state.is_in_use()
    found = state.read_status()
    assert found is not None
    assert found["ended"] is True
    assert found["files"]["waiting"] == 1


async def test_a_folder_that_cannot_be_watched_is_a_sentence(
    tmp_path: Path, state: StateFolder, receiver: Receiver
):
    async with agent_on(tmp_path / "absent", state, receiver.url) as agent:
        with pytest.raises(ConfigurationError, match="cannot be read"):
            await agent.run()
