"""What an agent makes of a stream that brings all kinds of things, and of an API that refuses."""

import json
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.beside import beside
from agent.instructions.channel import Channel
from agent.instructions.driver import DryRunDriver
from agent.instructions.follower import Follower
from agent.instructions.information import Adjustable, Information, Ways
from agent.instructions.journal import Journal
from agent.instructions.logs import LogLines
from agent.instructions.performer import Performer
from core.errors import StorageUnavailable
from tests.support import wait_until

ONE = {
    "instruction_id": "i-1",
    "agent_id": "a",
    "session_id": "s",
    "instruction_type": "microscope.control.skip_gridsquares",
    "payload": {"gridsquare_ids": ["7"]},
    "sequence_number": 4,
}


class Api:
    """Answers requests from memory."""

    def __init__(self, *events: str) -> None:
        self.body = "".join(events)
        self.seen: list[str | None] = []
        self.said: list[tuple[str, str]] = []
        self.refuse: dict[str, int] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        what = request.url.path.rpartition("/")[2]
        if what == "stream":
            self.seen.append(request.headers.get("last-event-id"))
            return httpx.Response(
                200, text=self.body, headers={"content-type": "text/event-stream"}
            )
        if what == "ack":
            status = json.loads(request.content)["status"]
            if answer := self.refuse.get(status):
                return httpx.Response(answer)
            self.said.append((request.url.path.split("/")[-2], status))
        return httpx.Response(200, json={})


def event(kind: str, data: Any, ident: object = "") -> str:
    body = data if isinstance(data, str) else json.dumps(data)
    return f"id: {ident}\nevent: {kind}\ndata: {body}\n\n"


def follower(api: Api, journal: Journal) -> Follower:
    channel = Channel(
        "http://api", "a", client=httpx.AsyncClient(transport=httpx.MockTransport(api))
    )
    ways = Ways(Adjustable(heartbeat_seconds=3600))

    async def nothing() -> dict[str, Any]:
        return {}

    performer = Performer(DryRunDriver(), Information(nothing, ways), limit_seconds=5)
    return Follower(channel, "s", journal, performer, ways, longest_pause=0.05)


async def test_only_whole_instructions_for_this_agent_and_session_are_acted_on_and_once(
    tmp_path: Path,
) -> None:
    api = Api(
        event("connection", {"type": "connection"}),
        event("instruction", "not json"),
        event("instruction", [1, 2]),
        event("instruction", {**ONE, "instruction_id": ""}),
        event("instruction", {**ONE, "instruction_id": "i-2", "agent_id": "another"}),
        event("instruction", {**ONE, "instruction_id": "i-3", "session_id": "another"}),
        event("news", {"something": "newer"}),
        event("instruction", ONE, 4),
        event("instruction", ONE, 4),
    )
    with Journal.open(tmp_path / "journal.db") as journal:
        one = follower(api, journal)

        async def again() -> bool:
            return len(api.seen) > 2 and ("i-1", "processed") in api.said

        async with beside(one.run()):
            await wait_until(again)
        assert [note.instruction.instruction_id for note in journal.latest(9)] == ["i-1"]
        assert journal.count() == {"processed": 1}
        assert journal.latest(1)[0].tries == 1

    assert api.said[:2] == [("i-1", "received"), ("i-1", "processed")]
    # Asked again, it says the same again: it may not have been heard.
    assert set(api.said) == {("i-1", "received"), ("i-1", "processed")}
    assert api.seen[:2] == [None, "4"], "it tells where it was"


async def test_nothing_is_done_about_what_the_api_will_not_hear_received(tmp_path: Path) -> None:
    api = Api(event("instruction", ONE, 4))
    api.refuse = {"received": 409}
    with Journal.open(tmp_path / "journal.db") as journal:
        one = follower(api, journal)

        async def noted() -> bool:
            return any(note.refused for note in journal.latest(9))

        async with beside(one.run()):
            await wait_until(noted)
        assert journal.latest(1)[0].tries == 0

    assert api.said == []


def test_a_damaged_journal_is_put_aside_for_a_new_one(tmp_path: Path) -> None:
    file = tmp_path / "journal.db"
    file.write_bytes(b"no database" * 100)
    with Journal.open(file) as journal:
        assert journal.count() == {}
    assert [path.name.split("-")[0] for path in tmp_path.glob("*.damaged*")] == [
        "journal.db.damaged"
    ]
    with pytest.raises(StorageUnavailable):
        Journal.peek(tmp_path / "nowhere.db")


def test_of_too_many_log_lines_the_latest_are_kept_and_the_others_counted() -> None:
    lines = LogLines(Ways(Adjustable(log_level="INFO")))
    for number in range(5_010):
        record = logging.LogRecord("agent.x", logging.INFO, "", 0, "line %d", (number,), None)
        lines.emit(record)
    lines.emit(logging.LogRecord("httpx", logging.ERROR, "", 0, "sent", (), None))
    lines.emit(logging.LogRecord("agent.x", logging.DEBUG, "", 0, "detail", (), None))

    first = lines.take()
    lines.put_back(first)

    assert lines.dropped == 10
    assert (len(first), first[0]["message"]) == (500, "line 10")
    assert [one["message"] for one in lines.take()] == [one["message"] for one in first]
