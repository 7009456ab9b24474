"""Locks by name hold from the moment they are taken, on both databases."""

import threading

from models.database import Database
from models.sql import lock_until_commit
from tests.support import PATIENCE


def test_who_asks_for_a_lock_waits_until_its_holder_commits(database: Database) -> None:
    asked, got = threading.Event(), threading.Event()

    def ask() -> None:
        with database.transaction() as session:
            asked.set()
            lock_until_commit(session, "a lock")
            got.set()

    thread = threading.Thread(target=ask)
    with database.transaction() as session:
        lock_until_commit(session, "a lock")
        thread.start()
        assert asked.wait(timeout=PATIENCE)
        assert not got.wait(timeout=0.3)
    thread.join(timeout=PATIENCE)

    assert got.is_set()
