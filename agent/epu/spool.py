"""What was read and is not at the API yet, kept on the instrument's own disk.

One SQLite file holds the messages on their way, the refused ones, and what is remembered of
the files that they came from; the three change together. A message is in it for good once
`put` returns, and leaves it only after the API's answer. Nothing is ever evicted.

Several threads, and even several agents, may use one file: every step is one transaction, and
what two of them do twice (read a file, send a batch) is recognised by its id.
"""

import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import UUID, uuid4

from agent.epu import spool_file
from agent.epu.api import MAX_BYTES, MAX_MESSAGES
from agent.epu.files import Signature
from agent.epu.outgoing import Batch, Depth, Outgoing, Refused
from agent.epu.remembered import Ending, FileRecord, Remembered, from_stored, to_stored
from core.errors import AthanorError


class SpoolFull(AthanorError):
    """The spool on this disk has reached its limit: reading pauses until the API takes more."""


class Spool:
    """The durable way to the API, bounded in bytes."""

    def __init__(self, database: sqlite3.Connection, *, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._database = database

    @classmethod
    def open(cls, path: Path, *, max_bytes: int) -> Self:
        """Return the spool in a file, which is made if need be.

        Raises:
            StorageUnavailable: The folder or file cannot be used.
        """
        return cls(spool_file.opened(path), max_bytes=max_bytes)

    @classmethod
    def peek(cls, path: Path) -> Self:
        """Return the spool in a file only to look at, whoever else uses it.

        Raises:
            StorageUnavailable: There is none, or it cannot be read.
        """
        return cls(spool_file.opened_to_read(path), max_bytes=0)

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

    def put(
        self,
        messages: Sequence[Outgoing],
        *,
        files: Iterable[FileRecord] = (),
        ending: Ending | None = None,
    ) -> None:
        """Keep messages, and remember what they tell of, in one step.

        Raises:
            SpoolFull: They would exceed the limit; nothing was kept.
            StorageUnavailable: The disk is full or cannot be written; nothing was kept.
        """
        now = time.time()
        size = sum(len(message.body) for message in messages)
        with self._transaction() as database:
            held, waiting = database.execute("SELECT bytes, messages - dead FROM total").fetchone()
            # With nothing on its way all is taken: one message above the limit must not stop us.
            if waiting and held + size > self.max_bytes:
                raise SpoolFull(
                    f"The spool holds {held:,} bytes of at most {self.max_bytes:,} "
                    "(ATHANOR_AGENT__SPOOL_MAX_BYTES) that the API has not taken yet"
                )
            self._insert(database, messages, now)
            database.executemany(
                "INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (
                        one.grid.bytes,
                        to_stored(one.path),
                        one.signature.size,
                        one.signature.mtime_ns,
                        one.digest,
                        now,
                    )
                    for one in files
                ],
            )
            if ending is not None:
                database.execute(
                    "INSERT OR REPLACE INTO ending VALUES (?, ?, ?)",
                    (ending.grid.bytes, ending.newest_ns, ending.marker_ns),
                )

    def _insert(
        self, database: sqlite3.Connection, messages: Iterable[Outgoing], now: float
    ) -> None:
        database.executemany(
            "INSERT INTO message (message_id, kind, path, body, put_at) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (message_id) DO NOTHING",
            [(one.message_id, one.kind, one.path, one.body, now) for one in messages],
        )

    def next_batch(self) -> Batch | None:
        """Return the oldest messages; the same ones under the same key until they are gone."""
        with self._transaction() as database:
            first = database.execute(
                "SELECT batch FROM message WHERE dead IS NULL ORDER BY seq LIMIT 1"
            ).fetchone()
            if first is None:
                return None
            key = first[0] or self._form_batch(database)
            rows = database.execute(
                "SELECT message_id, kind, path, body FROM message "
                "WHERE batch = ? AND dead IS NULL ORDER BY seq",
                (key,),
            )
            return Batch(key, tuple(Outgoing(*row) for row in rows))

    def _form_batch(self, database: sqlite3.Connection) -> str:
        size, last = 0, None
        rows = database.execute(
            "SELECT seq, length(body), batch FROM message WHERE dead IS NULL ORDER BY seq LIMIT ?",
            (MAX_MESSAGES,),
        )
        for seq, length, batch in rows.fetchall():
            size += length + 1
            # What has a key of its own already begins the next batch.
            if last is not None and (size > MAX_BYTES or batch is not None):
                break
            last = seq
        key = str(uuid4())
        database.execute(
            "UPDATE message SET batch = ? WHERE seq <= ? AND batch IS NULL AND dead IS NULL",
            (key, last),
        )
        return key

    def delivered(self, batch: Batch) -> None:
        """Let go of a batch that the API has stored."""
        with self._transaction() as database:
            database.execute("DELETE FROM message WHERE batch = ? AND dead IS NULL", (batch.key,))

    def refuse(
        self, batch: Batch, named: Mapping[int, str], reports: Sequence[Outgoing] = ()
    ) -> None:
        """Set the named messages of a batch aside; the others become a batch of their own.

        Args:
            batch: What was refused.
            named: Why, by index in the batch.
            reports: Messages about the refusal, which go the same way.
        """
        now = time.time()
        with self._transaction() as database:
            database.executemany(
                "UPDATE message SET dead = ?, dead_at = ?, batch = NULL "
                "WHERE message_id = ? AND batch = ?",
                [
                    (why, now, batch.messages[index].message_id, batch.key)
                    for index, why in named.items()
                ],
            )
            others = [one for i, one in enumerate(batch.messages) if i not in named]
            self._rekey(database, batch, others)
            self._insert(database, reports, now)

    def halve(self, batch: Batch) -> None:
        """Make two batches of one, because something in it, nobody says what, was refused."""
        half = len(batch.messages) // 2
        with self._transaction() as database:
            self._rekey(database, batch, batch.messages[:half])
            self._rekey(database, batch, batch.messages[half:])

    def _rekey(
        self, database: sqlite3.Connection, batch: Batch, messages: Sequence[Outgoing]
    ) -> None:
        key = str(uuid4())
        database.executemany(
            "UPDATE message SET batch = ? WHERE message_id = ? AND batch = ?",
            [(key, one.message_id, batch.key) for one in messages],
        )

    def dead(self, limit: int = 1_000) -> list[Refused]:
        """Return what the API refused, the latest first."""
        with self._reading() as database:
            rows = database.execute(
                "SELECT message_id, kind, path, dead, dead_at FROM message "
                "WHERE dead IS NOT NULL ORDER BY dead_at DESC, seq DESC LIMIT ?",
                (limit,),
            )
            return [Refused(*row) for row in rows]

    def retry(self) -> int:
        """Send what was refused once more, after all else; return how many messages."""
        with self._transaction() as database:
            # A new place at the end keeps batches whole, which are runs of the order.
            moved = database.execute(
                "UPDATE message SET dead = NULL, dead_at = NULL, batch = NULL, "
                "seq = seq + (SELECT max(seq) FROM message) WHERE dead IS NOT NULL"
            )
            return moved.rowcount

    def discard(self) -> int:
        """Let go of what was refused; return how many messages."""
        with self._transaction() as database:
            return database.execute("DELETE FROM message WHERE dead IS NOT NULL").rowcount

    def depth(self) -> Depth:
        """Return how much is waiting to be sent, and how much was refused."""
        with self._reading() as database:
            messages, held, dead = database.execute(
                "SELECT messages, bytes, dead FROM total"
            ).fetchone()
            oldest = database.execute(
                "SELECT put_at FROM message WHERE dead IS NULL ORDER BY seq LIMIT 1"
            ).fetchone()
            return Depth(messages - dead, held, oldest and oldest[0], dead)

    def recall(self, grid: UUID) -> Remembered:
        """Return what is remembered of a grid."""
        with self._reading() as database:
            rows = database.execute(
                "SELECT path, size, mtime_ns, digest FROM file WHERE grid = ?", (grid.bytes,)
            )
            files = tuple(
                FileRecord(grid, from_stored(path), Signature(size, mtime_ns), digest)
                for path, size, mtime_ns, digest in rows
            )
            [news] = database.execute(
                "SELECT max(reported_at) FROM file WHERE grid = ?", (grid.bytes,)
            ).fetchone()
            said = database.execute(
                "SELECT newest_ns, marker_ns FROM ending WHERE grid = ?", (grid.bytes,)
            ).fetchone()
            return Remembered(files, said and Ending(grid, *said), news)

    def forget_files(self, *, silent_since: float | None = None) -> int:
        """Forget the files of grids without news since a time, or all; return how many.

        What is forgotten is reported anew if it is still there; that changes no row.
        """
        chosen = "SELECT grid FROM file GROUP BY grid HAVING max(reported_at) < ?"
        before = float("inf") if silent_since is None else silent_since
        with self._transaction() as database:
            database.execute(f"DELETE FROM ending WHERE grid IN ({chosen})", (before,))  # noqa: S608
            gone = database.execute(f"DELETE FROM file WHERE grid IN ({chosen})", (before,))  # noqa: S608
            return gone.rowcount

    def serve(self, api_url: str) -> bool:
        """Note which API is reported to; return whether it was another one before.

        Another API may know nothing: what is remembered as reported is forgotten.
        """
        with self._transaction() as database:
            before = database.execute("SELECT api_url FROM total").fetchone()[0]
            database.execute("UPDATE total SET api_url = ?", (api_url,))
            changed = before not in (None, api_url)
            if changed:
                database.execute("DELETE FROM file")
                database.execute("DELETE FROM ending")
            return changed

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, spool_file.translated(), spool_file.written(self._database) as database:
            yield database

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, spool_file.translated():
            yield self._database
