"""Streams take any question: they begin, or refuse it with a documented 4xx; never is it our fault.

They never end, so that what fuzzes all other operations does not ask them.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from models.database import Database
from tests.integration.api.threaded import Running, running_in_thread

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

PAGES = "/frontend/events/stream"
#: Of which the API must answer one within so many seconds.
ANSWER_WITHIN = 20.0

_HUGE = str(10**40)
_NUMBERS = st.sampled_from(["", "0", "-1", "7", "1.5", "1e400", _HUGE, "٣", "NaN", "0x1", " 1 "])
_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=40)
#: What a header can hold at all.
_HEADER = (
    st.text(st.characters(codec="latin-1", exclude_categories=("Cc",)), max_size=40)
    | _NUMBERS.filter(str.isascii)
).map(lambda text: text.strip(" \t\xa0"))
_VALUES = _NUMBERS | _TEXT
_EVENTS = st.sampled_from(["instruction.lifecycle", "heartbeat", "agent.status", "nothing"])

SETTINGS = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def running(database: Database) -> Iterator[Running]:
    with running_in_thread(database) as found:
        yield found


def ask(running: Running, path: str, query: Any, headers: dict[str, str]) -> int:
    """Ask for a stream, look at how it begins, and go; return the status."""
    sent = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    url = running.url + path
    with httpx.stream("GET", url, params=query, headers=sent, timeout=ANSWER_WITHIN) as answer:
        kind = answer.headers["content-type"]
        if answer.status_code == 200:
            assert kind.startswith("text/event-stream")
            # The beginning of the stream's first event; an idle one's may be long in coming.
            with suppress(httpx.ReadTimeout):
                if "agent/" in path:
                    assert next(answer.iter_bytes()).startswith(b"event: ")
        else:
            answer.read()
            assert 400 <= answer.status_code < 500, answer.text
            assert kind == "application/problem+json"
            assert answer.json()["status"] == answer.status_code
        return answer.status_code


def test_streams_of_pages_take_any_question(running: Running) -> None:
    seen: set[int] = set()

    @given(
        query=st.fixed_dictionaries(
            {},
            optional={
                "acquisition_uuid": _VALUES | st.uuids().map(str),
                "agent_id": _VALUES,
                "event_types": _EVENTS | _VALUES,
                "else": _VALUES,
            },
        ),
        headers=st.fixed_dictionaries({}, optional={"Last-Event-ID": _HEADER}),
    )
    @example(query={}, headers={})
    @example(query={}, headers={"Last-Event-ID": _HUGE})
    @example(query={"agent_id": "a\0b"}, headers={"Last-Event-ID": "-1"})
    @example(query={"acquisition_uuid": "no uuid"}, headers={})
    @SETTINGS
    def asked(query: dict[str, str], headers: dict[str, str]) -> None:
        seen.add(ask(running, PAGES, query, headers))

    asked()
    assert {200, 422} <= seen


def test_streams_of_agents_take_any_question(running: Running) -> None:
    opened = {"agent_id": "epu", "session_id": "epu", "mode": "auto"}
    httpx.post(f"{running.url}/agent/sessions", json=opened).raise_for_status()
    seen: set[int] = set()
    # What a path has no part for leads somewhere else.
    names = st.just("epu") | _TEXT.filter(lambda text: text.strip("./ ") != "")

    @given(
        agent=names,
        session=names,
        headers=st.fixed_dictionaries({}, optional={"Last-Event-ID": _HEADER}),
    )
    @example(agent="epu", session="epu", headers={})
    @example(agent="epu", session="epu", headers={"Last-Event-ID": _HUGE})
    @example(agent="epu", session="a\0b", headers={})
    @SETTINGS
    def asked(agent: str, session: str, headers: dict[str, str]) -> None:
        path = f"/agent/{quote(agent, safe='')}/session/{quote(session, safe='')}"
        seen.add(ask(running, f"{path}/instructions/stream", {}, headers))

    asked()
    assert 200 in seen
    assert seen & {404, 422}
