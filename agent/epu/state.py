"""Where an agent keeps its spool and says how it does: one folder for each watched folder."""

import contextlib
import hashlib
import json
import os
import re
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import StorageUnavailable

_STATUS = "status.json"


@dataclass(frozen=True, slots=True)
class StateFolder:
    """What an agent keeps, and how others look at it."""

    path: Path

    @classmethod
    def of(cls, home: Path, watched: Path) -> "StateFolder":
        """Return the place for a watched folder; the same folder has the same place."""
        whole = os.path.normcase(watched.resolve())
        digest = hashlib.blake2b(os.fsencode(whole), digest_size=4).hexdigest()
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", watched.resolve().name)[:40] or "root"
        return cls(home / "agent" / f"{name}-{digest}")

    @classmethod
    def all(cls, home: Path) -> "list[StateFolder]":
        """Return the places of all folders that were ever watched from here."""
        with contextlib.suppress(OSError):
            return [cls(path) for path in sorted((home / "agent").iterdir()) if cls(path).has_begun]
        return []

    @property
    def has_begun(self) -> bool:
        """Whether an agent has ever used it."""
        return (self.path / _STATUS).exists() or self.spool_path.exists()

    @property
    def spool_path(self) -> Path:
        """The spool's file."""
        return self.path / "spool.db"

    @property
    def journal_path(self) -> Path:
        """What is kept of instructions."""
        return self.path / "instructions.db"

    def write_status(self, status: dict[str, Any]) -> None:
        """Replace what the agent says of itself, all at once.

        Raises:
            StorageUnavailable: The folder cannot be written.
        """
        part = self.path / f"{_STATUS}.{os.getpid()}"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(status), encoding="utf-8")
            # On Windows somebody who reads the old one at this moment keeps it: the next
            # writing is a second away.
            with contextlib.suppress(PermissionError):
                part.replace(self.path / _STATUS)
        except OSError as error:
            raise StorageUnavailable(f"{self.path} cannot be written: {error.strerror}") from error

    def read_status(self) -> dict[str, Any] | None:
        """Return what the agent last said of itself; None for nothing that makes sense."""
        try:
            found = json.loads((self.path / _STATUS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def is_in_use(self) -> bool:
        """Tell whether an agent is running on it."""
        if not (self.path / Running.NAME).exists():
            return False
        probe = Running(self)
        try:
            return not probe.take()
        finally:
            probe.release()


class Running:
    """The mark of a running agent: a lock that its end, however sudden, releases.

    SQLite takes it, on every platform in the platform's own way.
    """

    NAME = "running.lock"

    def __init__(self, folder: StateFolder) -> None:
        self._path = folder.path / self.NAME
        self._database: sqlite3.Connection | None = None

    def take(self) -> bool:
        """Return whether the mark is ours, now or since before.

        Raises:
            StorageUnavailable: The folder cannot be written.
        """
        if self._database is not None:
            return True
        database = None
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            database = sqlite3.connect(
                self._path, timeout=0, isolation_level=None, check_same_thread=False
            )
            database.execute("PRAGMA journal_mode = OFF")
            database.execute("BEGIN EXCLUSIVE")
        except (sqlite3.Error, OSError) as error:
            if database is not None:
                database.close()
            if _is_held(error):
                return False
            raise StorageUnavailable(f"{self._path} cannot be used: {error}") from error
        self._database = database
        return True

    def release(self) -> None:
        """Let go of the mark."""
        if self._database is not None:
            self._database.close()
            self._database = None


def _is_held(error: Exception) -> bool:
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode in (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
    )
