"""How the workers of this machine are: a small file of each, for probes and for people.

Nothing here imports Prefect, so that a probe costs little.
"""

import os
import socket
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from core.clock import utcnow

#: Seconds between two writings.
WRITE_EVERY: Final = 5.0

#: A file that is older belongs to a worker that hangs, or is gone.
_STALE_AFTER: Final = timedelta(seconds=30)


class HealthFile(BaseModel):
    """What a worker last said of itself."""

    model_config = ConfigDict(frozen=True)

    name: str
    host: str
    pid: int
    written_at: datetime
    pool: str
    running: int
    max_runs: int
    finished: int
    stopping: bool
    #: When it last asked Prefect for runs.
    last_poll: datetime | None
    #: What cannot be reached, and why; None when it can.
    prefect: str | None
    database: str | None

    def write(self, folder: Path) -> None:
        """Write it at once or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f".{self.name}.draft"
        draft.write_text(self.model_dump_json(), encoding="utf-8")
        draft.replace(_file(folder, self.name))

    @classmethod
    def read_all(cls, folder: Path) -> list[Self]:
        """Return the files of workers on this machine, by name."""
        found: list[Self] = []
        for file in sorted(folder.glob("*.json")):
            try:
                one = cls.model_validate_json(file.read_text(encoding="utf-8"))
            except (OSError, ValidationError):
                continue  # taken away just now, or none of ours
            if one.host == socket.gethostname():
                found.append(one)
        return found

    def is_fresh(self) -> bool:
        """Return whether the worker wrote of late, and so lives."""
        return utcnow() - self.written_at < _STALE_AFTER

    @property
    def problems(self) -> tuple[str, ...]:
        """What it cannot reach."""
        return tuple(filter(None, (self.prefect, self.database)))

    def told(self) -> str:
        """Return a line for a person."""
        if not self.is_fresh():
            return f"{self.name}: silent since {self.written_at:%Y-%m-%d %H:%M:%S} UTC"
        state = "stopping" if self.stopping else "at work"
        line = f"{self.name}: {state}, {self.running} of {self.max_runs} runs"
        if self.last_poll:
            seconds = (utcnow() - self.last_poll).total_seconds()
            line += f", asked Prefect {seconds:.0f} s ago"
        return "; ".join([line, *self.problems])


def workers_folder(home: Path) -> Path:
    """Return where the files are."""
    return home / "workers"


def remove(folder: Path, name: str) -> None:
    """Take a worker's file away."""
    _file(folder, name).unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Take the files of killed workers of this machine away."""
    for one in HealthFile.read_all(folder):
        if one.pid == os.getpid() or not _runs(one.pid):
            remove(folder, one.name)


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


def _runs(pid: int) -> bool:
    if os.name != "posix":
        return True  # cannot be asked without harm
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
