"""Whoever listens is woken by what others do, in this process and in others."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import psycopg
import pytest

from messaging.doorbell import Doorbell, LocalDoorbell, PostgresDoorbell, SqliteDoorbell, woken
from models.database import Database
from tests.integration.models.factories import new_message, store
from tests.support import PATIENCE, wait_until

#: Short: nothing is to happen in it.
SHORT = 0.05

Opener = Callable[[], Awaitable[Doorbell]]


@pytest.fixture(params=["local", "sqlite", "postgresql"])
async def bell(request: pytest.FixtureRequest) -> AsyncIterator[Doorbell]:
    """One of the doorbells."""
    async with AsyncExitStack() as stack:
        if request.param == "local":
            yield LocalDoorbell()
        elif request.param == "sqlite":
            url = request.getfixturevalue("sqlite_url")
            path = Path(url.removeprefix("sqlite:///"))
            yield await stack.enter_async_context(SqliteDoorbell(path).opened())
        else:
            conninfo = _conninfo(request.getfixturevalue("postgres_url"))
            yield await stack.enter_async_context(PostgresDoorbell(conninfo).opened())


def _conninfo(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://")


async def test_listener_is_woken(bell: Doorbell) -> None:
    with bell.listening("flow", "key") as event:
        event.clear()
        await bell.notify("flow", "key")

        assert await woken(event, timeout=PATIENCE)


async def test_all_listeners_to_a_key_are_woken(bell: Doorbell) -> None:
    with bell.listening("flow", "key") as one, bell.listening("flow", "key") as other:
        await bell.notify("flow", "key")

        assert await woken(one, timeout=PATIENCE)
        assert await woken(other, timeout=PATIENCE)


async def test_ring_between_looking_and_waiting_is_not_lost(bell: Doorbell) -> None:
    with bell.listening("flow", "key") as event:
        event.clear()
        # Here the listener looks into the inbox, in vain; then a message comes in.
        await bell.notify("flow", "key")
        await asyncio.sleep(0)

        assert await woken(event, timeout=PATIENCE)


async def test_waiting_in_vain_ends_with_its_time_out() -> None:
    bell = LocalDoorbell()
    with bell.listening("flow", "key") as event:
        await bell.notify("flow", "other key")
        await bell.notify("other flow", "key")

        assert not await woken(event, timeout=SHORT)


async def test_who_no_longer_listens_is_forgotten() -> None:
    bell = LocalDoorbell()
    with bell.listening("flow", "key"):
        pass
    await bell.notify("flow", "key")

    assert not bell._waiting


async def test_doorbell_of_one_process_is_heard_in_another(postgres_url: str) -> None:
    conninfo = _conninfo(postgres_url)
    async with (
        PostgresDoorbell(conninfo).opened() as here,
        PostgresDoorbell(conninfo).opened() as there,
    ):
        with here.listening("flow", "a key") as event, here.listening("flow", "other") as other:
            await _listens(conninfo, 2)
            # What was announced before anyone listened is not known, so all were woken.
            event.clear()
            other.clear()
            await there.notify("flow", "a key")

            assert await woken(event, timeout=PATIENCE)
            assert not other.is_set()


async def test_commit_of_another_process_is_heard(sqlite_url: str) -> None:
    other = Database(sqlite_url)
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    async with SqliteDoorbell(path).opened() as bell:
        with bell.listening("flow", "key") as event:
            assert not await woken(event, timeout=0.3)
            await asyncio.to_thread(store, other, new_message())

            assert await woken(event, timeout=PATIENCE)
    other.close()


async def test_listening_goes_on_after_the_server_cut_the_connection(postgres_url: str) -> None:
    conninfo = _conninfo(postgres_url)
    async with PostgresDoorbell(conninfo).opened() as bell:
        with bell.listening("flow", "key") as event:
            (first,) = await _listens(conninfo, 1)
            event.clear()
            await _execute(conninfo, f"SELECT pg_terminate_backend({first})")

            # Woken because something may have been missed, then listening again.
            assert await woken(event, timeout=PATIENCE)
            event.clear()
            await _listens(conninfo, 1)
            await _execute(conninfo, "SELECT pg_notify('athanor_doorbell', 'flow key')")
            assert await woken(event, timeout=PATIENCE)


async def test_server_that_is_down_harms_nobody() -> None:
    async with PostgresDoorbell("postgresql://postgres@127.0.0.1:1/db").opened() as bell:
        with bell.listening("flow", "key") as event:
            await bell.notify("flow", "key")

            # Those in the same process are woken all the same.
            assert await woken(event, timeout=PATIENCE)


async def _execute(conninfo: str, statement: str) -> list[tuple[object, ...]]:
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        cursor = await connection.execute(statement.encode())
        return await cursor.fetchall()


async def _listens(conninfo: str, count: int) -> list[object]:
    """Wait until so many connections listen; return their process ids."""

    async def pids() -> list[object]:
        rows = await _execute(
            conninfo,
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
            "AND query LIKE 'LISTEN%' AND state = 'idle'",
        )
        return [pid for (pid,) in rows] if len(rows) == count else []

    return await wait_until(pids, what=f"{count} listeners")
