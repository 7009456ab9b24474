"""The database: one engine, short transactions, errors that say what to do.

SQLite (write-ahead log) is the embedded default, PostgreSQL the real one; the same
queries run on both.
"""

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, TypeVar

from sqlalchemy import Connection, create_engine, event, make_url, text
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    DBAPIError,
    InterfaceError,
    OperationalError,
)
from sqlmodel import Session
from tenacity import (
    AsyncRetrying,
    retry_if_exception,
    stop_after_attempt,
    wait_random_exponential,
)

from core import metrics
from core.errors import ConfigurationError, StorageUnavailable
from models import audit
from models.json_text import dumps
from models.visibility import enforcement

P = ParamSpec("P")
T = TypeVar("T")

#: How long SQLite waits for another writer before it gives up, in seconds.
_SQLITE_BUSY_SECONDS = 30
#: PostgreSQL: serialization failure, deadlock, lock not available.
_TRANSIENT_SQLSTATES = frozenset({"40001", "40P01", "55P03"})
_UNDEFINED_TABLE = "42P01"
_DRIVERS = frozenset({"sqlite", "sqlite+pysqlite", "postgresql+psycopg"})
_URL_HINT = (
    "Set ATHANOR_DATABASE_URL to postgresql://user@host/name or sqlite:////folder/athanor.db."
)
_READ_ONLY = {"athanor_read_only": True}

#: Faults of the database itself, of which nothing that it was asked to do is to blame.
FAULTS: Final = (OperationalError, InterfaceError, StorageUnavailable)


def normal_url(url: str) -> URL:
    """Return the URL with the driver that we use; `postgres://` is accepted too.

    Raises:
        ConfigurationError: It is no URL, or of a database that we cannot use.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        # The URL itself is not shown: there may be a password in it.
        raise ConfigurationError(f"The database URL is not understood. {_URL_HINT}") from error
    if parsed.drivername in {"postgres", "postgresql"}:
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in _DRIVERS:
        raise ConfigurationError(f"There is no support for {parsed.drivername}://. {_URL_HINT}")
    return parsed


class Database:
    """Transactions on one database, from threads or from the event loop."""

    def __init__(self, url: str, *, pool_size: int = 10, visit_pattern: str = "") -> None:
        """Prepare the engine; nothing is opened before the first use.

        `visit_pattern` tells from the folder of a new session whose it is
        (`access.visit_pattern`).
        """
        self._visits = re.compile(visit_pattern) if visit_pattern else None
        self.url = normal_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.engine = _sqlite_engine(self.url) if self.is_sqlite else _engine(self.url, pool_size)
        self._closed = False

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Give a session whose writes are committed together, or not at all."""
        with self.translated(), self._session() as session, session.begin():
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Give a session that does not write, and so waits for no writer."""
        with self.translated(), self._session() as session:
            session.connection(execution_options=_READ_ONLY)
            yield session

    @contextmanager
    def _session(self) -> Iterator[Session]:
        try:
            with Session(self.engine, expire_on_commit=False) as session:
                enforcement.restrict(session, visits=self._visits)
                audit.watch(session)
                yield session
        finally:
            # A thread whose caller was cancelled goes on, and may come back after `close`.
            if self._closed:
                self._close_idle()

    async def write(
        self, work: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `work(session, …)` in a transaction, in a thread; repeat it on a lost race."""

        def once() -> T:
            with self.transaction() as session:
                return work(session, *args, **kwargs)

        async for attempt in AsyncRetrying(
            retry=retry_if_exception(_is_transient),
            stop=stop_after_attempt(5),
            wait=wait_random_exponential(multiplier=0.05, max=1),
            before_sleep=lambda _: metrics.RETRIES.labels("transaction").inc(),
            reraise=True,
        ):
            with attempt:
                return await asyncio.to_thread(once)
        raise AssertionError("tenacity either returns or raises")

    async def read(
        self, work: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `work(session, …)` without writing, in a thread."""

        def once() -> T:
            with self.reading() as session:
                return work(session, *args, **kwargs)

        return await asyncio.to_thread(once)

    def check(self) -> None:
        """Raise StorageUnavailable unless the database answers."""
        with self.reading() as session:
            session.execute(text("SELECT 1"), execution_options=enforcement.UNSEEN)

    def close(self) -> None:
        """Close all pooled connections; one that is in use is closed when it comes back."""
        # In this order: who comes back before the first line is seen by the second.
        self._closed = True
        self._close_idle()

    def _close_idle(self) -> None:
        # The engine's own `dispose` takes a new pool; what comes back to the old one is lost.
        self.engine.pool.dispose()

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn what the database says into a sentence that tells what to do."""
        try:
            yield
        except DBAPIError as error:
            advice = None if _is_transient(error) else _advice(self.url, error)
            if advice is None:
                raise
            raise StorageUnavailable(advice) from error


def _is_transient(error: BaseException) -> bool:
    if not isinstance(error, DBAPIError):
        return False
    return getattr(error.orig, "sqlstate", None) in _TRANSIENT_SQLSTATES


#: What SQLite and PostgreSQL say, and what a person can do; the first that fits counts.
_ADVICE = {
    "database is locked": "another program holds it for long. Close what has it open "
    "(a second `athanor up`, a database browser), then try again.",
    "disk is full": "the disk is full. Free some space, then try again; nothing was lost.",
    "No space left on device": "the disk is full. Free some space, then try again.",
    "unable to open": "it cannot be opened. Check that its folder exists and may be written "
    "(ATHANOR_HOME, ATHANOR_DATABASE_URL).",
    "readonly database": "it may only be read. Check the rights of the file and its folder.",
    "disk I/O error": "the disk reports an error or is full. Check it, then try again.",
    "file is not a database": "the file is something else. Move it away, or choose another "
    "with ATHANOR_DATABASE_URL.",
    "disk image is malformed": "the file is damaged. Bring it back from a backup.",
    "no such table": "its tables are missing. Run `athanor init` first.",
    "undefined table": "its tables are missing. Run `athanor init` first.",
    "password": "it refuses the user or the password. Check ATHANOR_DATABASE_URL.",
    "role ": "it refuses the user or the password. Check ATHANOR_DATABASE_URL.",
    "does not exist": "there is no such database on the server. Create it, or check "
    "ATHANOR_DATABASE_URL.",
    "too many clients": "its server has no connection left for us. Raise its max_connections, "
    "or stop something.",
    "failed to resolve host": "its host is not known. Check ATHANOR_DATABASE_URL.",
    "connection": "it does not answer. Start it, or check ATHANOR_DATABASE_URL.",
}


def _advice(url: URL, error: DBAPIError) -> str | None:
    reason = str(error.orig).strip()
    if getattr(error.orig, "sqlstate", None) == _UNDEFINED_TABLE:
        reason = f"undefined table: {reason}"
    elif not isinstance(error, OperationalError) and type(error) is not DatabaseError:
        # What is wrong with a statement or a value is ours to mend, not the reader's.
        return None
    where = url.database if url.get_backend_name() == "sqlite" else f"{url.host}:{url.port or 5432}"
    for sign, advice in _ADVICE.items():
        if sign in reason:
            return f"Database {where}: {advice} ({reason.splitlines()[0]})"
    return None


def _engine(url: URL, pool_size: int) -> Engine:
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_pre_ping=True,
        hide_parameters=True,
        json_serializer=dumps,
        # A plan that is kept was made for a table that has grown since, and for no array of
        # ours in particular.
        connect_args={"prepare_threshold": None},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: object, _record: object) -> None:  # pyright: ignore[reportUnusedFunction]
        # What is asked for by the thousand lies in memory or on a solid-state disk; the server's
        # own guess of 4 stands for a disk that turns, and has it read whole tables instead.
        connection.execute("SET random_page_cost = 1.1")  # pyright: ignore[reportAttributeAccessIssue]
        connection.commit()  # pyright: ignore[reportAttributeAccessIssue]

    return engine


def _sqlite_engine(url: URL) -> Engine:
    if url.database and url.database != ":memory:" and not url.database.startswith("file:"):
        folder = Path(url.database).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageUnavailable(
                f"The folder {folder} cannot be made: {error.strerror}. "
                "Choose another with ATHANOR_HOME."
            ) from error
    patience = {} if "timeout" in url.query else {"timeout": _SQLITE_BUSY_SECONDS}
    engine = create_engine(url, connect_args=patience, hide_parameters=True, json_serializer=dumps)

    @event.listens_for(engine, "connect")
    def prepare(connection: object, _record: object) -> None:  # pyright: ignore[reportUnusedFunction]
        # The driver's own transaction control would open them late and deferred; we say BEGIN.
        connection.isolation_level = None  # pyright: ignore[reportAttributeAccessIssue]
        cursor = connection.cursor()  # pyright: ignore[reportAttributeAccessIssue]
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:  # pyright: ignore[reportUnusedFunction]
        # A deferred transaction that turns to writing fails at once when another writes;
        # an immediate one waits its turn.
        read_only = connection.get_execution_options().get("athanor_read_only")
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine
