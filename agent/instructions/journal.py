"""What the agent was told to do, and how far it is: kept on the instrument's own disk.

An instruction is noted before it is acknowledged, noted again before anything is done about it,
and with its outcome before that is reported. So an agent that is killed in between neither
forgets an instruction nor reports another outcome than the one that it saw; at most it asks its
driver a second time, and says so.
"""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from agent.epu import spool_file
from agent.instructions.received import Ended, Instruction

#: Raised with every change of the table: a file of another version is begun anew.
_VERSION = 1
_SCHEMA = """
CREATE TABLE instruction (
    instruction_id TEXT PRIMARY KEY,
    session_id TEXT NOT NULL,
    body TEXT NOT NULL,
    stage TEXT NOT NULL,
    tries INTEGER NOT NULL,
    noted_at REAL NOT NULL,
    status TEXT,
    result TEXT,
    reason TEXT,
    took_ms INTEGER,
    ended_at REAL,
    refused TEXT
);
CREATE INDEX instruction_open ON instruction (session_id, noted_at) WHERE stage <> 'told';
"""


class Stage(StrEnum):
    """How far an instruction is with us."""

    NOTED = "noted"
    #: The driver was asked; whether it has done anything nobody knows yet.
    BEGUN = "begun"
    ENDED = "ended"
    #: The API knows what came of it, or will not hear it.
    TOLD = "told"


@dataclass(frozen=True, slots=True)
class Note:
    """What is known of an instruction."""

    instruction: Instruction
    stage: Stage
    #: How often the driver was asked.
    tries: int
    noted_at: float
    ended: Ended | None
    #: Why the API would not hear what came of it.
    refused: str | None


class Journal:
    """The durable notes; every step is one transaction that is on the disk when it returns."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._lock = threading.Lock()
        self._database = database

    @classmethod
    def open(cls, path: Path) -> Self:
        """Return the journal in a file, which is made if need be.

        Raises:
            StorageUnavailable: The folder or file cannot be used.
        """
        return cls(spool_file.opened(path, schema=_SCHEMA, version=_VERSION))

    @classmethod
    def peek(cls, path: Path) -> Self:
        """Return the journal in a file only to look at, whoever else uses it.

        Raises:
            StorageUnavailable: There is none, or it cannot be read.
        """
        return cls(spool_file.opened_to_read(path, table="instruction"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._database.close()

    def note(self, instruction: Instruction) -> Note | None:
        """Keep an instruction; return what was known of it already, None when it is new."""
        with self._transaction() as database:
            known = database.execute(_SELECT + " WHERE instruction_id = ?", (_key(instruction),))
            if (row := known.fetchone()) is not None:
                return _note(row)
            database.execute(
                "INSERT INTO instruction (instruction_id, session_id, body, stage, tries, noted_at)"
                " VALUES (?, ?, ?, ?, 0, ?)",
                (
                    _key(instruction),
                    instruction.session_id,
                    instruction.model_dump_json(),
                    Stage.NOTED,
                    time.time(),
                ),
            )
            return None

    def begin(self, instruction: Instruction) -> int:
        """Note that the driver is about to be asked; return how often it was asked before."""
        with self._transaction() as database:
            [tries] = database.execute(
                "SELECT tries FROM instruction WHERE instruction_id = ?", (_key(instruction),)
            ).fetchone()
            database.execute(
                "UPDATE instruction SET stage = ?, tries = ? WHERE instruction_id = ?",
                (Stage.BEGUN, tries + 1, _key(instruction)),
            )
            return tries

    def end(self, instruction: Instruction, ended: Ended) -> None:
        """Note what came of an instruction."""
        with self._transaction() as database:
            database.execute(
                "UPDATE instruction SET stage = ?, status = ?, result = ?, reason = ?, "
                "took_ms = ?, ended_at = ? WHERE instruction_id = ?",
                (
                    *(Stage.ENDED, ended.status, ended.result, ended.reason),
                    *(ended.took_ms, ended.at, _key(instruction)),
                ),
            )

    def told(self, instruction: Instruction, *, refused: str | None = None) -> None:
        """Note that the API knows what came of it, or why it will not hear that."""
        with self._transaction() as database:
            database.execute(
                "UPDATE instruction SET stage = ?, refused = ? WHERE instruction_id = ?",
                (Stage.TOLD, refused, _key(instruction)),
            )

    def open_notes(self, session_id: str) -> list[Note]:
        """Return what is not done or not told yet for a session, in order."""
        with self._reading() as database:
            rows = database.execute(
                _SELECT + " WHERE session_id = ? AND stage <> 'told' ORDER BY noted_at",
                (session_id,),
            )
            return [_note(row) for row in rows]

    def latest(self, limit: int) -> list[Note]:
        """Return the latest instructions, the newest first."""
        with self._reading() as database:
            rows = database.execute(_SELECT + " ORDER BY noted_at DESC LIMIT ?", (limit,))
            return [_note(row) for row in rows]

    def count(self) -> dict[str, int]:
        """Return how many instructions there are: by outcome, and by stage without one."""
        with self._reading() as database:
            return dict(
                database.execute(
                    "SELECT coalesce(status, stage) AS state, count(*) FROM instruction "
                    "GROUP BY state ORDER BY state"
                ).fetchall()
            )

    def forget(self, before: float) -> int:
        """Forget what was told before a time, in seconds since 1970; return how many."""
        with self._transaction() as database:
            return database.execute(
                "DELETE FROM instruction WHERE stage = 'told' AND noted_at < ?", (before,)
            ).rowcount

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, spool_file.translated(), spool_file.written(self._database) as database:
            yield database

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, spool_file.translated():
            yield self._database


_SELECT = (
    "SELECT body, stage, tries, noted_at, status, result, reason, took_ms, ended_at, refused "
    "FROM instruction"
)


def _key(instruction: Instruction) -> str:
    return instruction.instruction_id


def _note(row: tuple[Any, ...]) -> Note:
    body, stage, tries, noted_at, status, result, reason, took_ms, ended_at, refused = row
    ended = None if status is None else Ended(status, result, reason, took_ms, ended_at)
    instruction = Instruction.model_validate_json(body)
    return Note(instruction, Stage(stage), tries, noted_at, ended, refused)
