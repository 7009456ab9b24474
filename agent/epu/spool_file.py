"""The spool's SQLite file: opened so that what is committed survives a power cut."""

import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from core.errors import StorageUnavailable

logger = logging.getLogger(__name__)

#: Raised with every change of the tables: a file of another version is begun anew.
VERSION = 1
_WAIT_SECONDS = 30.0

_SCHEMA = """
CREATE TABLE message (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    path TEXT NOT NULL,
    body BLOB NOT NULL,
    put_at REAL NOT NULL,
    batch TEXT,
    dead TEXT,
    dead_at REAL
);
CREATE INDEX message_batch ON message (batch) WHERE batch IS NOT NULL;
CREATE INDEX message_waiting ON message (seq) WHERE dead IS NULL;
CREATE INDEX message_dead ON message (dead_at) WHERE dead IS NOT NULL;

CREATE TABLE file (
    grid BLOB NOT NULL,
    path BLOB NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    digest BLOB NOT NULL,
    reported_at REAL NOT NULL,
    PRIMARY KEY (grid, path)
) WITHOUT ROWID;

CREATE TABLE ending (
    grid BLOB PRIMARY KEY,
    newest_ns INTEGER NOT NULL,
    marker_ns INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE total (messages INTEGER, bytes INTEGER, dead INTEGER, api_url TEXT);
INSERT INTO total VALUES (0, 0, 0, NULL);
CREATE TRIGGER message_in AFTER INSERT ON message BEGIN
    UPDATE total SET messages = messages + 1, bytes = bytes + length(NEW.body);
END;
CREATE TRIGGER message_out AFTER DELETE ON message BEGIN
    UPDATE total SET messages = messages - 1, bytes = bytes - length(OLD.body),
        dead = dead - (OLD.dead IS NOT NULL);
END;
CREATE TRIGGER message_refused AFTER UPDATE OF dead ON message BEGIN
    UPDATE total SET dead = dead + (NEW.dead IS NOT NULL) - (OLD.dead IS NOT NULL);
END;
"""


def opened(path: Path, *, schema: str = _SCHEMA, version: int = VERSION) -> sqlite3.Connection:
    """Return a connection to the file; one that is damaged is put aside for a new one.

    Nothing is lost with the spool: EPU's files are still there and are read again.

    Args:
        path: The file.
        schema: The tables that a new one gets.
        version: Raised with every change of them.

    Raises:
        StorageUnavailable: The folder or file cannot be used.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageUnavailable(f"{path.parent} cannot be made: {error.strerror}") from error
    try:
        return _connected(path, schema, version)
    except sqlite3.OperationalError as error:
        raise StorageUnavailable(f"The agent's file {path} cannot be used: {error}") from error
    except sqlite3.DatabaseError as error:
        aside = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
        logger.warning(
            "The agent's file %s is damaged (%s): it is kept as %s, and a new one is begun",
            path,
            error,
            aside.name,
            extra={"action": "spool_damaged", "domain": "cryoem"},
        )
        _put_aside(path, aside)
        with translated():
            return _connected(path, schema, version)


def opened_to_read(path: Path, *, table: str = "total") -> sqlite3.Connection:
    """Return a connection that changes nothing.

    Raises:
        StorageUnavailable: There is no such file, or it cannot be read.
    """
    with translated():
        database = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro",
            uri=True,
            timeout=_WAIT_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            database.execute(f"SELECT 1 FROM {table}").fetchone()  # noqa: S608 (a name of ours)
        except sqlite3.Error:
            database.close()
            raise
        return database


def _connected(path: Path, schema: str, version: int) -> sqlite3.Connection:
    # Who uses it from several threads sees to it that one does at a time.
    database = sqlite3.connect(
        path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        database.execute("PRAGMA journal_mode = WAL")
        # FULL: a commit returns when it is on the disk, not when the system means to write it.
        database.execute("PRAGMA synchronous = FULL")
        [verdict] = database.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        with written(database):
            [found] = database.execute("PRAGMA user_version").fetchone()
            if found == 0:
                for statement in _statements(schema):
                    database.execute(statement)
                database.execute(f"PRAGMA user_version = {version}")
            elif found != version:
                raise sqlite3.DatabaseError(f"it is of version {found}, not {version}")
    except BaseException:
        database.close()
        raise
    return database


def _statements(script: str) -> Iterator[str]:
    """Yield the statements of a script one by one: `executescript` would commit in between."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _put_aside(path: Path, aside: Path) -> None:
    try:
        path.replace(aside)
    except OSError as error:
        raise StorageUnavailable(
            f"The damaged file {path} cannot be renamed: {error.strerror}"
        ) from error
    for suffix in ("-wal", "-shm"):
        with suppress(OSError):
            path.with_name(path.name + suffix).replace(aside.with_name(aside.name + suffix))


@contextmanager
def written(database: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Run the block as one transaction that is on the disk when it ends."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield database
        database.execute("COMMIT")
    except BaseException:
        # A full disk may have ended the transaction already.
        with suppress(sqlite3.OperationalError):
            database.execute("ROLLBACK")
        raise


@contextmanager
def translated() -> Iterator[None]:
    """Say what SQLite says in a sentence of ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise StorageUnavailable(f"The agent's own file cannot be used: {error}") from error
