"""What the simulated service knows: one SQLite file, every request's changes one commit.

Each row keeps its record as JSON, ready to be sent, beside the columns that it is found by.
Used from one event loop only. A commit survives kill -9; no disk is waited for, so a power cut
may undo the last ones.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from core.errors import StorageUnavailable

Value = str | int | None
Row = Mapping[str, Value]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS session (
    seq INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, name TEXT UNIQUE NOT NULL, body TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS area (
    seq INTEGER PRIMARY KEY, session TEXT NOT NULL, id INTEGER NOT NULL, type TEXT NOT NULL,
    parent INTEGER, body TEXT NOT NULL, UNIQUE (session, id)
);
CREATE INDEX IF NOT EXISTS area_parent ON area (session, parent);
CREATE TABLE IF NOT EXISTS area_state (
    seq INTEGER PRIMARY KEY, session TEXT NOT NULL, id INTEGER NOT NULL, area INTEGER NOT NULL,
    body TEXT NOT NULL, UNIQUE (session, id)
);
CREATE INDEX IF NOT EXISTS area_state_area ON area_state (session, area);
-- A decision id is not unique: the contract makes no POST idempotent, so doubles must show.
CREATE TABLE IF NOT EXISTS decision (
    seq INTEGER PRIMARY KEY, session TEXT NOT NULL, id TEXT NOT NULL, area INTEGER NOT NULL,
    type TEXT NOT NULL, plugin TEXT NOT NULL, body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS decision_area ON decision (session, area, type);
CREATE INDEX IF NOT EXISTS decision_id ON decision (session, id);
CREATE TABLE IF NOT EXISTS algorithm_result (
    seq INTEGER PRIMARY KEY, session TEXT NOT NULL, area INTEGER NOT NULL, name TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS algorithm_result_area ON algorithm_result (session, area, name);
CREATE TABLE IF NOT EXISTS name_value (
    seq INTEGER PRIMARY KEY, session TEXT NOT NULL, id INTEGER NOT NULL, area INTEGER,
    name TEXT NOT NULL, body TEXT NOT NULL, UNIQUE (session, id)
);
CREATE TABLE IF NOT EXISTS run (
    seq INTEGER PRIMARY KEY, session TEXT NOT NULL, id INTEGER NOT NULL, body TEXT NOT NULL,
    UNIQUE (session, id)
);
CREATE TABLE IF NOT EXISTS application_state (
    seq INTEGER PRIMARY KEY, session TEXT, body TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS configuration (seq INTEGER PRIMARY KEY, body TEXT NOT NULL);
"""

#: Tables whose rows belong to a session.
_OWNED = (
    "area", "area_state", "decision", "algorithm_result", "name_value", "run", "application_state",
)  # fmt: skip


class Store:
    """The records of the simulated service; `open()` before use, `close()` after."""

    def __init__(self, path: Path | None) -> None:
        """Remember where the file is; None keeps everything in memory."""
        self._path = path
        self._database: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open the file, made and laid out where it is new.

        Raises:
            StorageUnavailable: The file cannot be used.
        """
        try:
            if self._path is not None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            # Another thread may run the loop than the one that made us; still only one uses it.
            database = sqlite3.connect(
                self._path or ":memory:", isolation_level=None, check_same_thread=False
            )
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = OFF")
            database.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as exc:
            raise StorageUnavailable(
                f"The state of the Athena simulator cannot be kept in {self._path}: {exc}"
            ) from exc
        self._database = database

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            self._database.close()
            self._database = None

    @property
    def database(self) -> sqlite3.Connection:
        """The open connection."""
        if self._database is None:
            raise StorageUnavailable("The state of the Athena simulator is not open.")
        return self._database

    @contextmanager
    def commit(self) -> Iterator[None]:
        """Make all changes within it or, after an exception, none."""
        self.database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.database.execute("ROLLBACK")
            raise
        self.database.execute("COMMIT")

    def insert(self, table: str, rows: Sequence[Row], *, replace: bool = False) -> None:
        """Add rows of equal columns.

        `replace` changes what has the same session and id, which must be the first columns.
        """
        if not rows:
            return
        columns = tuple(rows[0])
        names, marks = ", ".join(columns), ", ".join(f":{column}" for column in columns)
        query = f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608 (our own names)
        if replace:
            changes = ", ".join(f"{column} = excluded.{column}" for column in columns[2:])
            query += f" ON CONFLICT (session, id) DO UPDATE SET {changes}"
        self.database.executemany(query, rows)

    def bodies(
        self,
        table: str,
        where: Row | None = None,
        *,
        latest: bool = False,
        among: Iterable[int] | None = None,
    ) -> list[str]:
        """Return the records that match, in the order in which they came.

        Args:
            table: Table.
            where: Column values; those that are None are not asked for.
            latest: Return only the last one.
            among: Area ids of which the record's must be one.
        """
        conditions, asked = _conditions(where or {})
        if among is not None:
            # Ids are ints: written out, they need no parameter each, of which SQLite has few.
            conditions.append(f"area IN ({', '.join(str(int(one)) for one in among)})")
        query = f"SELECT body FROM {table}{_where(conditions)} ORDER BY seq"  # noqa: S608 (our own names)
        if latest:
            query += " DESC LIMIT 1"
        return [body for (body,) in self.database.execute(query, asked)]

    def exists(self, table: str, where: Row) -> bool:
        """Tell whether any record matches."""
        return bool(self.bodies(table, where, latest=True))

    def area_ids(
        self, session: str, *, area_type: str | None = None, parent: int | None = None
    ) -> set[int]:
        """Return the ids of a session's areas, of one type or parent where given."""
        conditions, asked = _conditions({"session": session, "type": area_type, "parent": parent})
        query = f"SELECT id FROM area{_where(conditions)}"  # noqa: S608 (our own names)
        return {ident for (ident,) in self.database.execute(query, asked)}

    def parents(self, session: str, areas: Iterable[int]) -> set[int]:
        """Return the ids of the areas that these areas are in."""
        ids = ", ".join(str(int(area)) for area in areas)
        query = f"SELECT DISTINCT parent FROM area WHERE session = ? AND id IN ({ids})"  # noqa: S608 (ints)
        return {p for (p,) in self.database.execute(query, (session,)) if p is not None}

    def next_id(self, table: str, session: str) -> int:
        """Return the number after a session's highest."""
        query = f"SELECT COALESCE(MAX(id), 0) + 1 FROM {table} WHERE session = ?"  # noqa: S608 (our own names)
        ((ident,),) = self.database.execute(query, (session,))
        return ident

    def delete(self, table: str, where: Row | None = None) -> None:
        """Delete the records that match; conditions that are None are not asked for."""
        conditions, asked = _conditions(where or {})
        self.database.execute(f"DELETE FROM {table}{_where(conditions)}", asked)  # noqa: S608 (our own names)

    def delete_session(self, session: str) -> None:
        """Delete a session and everything that belongs to it."""
        self.delete("session", {"id": session})
        for table in _OWNED:
            self.delete(table, {"session": session})


def _conditions(where: Row) -> tuple[list[str], dict[str, Value]]:
    asked: dict[str, Value] = {
        column: value for column, value in where.items() if value is not None
    }
    return [f"{column} = :{column}" for column in asked], asked


def _where(conditions: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""
