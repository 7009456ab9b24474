"""Whatever goes wrong on the way becomes one of our errors, and the right one."""

import inspect
from collections.abc import Callable

import httpx
import pytest

from blocks.athena import AthenaClient
from blocks.athena.failures import FAILURES, Failure, from_httpx
from core.errors import (
    AthenaConflict,
    AthenaError,
    AthenaNotFound,
    AthenaOutcomeUnknown,
    AthenaRejected,
    AthenaUnavailable,
    ConfigurationError,
)
from models.athena import Area, AreaType, DecisionType
from tests.contract.athena.service import SESSION, decision

HTTPX_EXCEPTIONS = [
    one
    for _, one in inspect.getmembers(httpx, inspect.isclass)
    if issubclass(one, Exception) and not issubclass(one, Warning)
]


def client(answer: Callable[[httpx.Request], httpx.Response], token: str = "") -> AthenaClient:
    return AthenaClient("http://athena/base", token, transport=httpx.MockTransport(answer))


def answering(status: int, **content: object) -> AthenaClient:
    return client(lambda _: httpx.Response(status, **content))  # type: ignore[arg-type]


def failing(error: Exception) -> AthenaClient:
    def fail(_: httpx.Request) -> httpx.Response:
        raise error

    return client(fail)


@pytest.mark.parametrize("exception", HTTPX_EXCEPTIONS)
def test_every_exception_of_httpx_is_in_the_table(exception: type[Exception]) -> None:
    assert exception in FAILURES


def test_the_table_has_nothing_else() -> None:
    assert set(FAILURES) == set(HTTPX_EXCEPTIONS)


def test_an_exception_that_httpx_may_add_is_taken_for_the_worst() -> None:
    class Novel(httpx.NetworkError):
        """Not known yet."""

    assert isinstance(from_httpx(Novel("oh"), "POST", "Decision"), AthenaOutcomeUnknown)


@pytest.mark.parametrize(
    ("error", "of_post", "of_get"),
    [
        # Nothing reached the service.
        (httpx.ConnectError("refused"), AthenaUnavailable, AthenaUnavailable),
        (httpx.ConnectTimeout("slow"), AthenaUnavailable, AthenaUnavailable),
        (httpx.PoolTimeout("busy"), AthenaUnavailable, AthenaUnavailable),
        # It was under way.
        (httpx.ReadTimeout("slow"), AthenaOutcomeUnknown, AthenaUnavailable),
        (httpx.ReadError("reset"), AthenaOutcomeUnknown, AthenaUnavailable),
        (httpx.WriteError("reset"), AthenaOutcomeUnknown, AthenaUnavailable),
        (httpx.RemoteProtocolError("gone"), AthenaOutcomeUnknown, AthenaUnavailable),
        # Sending again will never help.
        (httpx.UnsupportedProtocol("ftp"), AthenaError, AthenaError),
    ],
)
async def test_an_exception_becomes_what_it_means_for_sending_again(
    error: Exception, of_post: type[AthenaError], of_get: type[AthenaError]
) -> None:
    async with failing(error) as athena:
        with pytest.raises(AthenaError, match=r"^POST Decision: ") as posted:
            await athena.post_decision(decision(1))
        with pytest.raises(AthenaError, match=r"^GET Sessions: ") as asked:
            await athena.find_sessions()

    assert (posted.type, asked.type) == (of_post, of_get)
    assert posted.value.__cause__ is error


@pytest.mark.parametrize(
    ("status", "of_post", "of_put"),
    [
        (400, AthenaRejected, AthenaRejected),
        (401, AthenaError, AthenaError),
        (404, AthenaNotFound, AthenaNotFound),
        (409, AthenaConflict, AthenaConflict),
        (302, AthenaError, AthenaError),
        # Whoever says these has not begun.
        (429, AthenaUnavailable, AthenaUnavailable),
        (503, AthenaUnavailable, AthenaUnavailable),
        # Whoever says these may have.
        (500, AthenaOutcomeUnknown, AthenaUnavailable),
        (502, AthenaOutcomeUnknown, AthenaUnavailable),
        (504, AthenaOutcomeUnknown, AthenaUnavailable),
    ],
)
async def test_a_status_becomes_what_it_means_for_sending_again(
    status: int, of_post: type[AthenaError], of_put: type[AthenaError]
) -> None:
    area = Area(session_id=SESSION, id=1, area_type=AreaType.ATLAS)
    async with answering(status) as athena:
        with pytest.raises(AthenaError) as posted:
            await athena.register_areas([area])
        with pytest.raises(AthenaError) as put:
            await athena.put_areas([area])

    assert (posted.type, put.type) == (of_post, of_put)
    assert posted.value.status == put.value.status == status


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"json": {"title": "Taken", "detail": "Grid_7 exists."}}, "409 Taken: Grid_7 exists."),
        ({"json": {"title": "Taken", "traceId": "00-4bf9"}}, "409 Taken"),
        ({"text": "<html>proxy</html>"}, "409 <html>proxy</html>"),
        ({"json": {"detail": None}}, "409 Conflict"),
        ({}, "409 Conflict"),
    ],
)
async def test_the_message_says_what_was_asked_and_what_the_service_said(
    content: dict[str, object], said: str
) -> None:
    async with answering(409, **content) as athena:
        with pytest.raises(AthenaConflict) as raised:
            await athena.post_decisions([decision(1)])

    assert str(raised.value) == f"POST Decisions: {said}"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"text": "<html>"}, "answer: Invalid JSON"),
        ({"json": [{"sessionName": "Grid_7", "gridType": "Steel"}]}, "0.gridType: "),
        ({"json": [{"sessionName": 7}]}, "0.sessionName: "),
        ({"json": [{"sessionName": "a", "timestamp": "2026-01-01T00:00:00"}]}, "0.timestamp: "),
        ({"json": {}}, "answer: "),
    ],
)
async def test_an_answer_that_is_not_of_the_contract_is_an_error_that_names_the_place(
    content: dict[str, object], reason: str
) -> None:
    async with answering(200, **content) as athena:
        with pytest.raises(AthenaError, match=f"^GET Sessions: 200 .*{reason}") as raised:
            await athena.find_sessions()

    assert raised.type is AthenaError


async def test_properties_that_a_later_service_adds_are_ignored() -> None:
    added = [{"sessionName": "Grid_7", "colour": "blue"}]
    async with answering(200, json=added) as athena:
        (session,) = await athena.find_sessions()

    assert session.session_name == "Grid_7"


async def test_no_content_is_none_only_where_the_contract_has_it() -> None:
    async with answering(204) as athena:
        assert await athena.latest_decision(SESSION, 1, DecisionType.INCLUDE) is None
        assert await athena.timed_decision(SESSION, 1, DecisionType.INCLUDE, timeout=1) is None
        assert await athena.find_algorithm_results(SESSION, 1, "ctf") == ()  # type: ignore[arg-type]
        with pytest.raises(AthenaError, match=r"^GET Sessions: 204 "):
            await athena.find_sessions()


async def test_the_client_works_without_a_context_until_it_is_closed() -> None:
    athena = answering(200, json=True)
    assert await athena.is_registered(SESSION)
    await athena.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        await athena.is_registered(SESSION)


async def test_the_path_of_the_address_is_kept() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200, json=[])

    async with client(answer) as athena:
        await athena.find_sessions()

    assert asked == ["/base/api/v1/Sessions"]


async def test_a_timed_decision_is_read_for_longer_than_the_service_waits() -> None:
    given: list[dict[str, float]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        given.append(request.extensions["timeout"])
        return httpx.Response(204)

    transport = httpx.MockTransport(answer)
    async with AthenaClient("http://athena", read_timeout=30, transport=transport) as athena:
        await athena.timed_decision(SESSION, 1, DecisionType.INCLUDE, timeout=120)
        await athena.latest_decision(SESSION, 1, DecisionType.INCLUDE)

    assert [one["read"] for one in given] == [150, 30]


@pytest.mark.parametrize("address", ["athena", "ftp://athena", "http://", "http://[::1"])
def test_an_address_that_is_none_is_refused_at_once(address: str) -> None:
    with pytest.raises(ConfigurationError, match="address of Athena"):
        AthenaClient(address)


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "schlüssel"])
def test_a_token_that_no_header_can_carry_is_refused_without_being_shown(token: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        AthenaClient("http://athena", token)

    assert token not in str(raised.value)


def test_a_password_in_the_address_is_not_shown() -> None:
    assert "secret" not in repr(AthenaClient("http://us:secret@athena"))


def test_each_way_to_fail_is_in_use() -> None:
    assert set(FAILURES.values()) == set(Failure)
