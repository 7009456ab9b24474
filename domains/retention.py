"""How long what is kept: policies, their ages, and what belongs to the audit."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final


class Age(StrEnum):
    """What an age is of."""

    #: Streams of agents that have fallen silent; then they are closed.
    CONNECTIONS = "connections"
    #: Instructions; those that were acknowledged keep their row, without the payload.
    INSTRUCTIONS = "instructions"
    #: Sessions that are over, with all that is known of them.
    SESSIONS = "sessions"
    #: What agents said of instructions: the audit period.
    ACKNOWLEDGEMENTS = "acknowledgements"
    #: Who changed what, and which sessions were deleted: the audit period too.
    AUDIT = "audit"
    #: Messages in and out that are done with.
    MESSAGES = "messages"
    #: Predictions, measurements and weights that newer ones have replaced.
    HISTORY = "history"
    #: Lines of agents' logs.
    LOGS = "logs"
    #: What pages are shown live.
    NEWS = "news"
    #: Sign-ins that have run out.
    SIGN_INS = "sign_ins"
    #: Answers and deliveries by which repeats are recognised.
    REPEATS = "repeats"
    #: Flow runs in Prefect's own database.
    RUNS = "runs"


class Operation(StrEnum):
    """What a person or a schedule asks for."""

    STATS = "stats"
    CLEANUP = "cleanup"
    CONNECTIONS = "connections"
    INSTRUCTIONS = "instructions"
    SESSIONS = "sessions"


class PolicyName(StrEnum):
    """Which policy."""

    SCIENTIFIC = "scientific"
    DEVELOPMENT = "development"
    CUSTOM = "custom"


@dataclass(frozen=True)
class RetentionPolicy:
    """How long each kind of thing is kept, and how many rows one transaction may delete."""

    name: PolicyName
    connections: timedelta
    instructions: timedelta
    sessions: timedelta
    acknowledgements: timedelta
    audit: timedelta
    messages: timedelta
    history: timedelta
    logs: timedelta
    news: timedelta
    sign_ins: timedelta
    repeats: timedelta
    runs: timedelta
    batch: int

    def age(self, age: Age) -> timedelta:
        """Return how long things of a kind are kept."""
        return getattr(self, age.value)

    def cutoff(self, age: Age, now: datetime) -> datetime:
        """Return the moment before which things of a kind are let go of."""
        return now - self.age(age)


_YEAR: Final = timedelta(days=365)

SCIENTIFIC: Final = RetentionPolicy(
    PolicyName.SCIENTIFIC,
    connections=timedelta(hours=48),
    instructions=_YEAR,
    sessions=2 * _YEAR,
    acknowledgements=7 * _YEAR,
    audit=7 * _YEAR,
    messages=_YEAR,
    history=2 * _YEAR,
    logs=timedelta(days=90),
    news=timedelta(days=7),
    sign_ins=timedelta(days=30),
    repeats=timedelta(days=14),
    runs=timedelta(days=30),
    batch=500,
)

DEVELOPMENT: Final = RetentionPolicy(
    PolicyName.DEVELOPMENT,
    connections=timedelta(hours=4),
    instructions=timedelta(days=7),
    sessions=timedelta(days=14),
    acknowledgements=timedelta(days=30),
    audit=timedelta(days=30),
    messages=timedelta(days=7),
    history=timedelta(days=14),
    logs=timedelta(days=3),
    news=timedelta(days=1),
    sign_ins=timedelta(days=7),
    repeats=timedelta(days=14),
    runs=timedelta(days=7),
    batch=1_000,
)


def named(
    name: PolicyName, *, ages: dict[Age, timedelta] | None = None, batch: int | None = None
) -> RetentionPolicy:
    """Return a policy; `ages` and `batch` are what a custom one has otherwise than scientific.

    The others are what their name says to everybody, and do not change.
    """
    if name is PolicyName.DEVELOPMENT:
        return DEVELOPMENT
    if name is PolicyName.SCIENTIFIC:
        return SCIENTIFIC
    changed = {age.value: value for age, value in (ages or {}).items()}
    return replace(SCIENTIFIC, name=name, batch=batch or SCIENTIFIC.batch, **changed)
