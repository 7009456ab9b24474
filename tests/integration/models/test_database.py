"""Transactions hold, and what goes wrong is said in a sentence that tells what to do."""

import asyncio
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlmodel import Session

from core.errors import ConfigurationError, StorageUnavailable
from models import inbox, work
from models.database import Database, normal_url
from models.inbox import InboxMessage
from tests.integration.models.factories import NOON, new_message, store
from tests.support import PATIENCE, wait_until


def _count(session: Session) -> int:
    return sum(work.count_by_state(session, InboxMessage).values())


def _counted(database: Database) -> int:
    with database.reading() as session:
        return _count(session)


def _store(session: Session, **values: object) -> None:
    inbox.store(session, [new_message(**values)], now=NOON)


def test_failed_transaction_leaves_nothing(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.transaction() as session:  # noqa: PT012
        _store(session)
        _ = 1 // 0

    assert _counted(database) == 0


def test_reading_writes_nothing(database: Database) -> None:
    with database.reading() as session:
        _store(session)

    assert _counted(database) == 0


def test_reader_does_not_wait_for_a_writer(database: Database) -> None:
    with database.transaction() as session:
        _store(session)

        assert _counted(database) == 0

    assert _counted(database) == 1


async def test_work_of_the_event_loop_is_committed(database: Database) -> None:
    await database.write(_store)

    assert await database.read(_count) == 1


async def test_many_writes_at_once_all_succeed(database: Database) -> None:
    await asyncio.gather(*(database.write(_store) for _ in range(40)))

    assert await database.read(_count) == 40


async def test_lost_race_is_run_again(postgres_url: str) -> None:
    """Two transactions wait for each other's row: PostgreSQL ends one, and it is repeated."""
    database = Database(postgres_url)
    store(database, new_message(payload={"n": 1}), new_message(payload={"n": 2}))
    both = threading.Barrier(2)
    tries: list[int] = []

    def touch(session: Session, first: int, second: int) -> None:
        tries.append(first)
        statement = text("UPDATE inbox_message SET attempts = attempts + 1 WHERE seq = :seq")
        session.execute(statement, {"seq": first})
        if len(tries) <= 2:
            both.wait(timeout=PATIENCE)
        session.execute(statement, {"seq": second})

    await asyncio.gather(database.write(touch, 1, 2), database.write(touch, 2, 1))
    with database.reading() as session:
        attempts = set(session.scalars(text("SELECT attempts FROM inbox_message")))
    database.close()

    assert len(tries) == 3
    assert attempts == {2}


async def test_what_will_not_heal_is_not_repeated(database: Database) -> None:
    tries: list[int] = []

    def break_a_rule(session: Session) -> None:
        tries.append(1)
        session.execute(text("INSERT INTO quality_metric (name) VALUES ('numparticles')"))

    with pytest.raises(IntegrityError):
        await database.write(break_a_rule)
    assert len(tries) == 1


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgresql_is_reached_by_psycopg_whatever_the_scheme(scheme: str) -> None:
    assert normal_url(f"{scheme}://me@host/db").drivername == "postgresql+psycopg"


@pytest.mark.parametrize(
    "url",
    [
        "rubbish",
        # a port that is no number
        "postgresql://host:port/name",
        # a database that we do not speak to, and a driver that we do not use
        "mysql://host/name",
        "postgresql+asyncpg://host/name",
    ],
)
def test_url_that_is_no_use_names_its_setting(url: str) -> None:
    with pytest.raises(ConfigurationError, match="ATHANOR_DATABASE_URL"):
        Database(url)


def test_foreign_keys_hold(database: Database) -> None:
    statement = text(
        "INSERT INTO grid (uuid, acquisition_uuid, name) VALUES (:uuid, :uuid, 'orphan')"
    )
    uuid = "00000000-0000-0000-0000-000000000001"

    with pytest.raises(IntegrityError), database.transaction() as session:
        session.execute(statement, {"uuid": uuid.replace("-", "") if database.is_sqlite else uuid})


def test_missing_tables_are_to_be_made_by_init(empty_database: Database) -> None:
    with pytest.raises(StorageUnavailable, match=r"Run `athanor init` first"):
        store(empty_database, new_message())


def test_error_does_not_show_values(database: Database) -> None:
    with pytest.raises(IntegrityError) as raised, database.transaction() as session:
        session.execute(
            text("INSERT INTO quality_metric (name, description) VALUES (:name, :secret)"),
            {"name": "x", "secret": "hunter2"},
        )

    # PostgreSQL quotes the row itself in its detail; the parameters are not repeated.
    assert "[parameters" not in str(raised.value)


# SQLite -------------------------------------------------------------------------------------


@pytest.fixture
def sqlite_path(sqlite_url: str) -> Path:
    return Path(sqlite_url.removeprefix("sqlite:///"))


@pytest.fixture
def locked(sqlite_path: Path) -> Iterator[Database]:
    """A database in which another program writes for long."""
    database = Database(f"sqlite:///{sqlite_path}?timeout=0.1")
    with closing(sqlite3.connect(sqlite_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield database
        other.execute("ROLLBACK")
    database.close()


def test_locked_database_names_what_may_hold_it(locked: Database) -> None:
    with pytest.raises(StorageUnavailable, match=r"another program holds it.*Close what has it"):
        store(locked, new_message())


def test_locked_database_can_be_read(locked: Database) -> None:
    assert _counted(locked) == 0


def test_database_is_usable_after_the_lock(sqlite_path: Path) -> None:
    database = Database(f"sqlite:///{sqlite_path}?timeout=0.1")
    with closing(sqlite3.connect(sqlite_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageUnavailable):
            store(database, new_message())
        other.execute("ROLLBACK")
        store(database, new_message())
    assert _counted(database) == 1
    database.close()


def test_full_disk_says_that_nothing_was_lost(sqlite_url: str) -> None:
    database = Database(sqlite_url)

    @event.listens_for(database.engine, "connect")
    def fill(connection: sqlite3.Connection, _record: object) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")

    store(database, new_message())
    with pytest.raises(StorageUnavailable, match=r"disk is full. Free some space"):
        store(database, *(new_message(payload={"text": "x" * 1_000}) for _ in range(100)))

    assert _counted(database) == 1
    database.close()


def test_read_only_database_says_to_check_its_rights(sqlite_path: Path) -> None:
    database = Database(f"sqlite:///file:{sqlite_path}?mode=ro&uri=true")

    with pytest.raises(StorageUnavailable, match=r"may only be read. Check the rights"):
        store(database, new_message())
    database.close()
    assert not Path("file:").exists()


@pytest.mark.skipif(
    os.geteuid() == 0, reason="needs a user other than root, whom no file is closed to"
)
def test_file_without_the_right_to_write_says_to_check_its_rights(sqlite_path: Path) -> None:
    sqlite_path.chmod(0o444)
    sqlite_path.parent.chmod(0o555)
    database = Database(f"sqlite:///{sqlite_path}")

    with pytest.raises(StorageUnavailable, match=r"rights|cannot be opened"):
        store(database, new_message())
    database.close()
    sqlite_path.parent.chmod(0o755)


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")

    with pytest.raises(StorageUnavailable, match=r"file/home cannot be made.*ATHANOR_HOME"):
        Database(f"sqlite:///{tmp_path / 'file' / 'home' / 'athanor.db'}")


def test_missing_folder_is_made(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'new' / 'home' / 'athanor.db'}")
    database.check()
    database.close()


def test_folder_in_the_place_of_the_file_cannot_be_opened(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}")

    with pytest.raises(StorageUnavailable, match=r"cannot be opened. Check that its folder"):
        database.check()
    database.close()


def test_file_of_another_kind_is_told_from_a_database(tmp_path: Path) -> None:
    path = tmp_path / "athanor.db"
    path.write_bytes(b"GIF89a" * 1_000)
    database = Database(f"sqlite:///{path}")

    with pytest.raises(StorageUnavailable, match=r"the file is something else. Move it away"):
        database.check()
    database.close()


# PostgreSQL ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("postgresql://postgres@127.0.0.1:1/db", "127.0.0.1:1: it does not answer. Start it"),
        ("postgresql://postgres@nowhere.invalid/db", "its host is not known. Check"),
    ],
)
def test_unreachable_server_says_to_start_it(url: str, advice: str) -> None:
    database = Database(url)

    with pytest.raises(StorageUnavailable, match=advice):
        database.check()
    database.close()


def test_missing_database_says_to_create_it(postgres_url: str) -> None:
    url = normal_url(postgres_url).set(database="no_such_database")
    database = Database(url.render_as_string(hide_password=False))

    with pytest.raises(StorageUnavailable, match=r"no such database on the server. Create it"):
        database.check()
    database.close()


def test_unknown_user_says_to_check_the_url(postgres_url: str) -> None:
    url = normal_url(postgres_url).set(username="no_such_user")
    database = Database(url.render_as_string(hide_password=False))

    with pytest.raises(StorageUnavailable, match=r"refuses the user or the password"):
        database.check()
    database.close()


def test_connection_cut_by_the_server_is_made_anew(postgres_url: str) -> None:
    database = Database(postgres_url)
    database.check()
    killer = Database(postgres_url)
    with killer.transaction() as session:
        session.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    killer.close()

    database.check()
    database.close()


def test_transient_error_is_left_to_whoever_repeats(postgres_url: str) -> None:
    database = Database(postgres_url)
    store(database, new_message())
    with database.transaction() as session:
        session.execute(text("SELECT 1 FROM inbox_message FOR UPDATE"))
        with pytest.raises(OperationalError), database.transaction() as other:
            other.execute(text("SELECT 1 FROM inbox_message FOR UPDATE NOWAIT"))
    database.close()


async def test_connection_that_is_out_when_the_database_closes_is_closed_when_it_comes_back(
    database: Database,
) -> None:
    opened: list[object] = []
    closed: list[object] = []
    event.listen(database.engine, "connect", lambda connection, _: opened.append(connection))
    event.listen(database.engine, "close", lambda connection, _: closed.append(connection))
    reached, may_end = threading.Event(), threading.Event()

    def dawdle(session: Session) -> None:
        _store(session)
        reached.set()
        may_end.wait(30)

    # The thread goes on when its caller is cancelled.
    writing = asyncio.create_task(database.write(dawdle))
    await asyncio.to_thread(reached.wait, 30)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    database.close()
    assert (len(opened), closed) == (1, [])
    may_end.set()

    async def all_closed() -> bool:
        return closed == opened

    await wait_until(all_closed, what="a closed connection")
