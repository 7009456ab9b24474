"""What is asked for at one moment is done in one go, and each who asked has their own answer."""

import asyncio
from collections.abc import Sequence

import pytest

from core.caller import Caller, asking, current_caller
from core.errors import BadInput, NotFound, StorageUnavailable
from core.permissions import Permission, Role
from tasks.gathering import Gathered
from tests.support import PATIENCE


class Doubling:
    """Doubles numbers, and keeps the groups and callers that it was asked by."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.callers: list[str] = []
        self.begun = asyncio.Event()

    async def __call__(self, numbers: Sequence[int]) -> list[int | Exception]:
        self.groups.append(list(numbers))
        self.callers.append(current_caller().name)
        self.begun.set()
        await asyncio.sleep(0)
        if 13 in numbers:
            raise BadInput("13 spoils all that it is done with")
        if 99 in numbers:
            raise StorageUnavailable("the database is away")
        return [NotFound(f"no {one}") if one < 0 else 2 * one for one in numbers]


async def asked(gathered: Gathered[int, int], *numbers: int) -> list[int | BaseException]:
    return await asyncio.gather(*map(gathered.ask, numbers), return_exceptions=True)


async def test_what_comes_at_once_is_one_group_and_what_comes_meanwhile_the_next() -> None:
    work = Doubling()
    gathered = Gathered(work)
    first = asyncio.create_task(asked(gathered, 1, 2, 3))
    await work.begun.wait()
    assert await asked(gathered, 4, 5) == [8, 10]
    assert await first == [2, 4, 6]
    assert work.groups == [[1, 2, 3], [4, 5]]
    assert await asked(gathered, 6) == [12]


async def test_a_group_has_so_many_at_most() -> None:
    work = Doubling()
    assert await asked(Gathered(work, most=2), 1, 2, 3) == [2, 4, 6]
    assert work.groups == [[1, 2], [3]]


async def test_what_is_larger_than_a_group_is_one_of_its_own() -> None:
    work = Doubling()
    gathered = Gathered(work, most=5, size=lambda number: number)
    assert await asked(gathered, 2, 9, 3, 1) == [4, 18, 6, 2]
    assert work.groups == [[2, 3], [9], [1]]


async def test_groups_are_at_work_at_once_in_lanes_and_all_are_done_when_it_is_closed() -> None:
    begun: list[int] = []
    both, free = asyncio.Event(), asyncio.Event()

    async def work(numbers: Sequence[int]) -> list[int | Exception]:
        begun.extend(numbers)
        if len(begun) > 1:
            both.set()
        await free.wait()
        return list(numbers)

    gathered = Gathered[int, int](work, most=1, lanes=2)
    waiting = [asyncio.create_task(gathered.ask(number)) for number in (1, 2, 3)]
    await both.wait()
    closing = asyncio.create_task(gathered.close())
    await asyncio.sleep(0)
    assert (begun, closing.done()) == ([1, 2], False)
    free.set()
    await closing
    assert begun == [1, 2, 3]
    assert await asyncio.gather(*waiting) == [1, 2, 3]


async def test_what_is_asked_when_the_last_lane_has_just_ended_is_done() -> None:
    gathered = Gathered(Doubling(), lanes=1)
    lane: list[asyncio.Task[None]] = []

    async def ask_as_it_ends() -> int:
        # Between the end of the lane and the moment at which others hear of it.
        while not lane[0].done():  # noqa: ASYNC110 (nothing tells of this moment)
            await asyncio.sleep(0)
        return await gathered.ask(5)

    first = asyncio.create_task(gathered.ask(1))
    await asyncio.sleep(0)
    lane += [one for one in asyncio.all_tasks() if one.get_name() == "gathered"]
    later = asyncio.create_task(ask_as_it_ends())
    assert (await first, await asyncio.wait_for(later, PATIENCE)) == (2, 10)


async def test_what_is_wrong_with_one_fails_no_other() -> None:
    work = Doubling()
    found = await asked(Gathered(work), 1, -1, 13, 2)
    assert (found[0], found[3]) == (2, 4)
    assert isinstance(found[1], NotFound)
    assert isinstance(found[2], BadInput)
    assert work.groups == [[1, -1, 13, 2], [1], [-1], [13], [2]]


async def test_where_the_database_is_away_it_is_not_asked_one_by_one() -> None:
    work = Doubling()
    found = await asked(Gathered(work), 1, 99)
    assert [type(one) for one in found] == [StorageUnavailable, StorageUnavailable]
    assert work.groups == [[1, 99]]


async def test_who_does_not_wait_any_more_keeps_nobody_from_their_answer() -> None:
    gathered = Gathered(Doubling())
    gone, stays = asyncio.create_task(gathered.ask(1)), asyncio.create_task(gathered.ask(2))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == 4
    with pytest.raises(asyncio.CancelledError):
        await gone


async def test_callers_who_see_different_sessions_are_in_groups_of_their_own() -> None:
    work = Doubling()
    gathered = Gathered(work)

    async def ask_as(name: str, organisation: str, number: int) -> int:
        caller = Caller(
            name, "user", Role.OPERATOR, frozenset(Permission), frozenset({organisation})
        )
        with asking(caller):
            return await gathered.ask(number)

    found = await asyncio.gather(
        ask_as("anna", "visit-1", 1), ask_as("bert", "visit-2", 2), ask_as("carl", "visit-1", 3)
    )
    assert found == [2, 4, 6]
    assert work.groups == [[1, 3], [2]]
    assert work.callers == ["anna", "bert"]
