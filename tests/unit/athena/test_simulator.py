"""The simulator's parts keep their promises, whatever is on the wire."""

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import StorageUnavailable
from simulators.athena.faults import FaultInjector, Faults
from simulators.athena.state import Waiters
from simulators.athena.storage import Store
from simulators.athena.wire import Problem


@pytest.fixture
def store() -> Iterator[Store]:
    opened = Store(None)
    opened.open()
    yield opened
    opened.close()


def row(ident: int, body: str = "{}") -> dict[str, str | int | None]:
    return {"session": "s", "id": ident, "type": "foilhole", "parent": 1, "body": body}


def test_a_commit_that_fails_changes_nothing(store: Store) -> None:
    with pytest.raises(sqlite3.IntegrityError), store.commit():
        store.insert("area", [row(1), row(2), row(1)])

    assert store.area_ids("s") == set()


def test_a_replaced_row_keeps_its_place(store: Store) -> None:
    with store.commit():
        store.insert("area", [row(1, "old"), row(2, "two")])
        store.insert("area", [row(1, "new")], replace=True)

    assert store.bodies("area", {"session": "s"}) == ["new", "two"]


def test_more_areas_can_be_asked_for_than_sqlite_has_parameters(store: Store) -> None:
    with store.commit():
        store.insert(
            "area_state", [{"session": "s", "id": n, "area": n, "body": "{}"} for n in (1, 2)]
        )

    assert len(store.bodies("area_state", {"session": "s"}, among=range(1, 100_000))) == 2
    assert store.bodies("area_state", {"session": "s"}, among=()) == []


def test_numbers_are_counted_for_each_session(store: Store) -> None:
    with store.commit():
        store.insert("run", [{"session": "s", "id": 4, "body": "{}"}])

    assert (store.next_id("run", "s"), store.next_id("run", "other")) == (5, 1)


def test_a_state_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "athena.db"
    path.write_text("not a database, but long enough to be taken for one" * 100)
    with pytest.raises(StorageUnavailable, match=str(path)):
        Store(path).open()


def test_a_store_that_is_not_open_says_so() -> None:
    with pytest.raises(StorageUnavailable, match="not open"):
        Store(None).bodies("session")


def test_the_dice_fall_the_same_for_the_same_seed() -> None:
    def rolls(seed: int) -> list[bool]:
        injector = FaultInjector(Faults(drop_after_commit=0.5, seed=seed))
        return [injector.drops("POST") for _ in range(100)]

    assert rolls(1) == rolls(1) != rolls(2)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_only_changes_are_dropped(method: str) -> None:
    injector = FaultInjector(Faults(drop_after_commit=1))

    assert injector.drops(method)
    assert not injector.drops("GET")


async def test_news_wakes_who_waits_for_that_area_only() -> None:
    waiters = Waiters()
    deadline = asyncio.get_running_loop().time() + 60
    with waiters.listen("s", 1) as first, waiters.listen("s", 2) as second:
        waiters.wake("s", {2, 3})
        waiters.wake("other", {1})

        assert await waiters.wait(second, deadline)
        assert not first.is_set()
        assert len(waiters) == 2
    assert len(waiters) == 0


async def test_nobody_waits_beyond_the_deadline_or_the_end() -> None:
    waiters = Waiters()
    with waiters.listen("s", 1) as news:
        assert not await waiters.wait(news, asyncio.get_running_loop().time())
        waiters.close()
        with pytest.raises(Problem, match="stopping"):
            await waiters.wait(news, asyncio.get_running_loop().time() + 60)
