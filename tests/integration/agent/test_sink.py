"""One behaviour of sinks, held by the one in memory and the one over HTTP; then HTTP's own."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from agent.epu.sink import MAX_BYTES, HttpSink, MemorySink, SendRejected, Sink
from core.errors import ConfigurationError
from models.cryoem.messages import EpuFailureMessage, Message, parse
from tests.support import PATIENCE, wait_until

from .receiver import Receiver, receiving

AT = datetime(2024, 1, 1, tzinfo=UTC)


def message(name: str, reason: str = "why") -> EpuFailureMessage:
    return EpuFailureMessage(message_id=name, path=name, reason=reason, observed_at=AT)


def many(count: int) -> list[Message]:
    return [message(str(number)) for number in range(count)]


@dataclass
class Rig:
    sink: Sink
    stored: Callable[[], list[str]]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.fixture
async def http(receiver: Receiver) -> AsyncIterator[HttpSink]:
    async with HttpSink(receiver.url, longest_pause=0.1) as sink:
        yield sink


def refuse_bad(messages: list[dict[str, Any]]) -> tuple[int, Any] | None:
    errors = [
        {"index": index, "field": "path", "reason": "is bad"}
        for index, one in enumerate(messages)
        if one["path"].startswith("bad")
    ]
    return (422, {"title": "Unprocessable", "errors": errors}) if errors else None


@pytest.fixture(params=["memory", "http"])
async def rig(request: pytest.FixtureRequest, receiver: Receiver) -> AsyncIterator[Rig]:
    if request.param == "memory":
        memory = MemorySink(
            refuse=lambda one: (
                "path: is bad" if str(getattr(one, "path", "")).startswith("bad") else None
            )
        )
        yield Rig(memory, lambda: [str(one.message_id) for one in memory.messages])
        return
    receiver.answer = refuse_bad
    async with HttpSink(receiver.url) as sink:
        yield Rig(sink, lambda: [one["message_id"] for one in receiver.stored])


async def test_messages_are_stored_in_order(rig: Rig):
    await rig.sink.send(many(1_234))
    assert rig.stored() == [str(number) for number in range(1_234)]


async def test_nothing_to_send_is_nothing_to_do(rig: Rig):
    await rig.sink.send([])
    assert rig.stored() == []


async def test_bad_messages_are_named_and_their_neighbours_stored(rig: Rig):
    messages = [message(name) for name in ("a", "bad1", "b", "bad2", "c")]
    with pytest.raises(SendRejected) as raised:
        await rig.sink.send(messages)
    assert raised.value.refused == {1: "path: is bad", 3: "path: is bad"}
    assert rig.stored() == ["a", "b", "c"]


async def test_bad_messages_in_several_batches_are_all_named(rig: Rig):
    messages = many(1_200)
    messages[0], messages[1_100] = message("bad1"), message("bad2")
    with pytest.raises(SendRejected) as raised:
        await rig.sink.send(messages)
    assert list(raised.value.refused) == [0, 1_100]
    assert len(rig.stored()) == 1_198


async def test_what_arrives_is_the_message_under_the_agents_name(
    receiver: Receiver, http: HttpSink
):
    sent = message("a")
    await http.send([sent])
    assert parse(receiver.stored[0]) == sent
    assert receiver.sources == {"epu-agent"}


async def test_batches_are_bounded_in_count_and_size(receiver: Receiver, http: HttpSink):
    await http.send(many(1_001))
    assert [count for count, _ in receiver.requests] == [500, 500, 1]
    receiver.requests.clear()
    await http.send([message(str(number), "x" * 900_000) for number in range(10)])
    assert [count for count, _ in receiver.requests] == [4, 4, 2]
    assert max(size for _, size in receiver.requests) < MAX_BYTES + 1_000


async def test_a_message_larger_than_a_batch_goes_alone(receiver: Receiver, http: HttpSink):
    await http.send([message("a"), message("b", "x" * (MAX_BYTES + 1)), message("c")])
    assert [count for count, _ in receiver.requests] == [1, 1, 1]


async def test_a_culprit_that_the_answer_does_not_name_is_found_by_halving(
    receiver: Receiver, http: HttpSink
):
    def refuse(messages: list[dict[str, Any]]) -> tuple[int, Any] | None:
        return (400, "no") if any(one["path"] == "37" for one in messages) else None

    receiver.answer = refuse
    with pytest.raises(SendRejected) as raised:
        await http.send(many(100))
    assert list(raised.value.refused) == [37]
    assert "400" in raised.value.refused[37]
    assert [one["path"] for one in receiver.stored] == [str(n) for n in range(100) if n != 37]


@pytest.mark.parametrize(
    "answer",
    [
        {"errors": "no list"},
        {"errors": [{"index": 99}]},
        {"errors": [{"index": -1}]},
        {"errors": [7, {"index": "0"}]},
        ["no object"],
        None,
    ],
)
async def test_a_strange_problem_document_does_not_lose_messages(
    receiver: Receiver, http: HttpSink, answer: object
):
    receiver.answer = lambda messages: (
        (422, answer) if any(one["path"] == "1" for one in messages) else None
    )
    with pytest.raises(SendRejected) as raised:
        await http.send(many(3))
    assert list(raised.value.refused) == [1]
    assert [one["path"] for one in receiver.stored] == ["0", "2"]


@pytest.mark.parametrize("status", [500, 503, 429, 408])
async def test_an_api_in_trouble_is_tried_again_and_the_log_says_so(
    receiver: Receiver, http: HttpSink, status: int, caplog: pytest.LogCaptureFixture
):
    troubles = iter([status] * 3)

    def answer(messages: list[dict[str, Any]]) -> tuple[int, Any] | None:
        trouble = next(troubles, None)
        return None if trouble is None else (trouble, {})

    receiver.answer = answer
    with caplog.at_level(logging.WARNING, "agent.epu.sink"):
        await http.send(many(2))
    assert len(receiver.requests) == 4
    assert len(receiver.stored) == 2
    assert f"answered {status}; trying again" in caplog.messages[0]


async def test_messages_wait_for_an_api_that_is_not_up_yet(caplog: pytest.LogCaptureFixture):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with HttpSink(f"http://127.0.0.1:{port}/", longest_pause=0.1) as sink:
        sending = asyncio.create_task(sink.send(many(3)))

        async def complained() -> bool:
            return any("cannot be reached" in line for line in caplog.messages)

        await wait_until(complained, what="a log line that says what is wrong")
        assert not sending.done()
        with receiving(port) as receiver:
            await asyncio.wait_for(sending, PATIENCE)
            assert len(receiver.stored) == 3


async def test_waiting_for_the_api_can_be_cancelled():
    async with HttpSink("http://127.0.0.1:9", longest_pause=0.1) as sink:
        sending = asyncio.create_task(sink.send(many(1)))
        done, _ = await asyncio.wait({sending}, timeout=0.3)
        assert not done
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending


@pytest.mark.parametrize("status", [401, 403])
async def test_who_is_locked_out_is_told_why_and_how_to_get_a_key(
    receiver: Receiver, http: HttpSink, status: int
):
    receiver.answer = lambda messages: (status, {"detail": "The API key is revoked."})
    with pytest.raises(ConfigurationError, match=r"is revoked\. .*ATHANOR_AGENT__API_KEY"):
        await http.send(many(3))
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("status", [404, 307])
async def test_a_wrong_address_blames_the_address_and_no_message(
    receiver: Receiver, http: HttpSink, status: int
):
    receiver.answer = lambda messages: (status, {})
    with pytest.raises(ConfigurationError, match=rf"answered {status}.*API_URL"):
        await http.send(many(3))
    assert len(receiver.requests) == 1
