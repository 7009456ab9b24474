"""What the service promises its clients, over real HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from blocks.athena import AthenaClient
from core.errors import AthenaConflict, AthenaNotFound, AthenaRejected, AthenaUnavailable
from models.athena import DecisionRecord, DecisionType, PluginType, Session
from simulators.athena import running
from tests.contract.athena.service import (
    SELECTION,
    SESSION,
    decision,
    hole,
    populate,
    service,
    stats,
)
from tests.support import PATIENCE, wait_until


@pytest.fixture
async def client() -> AsyncIterator[AthenaClient]:
    async with service() as (athena, _):
        await populate(athena)
        yield athena


async def test_a_session_whose_name_or_id_is_taken_is_a_conflict(client: AthenaClient) -> None:
    with pytest.raises(AthenaConflict, match=r"^POST Session: 409 Conflict: .*Grid_7"):
        await client.create_session(Session(session_name="Grid_7"))
    with pytest.raises(AthenaConflict, match=str(SESSION)):
        await client.create_session(Session(session_id=SESSION, session_name="Grid_8"))

    assert (await client.find_session("Grid_7")).session_id == SESSION
    assert len(await client.find_sessions()) == 1


async def test_a_session_without_an_id_is_given_one(client: AthenaClient) -> None:
    made = await client.create_session(Session(session_name="Grid_8"))

    assert made.session_id is not None
    assert await client.is_registered(made.session_id)
    assert not await client.is_registered(decision(1).id or SESSION)


async def test_a_deleted_session_takes_everything_with_it(client: AthenaClient) -> None:
    await client.post_decision(decision(2))
    await client.delete_session(SESSION)
    await populate(client)

    assert await client.find_decisions(SESSION) == ()
    assert len(await client.find_areas(SESSION)) == 3


async def test_each_started_run_is_a_new_one_and_stops_with_its_reason(
    client: AthenaClient,
) -> None:
    first, second = await client.start_run(SESSION), await client.start_run(SESSION)
    stopped = await client.stop_run(SESSION, first.run_number, "acquisition completed")

    assert (first.run_number, second.run_number) == (1, 2)
    assert stopped.stop_reason == "acquisition completed"
    assert stopped.stop_time is not None
    assert await client.find_runs(SESSION) == (stopped, second)


async def test_areas_are_registered_all_or_none(client: AthenaClient) -> None:
    with pytest.raises(AthenaConflict):
        await client.register_areas([hole(4), hole(3)])
    with pytest.raises(AthenaConflict):
        await client.register_areas([hole(4), hole(4)])

    assert [area.id for area in await client.find_areas(SESSION)] == [1, 2, 3]


async def test_areas_are_put_whether_or_not_they_exist(client: AthenaClient) -> None:
    await client.put_areas([hole(3, parent=9), hole(4)])

    assert (await client.get_area(SESSION, 3)).parent_id == 9
    assert [area.id for area in await client.find_child_areas(SESSION, 1)] == [2, 4]


async def test_an_illegal_area_id_is_rejected_with_the_reason(client: AthenaClient) -> None:
    with pytest.raises(AthenaRejected, match=r"POST Area: 400 Bad Request: .*ids: \[0\]"):
        await client.register_area(hole(0))


async def test_an_unknown_area_is_not_found_for_one_decision_and_a_conflict_for_many(
    client: AthenaClient,
) -> None:
    with pytest.raises(AthenaNotFound):
        await client.post_decision(decision(99))
    with pytest.raises(AthenaConflict):
        await client.post_decisions([decision(2), decision(99)])
    with pytest.raises(AthenaRejected):
        await client.post_decisions([])

    assert await client.find_decisions(SESSION) == ()


async def test_a_decision_sent_twice_shows_twice(client: AthenaClient) -> None:
    # Nothing in the contract makes a POST idempotent: whoever sends again must be found out.
    same = decision(2)
    await client.post_decision(same)
    await client.post_decisions([same])

    assert [one.id for one in await client.find_decisions(SESSION, [2])] == [same.id, same.id]


async def test_the_decision_that_came_last_is_the_latest(client: AthenaClient) -> None:
    await client.post_decisions([decision(2, "true"), decision(2, "false"), decision(3, "true")])
    latest = await client.latest_decision(SESSION, 2, SELECTION)

    assert latest is not None
    assert latest.decision_value == "false"
    assert await client.latest_decision(SESSION, 2, DecisionType.FOCUS) is None
    assert await client.latest_decision(SESSION, 2, SELECTION, plugin_type=PluginType.DUMMY) is None


async def test_deleted_decisions_are_those_of_the_area_and_type(client: AthenaClient) -> None:
    await client.post_decisions([decision(2), decision(3)])
    await client.delete_decisions(SESSION, 2, decision_type=DecisionType.FOCUS)
    assert len(await client.find_decisions(SESSION)) == 2
    await client.delete_decisions(SESSION, 2)
    assert [one.area_id for one in await client.find_decisions(SESSION)] == [3]
    await client.delete_all_decisions(SESSION)
    assert await client.find_decisions(SESSION) == ()


async def test_a_timed_decision_wakes_when_the_decision_is_made() -> None:
    async with service() as (client, url):
        await populate(client)
        of_square = [_ask(client, 1) for _ in range(10)]
        of_hole = _ask(client, 2)
        await wait_until(lambda: _waiting(url, 11), what="the questions to wait")
        await client.post_decisions([decision(2, "true"), decision(3, "false")])
        async with asyncio.timeout(PATIENCE):
            squares = await asyncio.gather(*of_square)
            told = await of_hole

    assert told is not None
    assert told.decision_value == "true"
    assert {(one.area_id, one.decision_value) for one in squares if one} == {
        (1, '[{"areaId": 2, "result": "true"}, {"areaId": 3, "result": "false"}]')
    }


async def test_hundreds_of_questions_wait_at_once_and_delay_nobody() -> None:
    loop = asyncio.get_running_loop()
    async with running() as simulator, AthenaClient(simulator.url, max_connections=300) as client:
        await populate(client)
        await client.register_areas([hole(ident) for ident in range(10, 1010)])
        asked = [_ask(client, ident) for ident in range(10, 210)]
        await wait_until(lambda: _waiting(simulator.url, 200), what="the questions to wait")
        began = loop.time()
        await client.post_decisions([decision(ident) for ident in range(10, 1010)])
        told = await asyncio.gather(*asked)
        took = loop.time() - began

    assert [one.area_id for one in told if one] == list(range(10, 210))
    # Seconds, where a pool that is quadratic in its connections takes many.
    assert took < 5


async def test_a_selection_made_for_the_square_itself_is_told_as_it_is(
    client: AthenaClient,
) -> None:
    await client.post_decision(decision(2, "true"))
    await client.post_decision(decision(1, "[]"))
    told = await client.timed_decision(SESSION, 1, SELECTION, timeout=0)
    await client.post_decision(decision(3, "false"))
    later = await client.timed_decision(SESSION, 1, SELECTION, timeout=0)

    assert told is not None
    assert told.decision_value == "[]"
    assert later is not None
    assert json.loads(later.decision_value or "") == [
        {"areaId": 2, "result": "true"},
        {"areaId": 3, "result": "false"},
    ]


async def test_a_timed_decision_waits_its_timeout_although_ours_is_shorter() -> None:
    loop = asyncio.get_running_loop()
    async with running() as simulator, AthenaClient(simulator.url, read_timeout=0.5) as client:
        await populate(client)
        began = loop.time()
        assert await client.timed_decision(SESSION, 2, SELECTION, timeout=1) is None

    assert loop.time() - began >= 1


async def test_a_timed_decision_about_an_unknown_area_is_not_found(client: AthenaClient) -> None:
    with pytest.raises(AthenaNotFound):
        await client.timed_decision(SESSION, 99, SELECTION, timeout=60)


async def test_who_waits_when_the_service_stops_is_told_to_ask_again() -> None:
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(running())
        async with AthenaClient(simulator.url) as client:
            await populate(client)
            asked = _ask(client, 2)
            await wait_until(lambda: _waiting(simulator.url, 1), what="the question to wait")
            await stack.aclose()
            with pytest.raises(AthenaUnavailable, match="503 Service Unavailable"):
                await asked


def _ask(client: AthenaClient, area: int) -> asyncio.Task[DecisionRecord | None]:
    return asyncio.create_task(client.timed_decision(SESSION, area, SELECTION, timeout=60))


async def _waiting(url: str, number: int) -> bool:
    return (await stats(url))["waiting"] == number
