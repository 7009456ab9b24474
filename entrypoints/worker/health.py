"""How a worker is, for whoever asks."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class WorkerHealth:
    """How a worker is."""

    name: str
    pool: str
    running: int
    max_runs: int
    finished: int
    last_poll: datetime | None
    #: Why Prefect cannot be reached, if it cannot.
    problem: str | None
    #: Whether it takes no more runs.
    stopping: bool = False
